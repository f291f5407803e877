use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;
use prost::Message;

use super::*;
use crate::strategy::Strategy;

/// The messages as prost has them, from Jaeger's `sampling.proto`.
mod oracle {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Parameters {
        #[prost(string, tag = "1")]
        pub(super) service_name: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Probabilistic {
        #[prost(double, tag = "1")]
        pub(super) sampling_rate: f64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RateLimiting {
        #[prost(int32, tag = "1")]
        pub(super) max_traces_per_second: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Operation {
        #[prost(string, tag = "1")]
        pub(super) operation: String,
        #[prost(message, optional, tag = "2")]
        pub(super) probabilistic_sampling: Option<Probabilistic>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PerOperation {
        #[prost(double, tag = "1")]
        pub(super) default_sampling_probability: f64,
        #[prost(double, tag = "2")]
        pub(super) default_lower_bound: f64,
        #[prost(message, repeated, tag = "3")]
        pub(super) per_operation_strategies: Vec<Operation>,
        #[prost(double, tag = "4")]
        pub(super) default_upper_bound: f64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Response {
        #[prost(int32, tag = "1")]
        pub(super) strategy_type: i32,
        #[prost(message, optional, tag = "2")]
        pub(super) probabilistic_sampling: Option<Probabilistic>,
        #[prost(message, optional, tag = "3")]
        pub(super) rate_limiting_sampling: Option<RateLimiting>,
        #[prost(message, optional, tag = "4")]
        pub(super) operation_sampling: Option<PerOperation>,
    }
}

fn expected(strategy: &Strategy) -> oracle::Response {
    let (strategy_type, probability, limit) = match strategy.sampling {
        Sampling::Probabilistic(probability) => (0, Some(probability), None),
        Sampling::RateLimiting(limit) => (1, None, Some(limit)),
    };
    let probabilistic = |sampling_rate| oracle::Probabilistic { sampling_rate };
    oracle::Response {
        strategy_type,
        probabilistic_sampling: probability.map(probabilistic),
        rate_limiting_sampling: limit
            .map(|max_traces_per_second| oracle::RateLimiting { max_traces_per_second }),
        operation_sampling: strategy.operations.as_ref().map(|operations| oracle::PerOperation {
            default_sampling_probability: operations.default,
            default_lower_bound: operations.lower_bound,
            per_operation_strategies: operations
                .probabilities
                .iter()
                .map(|(operation, probability)| oracle::Operation {
                    operation: operation.clone(),
                    probabilistic_sampling: Some(probabilistic(*probability)),
                })
                .collect(),
            default_upper_bound: operations.upper_bound,
        }),
    }
}

prop_compose! {
    fn operations()(
        default in 0.0..=1.0,
        lower_bound in 0.0..100.0,
        upper_bound in 0.0..100.0,
        probabilities in prop::collection::vec((".{0,20}", 0.0..=1.0), 1..5),
    ) -> Operations {
        Operations { default, lower_bound, upper_bound, probabilities }
    }
}

fn strategy() -> impl Generator<Value = Strategy> {
    let sampling = prop_oneof![
        (0.0..=1.0).prop_map(Sampling::Probabilistic),
        (0..=i32::MAX).prop_map(Sampling::RateLimiting),
    ];
    (sampling, prop::option::of(operations()))
        .prop_map(|(sampling, operations)| Strategy { sampling, operations })
}

proptest! {
    #[test]
    fn an_answer_is_what_other_readers_of_protobuf_expect(strategy in strategy()) {
        let bytes = encode(&strategy);
        prop_assert_eq!(oracle::Response::decode(&*bytes).unwrap(), expected(&strategy));
    }

    #[test]
    fn what_others_write_is_read(strategy in strategy()) {
        let bytes = expected(&strategy).encode_to_vec();
        prop_assert_eq!(decode(&bytes), Ok(strategy));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(strategy) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&strategy)), Ok(strategy));
        }
        let _ = decode_request(&bytes);
    }

    #[test]
    fn the_service_of_a_request_is_found(service in ".{1,30}") {
        let request = oracle::Parameters { service_name: service.clone() }.encode_to_vec();
        prop_assert_eq!(decode_request(&request), Ok(&*service));
        prop_assert_eq!(encode_request(&service), request);
    }
}

#[test]
fn a_request_without_a_service_is_refused() {
    assert_eq!(decode_request(b""), Err(MessageError::NoService));
    assert_eq!(decode_request(&[0x0a, 0x00]), Err(MessageError::NoService));
    assert_eq!(decode_request(&[0x0a, 0x01, 0xff]), Err(MessageError::NotUtf8));
    assert_eq!(decode_request(&[0x0a, 0x05]), Err(MessageError::Wire(WireError::Truncated)));
}

#[test]
fn what_is_not_a_probability_or_a_rate_is_refused() {
    let probabilistic = |rate| oracle::Response {
        probabilistic_sampling: Some(oracle::Probabilistic { sampling_rate: rate }),
        ..oracle::Response::default()
    };
    for rate in [-0.1, 1.1, f64::INFINITY] {
        assert_eq!(decode(&probabilistic(rate).encode_to_vec()), Err(MessageError::Probability(rate)));
    }
    assert!(matches!(
        decode(&probabilistic(f64::NAN).encode_to_vec()),
        Err(MessageError::Probability(rate)) if rate.is_nan()
    ));
    let limit = oracle::Response {
        strategy_type: 1,
        rate_limiting_sampling: Some(oracle::RateLimiting { max_traces_per_second: -1 }),
        ..oracle::Response::default()
    };
    assert_eq!(decode(&limit.encode_to_vec()), Err(MessageError::Rate(-1.0)));
    let nothing = oracle::Response { strategy_type: 1, ..oracle::Response::default() };
    assert_eq!(decode(&nothing.encode_to_vec()), Err(MessageError::NoStrategy(1)));
}

#[test]
fn an_answer_with_operations_alone_has_their_default() {
    let operations = oracle::PerOperation {
        default_sampling_probability: 0.001,
        per_operation_strategies: vec![oracle::Operation {
            operation: "GET /".to_owned(),
            probabilistic_sampling: Some(oracle::Probabilistic { sampling_rate: 0.5 }),
        }],
        ..oracle::PerOperation::default()
    };
    let response = oracle::Response { operation_sampling: Some(operations), ..oracle::Response::default() };
    let strategy = decode(&response.encode_to_vec()).unwrap();
    assert_eq!(strategy.sampling, Sampling::Probabilistic(0.001));
    assert_eq!(strategy.operations.unwrap().probabilities, [("GET /".to_owned(), 0.5)]);
}
