//! What a service is told, in the two encodings that clients read.
//!
//! Clients are picky: each ignores a whole answer over one thing that it does not expect. So the JSON has
//! exactly Jaeger's fields, enums by name, all numbers written out, and rate limits are whole; there are no
//! operations unless there is one, and what counts for those that are not listed stands beside them too.

use bytes::Bytes;
use serde::Serialize;

use crate::wire;

/// How a service should sample the traces that it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// For all its operations.
    pub sampling: Sampling,
    /// For some of its operations. Clients that know them ignore `sampling`.
    pub operations: Option<Operations>,
}

/// `jaeger.api_v2.SamplingStrategyType` with its parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// With this probability, 0 to 1.
    Probabilistic(f64),
    /// So many traces a second.
    RateLimiting(i32),
}

/// `jaeger.api_v2.PerOperationSamplingStrategies`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations {
    /// The probability of operations that are not listed.
    pub default: f64,
    /// Traces a second that each operation keeps at least. Few clients heed it.
    pub lower_bound: f64,
    /// Traces a second that each operation keeps at most; 0 is no bound.
    pub upper_bound: f64,
    /// Span names with their probabilities; not empty, each once.
    pub probabilities: Vec<(String, f64)>,
}

/// A [`Strategy`] as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Over HTTP.
    pub json: Bytes,
    /// Over gRPC: a `jaeger.api_v2.SamplingStrategyResponse`.
    pub protobuf: Bytes,
}

/// `jaeger.api_v2.SamplingStrategyResponse`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    strategy_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilistic_sampling: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limiting_sampling: Option<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_sampling: Option<PerOperation<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rate {
    sampling_rate: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Limit {
    max_traces_per_second: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PerOperation<'a> {
    default_sampling_probability: f64,
    default_lower_bound_traces_per_second: f64,
    per_operation_strategies: Vec<Operation<'a>>,
    default_upper_bound_traces_per_second: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation<'a> {
    operation: &'a str,
    probabilistic_sampling: Rate,
}

impl Strategy {
    /// The same probability for all operations.
    #[must_use]
    pub fn probabilistic(probability: f64) -> Self {
        Self { sampling: Sampling::Probabilistic(probability), operations: None }
    }

    /// Both encodings.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        #[expect(clippy::expect_used, reason = "names and numbers can be written as JSON")]
        let json = serde_json::to_vec(&self.response()).expect("a strategy is JSON");
        Encoded { json: Bytes::from(json), protobuf: Bytes::from(wire::encode(self)) }
    }

    /// The members of Jaeger's JSON.
    fn response(&self) -> Response<'_> {
        let (strategy_type, probabilistic_sampling, rate_limiting_sampling) = match self.sampling {
            Sampling::Probabilistic(probability) => ("PROBABILISTIC", Some(Rate::of(probability)), None),
            Sampling::RateLimiting(limit) => {
                ("RATE_LIMITING", None, Some(Limit { max_traces_per_second: limit }))
            }
        };
        let operation_sampling = self.operations.as_ref().map(|operations| PerOperation {
            default_sampling_probability: operations.default,
            default_lower_bound_traces_per_second: operations.lower_bound,
            default_upper_bound_traces_per_second: operations.upper_bound,
            per_operation_strategies: operations
                .probabilities
                .iter()
                .map(|(operation, probability)| Operation {
                    operation,
                    probabilistic_sampling: Rate::of(*probability),
                })
                .collect(),
        });
        Response { strategy_type, probabilistic_sampling, rate_limiting_sampling, operation_sampling }
    }
}

impl Rate {
    fn of(sampling_rate: f64) -> Self {
        Self { sampling_rate }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn json(strategy: &Strategy) -> String {
        String::from_utf8(strategy.encode().json.to_vec()).unwrap()
    }

    #[test]
    fn a_probability_is_written_as_jaeger_writes_it() {
        assert_eq!(
            json(&Strategy::probabilistic(0.5)),
            r#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5}}"#
        );
    }

    #[test]
    fn a_rate_limit_is_a_whole_number_under_the_name_of_its_type() {
        let strategy = Strategy { sampling: Sampling::RateLimiting(20), operations: None };
        assert_eq!(
            json(&strategy),
            r#"{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":20}}"#
        );
    }

    #[test]
    fn operations_have_every_default_written_out() {
        let operations = Operations {
            default: 0.25,
            probabilities: vec![("GET \"/\"".to_owned(), 0.0)],
            ..Operations::default()
        };
        let strategy = Strategy { operations: Some(operations), ..Strategy::probabilistic(0.25) };
        let members: Value = serde_json::from_str(&json(&strategy)).unwrap();
        assert_eq!(
            members,
            json!({
                "strategyType": "PROBABILISTIC",
                "probabilisticSampling": {"samplingRate": 0.25},
                "operationSampling": {
                    "defaultSamplingProbability": 0.25,
                    "defaultLowerBoundTracesPerSecond": 0.0,
                    "defaultUpperBoundTracesPerSecond": 0.0,
                    "perOperationStrategies": [
                        {"operation": "GET \"/\"", "probabilisticSampling": {"samplingRate": 0.0}}
                    ],
                },
            })
        );
    }
}
