use forebay_config::read_str;
use forebay_otlp::wire::put_bytes;
use forebay_otlp::{SpanIndex, TraceId};
use proptest::prelude::*;
use tokio::sync::watch;
use tokio::time::{advance, sleep};

use super::config::Resolver;
use super::fleet::PASSED_OVER;
use super::*;
use crate::testing::{Answer, Backend, GRACE, context, fate, shut_down, spans};

const RETRY: &str = "retry_on_failure: {initial_interval: 20ms, max_interval: 50ms}";
const OTLP: &str = "protocol: {otlp: {tls: {insecure: true}, compression: none, timeout: 500ms}}";

fn read(yaml: &str) -> (Option<LoadBalancingConfig>, String) {
    let (config, diagnostics) = read_str(yaml, LoadBalancingConfig::read);
    (config.filter(|_| !diagnostics.has_errors()), diagnostics.render(false))
}

fn config(members: &[&Backend]) -> LoadBalancingConfig {
    let hostnames: Vec<_> = members.iter().map(|member| format!("'{}'", member.address)).collect();
    let resolver = format!("resolver: {{static: {{hostnames: [{}]}}}}", hostnames.join(", "));
    let (config, told) = read(&format!("{RETRY}\n{OTLP}\n{resolver}"));
    config.unwrap_or_else(|| panic!("{told}"))
}

fn ok() -> Answer {
    Answer::status(200)
        .header("content-type", "application/grpc")
        .body(&[0_u8; 5][..])
        .trailer("grpc-status", "0")
}

fn unavailable() -> Answer {
    Answer::status(200).header("content-type", "application/grpc").trailer("grpc-status", "14")
}

/// The traces that a member was asked to take, a span each.
fn asked(member: &Backend) -> Vec<u128> {
    let requests = member.seen().into_iter().flat_map(|seen| {
        SpanIndex::scan(&seen.body[5..]).unwrap().spans.into_iter().map(|span| span.trace_id.0)
    });
    let mut traces: Vec<_> = requests.collect();
    traces.sort_unstable();
    traces
}

/// The traces of `spans(items, _)`.
fn traces(items: u128) -> Vec<u128> {
    (1..=items).collect()
}

fn together(members: &[&Backend]) -> Vec<u128> {
    let mut all: Vec<_> = members.iter().flat_map(|member| asked(member)).collect();
    all.sort_unstable();
    all
}

/// A request of spans of these traces, each under a resource of this service.
fn request(spans: &[(u128, String)]) -> Bytes {
    let mut request = Vec::new();
    for (trace, service) in spans {
        let (mut text, mut attribute, mut resource) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes(&mut text, 1, service.as_bytes());
        put_bytes(&mut attribute, 1, b"service.name");
        put_bytes(&mut attribute, 2, &text);
        put_bytes(&mut resource, 1, &attribute);
        let (mut span, mut scope, mut described) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes(&mut span, 1, &trace.to_be_bytes());
        put_bytes(&mut span, 2, &[1; 8]);
        put_bytes(&mut scope, 2, &span);
        put_bytes(&mut described, 1, &resource);
        put_bytes(&mut described, 2, &scope);
        put_bytes(&mut request, 1, &described);
    }
    request.into()
}

fn ids(request: &[u8]) -> Vec<TraceId> {
    SpanIndex::scan(request).unwrap().spans.iter().map(|span| span.trace_id).collect()
}

proptest! {
    #[test]
    fn every_span_goes_to_one_member_and_all_of_a_trace_or_service_to_the_same(
        requests in prop::collection::vec(
            prop::collection::vec((1_u128..20, "[a-d]"), 1..20), 1..4),
        by_service in any::<bool>(),
    ) {
        let key = if by_service { RoutingKey::Service } else { RoutingKey::TraceId };
        let members = forebay_membership::Members::new(["a", "b", "c"].map(String::from));
        let encoded: Vec<_> = requests.iter().map(|spans| request(spans)).collect();
        let shares = share_out(key, &encoded, |key| members.owner(key).unwrap()).unwrap();
        let mut all = Vec::new();
        for (owner, share) in &shares {
            let got: Vec<_> = share.pieces.iter().flat_map(|piece| ids(piece)).collect();
            prop_assert_eq!(got.len(), share.items);
            let others = || shares.iter().filter(|(other, _)| *other != owner);
            if by_service {
                for service in ["a", "b", "c", "d"] {
                    let has = |share: &Share| {
                        let text = [b"service.name\x12\x03\x0a\x01", service.as_bytes()].concat();
                        share.pieces.iter().any(|piece| piece.windows(text.len()).any(|part| part == text))
                    };
                    prop_assert!(!has(share) || !others().any(|(_, other)| has(other)));
                }
            } else {
                let mut elsewhere =
                    others().flat_map(|(_, other)| other.pieces.iter().flat_map(|piece| ids(piece)));
                prop_assert!(elsewhere.all(|id| !got.contains(&id)));
            }
            all.extend(got);
        }
        let mut sent: Vec<_> = encoded.iter().flat_map(|request| ids(request)).collect();
        sent.sort_unstable();
        all.sort_unstable();
        prop_assert_eq!(all, sent);
    }
}

#[tokio::test]
async fn members_share_the_traces_of_a_batch_and_a_third_takes_only_its_own() {
    let (one, two, three) =
        (Backend::start([], ok()).await, Backend::start([], ok()).await, Backend::start([], ok()).await);
    let context = context();
    let exporter = build("lb", config(&[&one, &two]), &context).unwrap();
    assert_eq!(fate(&exporter, &context, "lb", spans(100, 8)).await, [100, 0, 0]);
    assert_eq!(together(&[&one, &two]), traces(100));
    let before = [asked(&one), asked(&two)];
    assert!(before.iter().all(|share| share.len() > 20), "{before:?}");

    let grown = build("grown", config(&[&three, &two, &one]), &context).unwrap();
    assert_eq!(fate(&grown, &context, "grown", spans(100, 8)).await, [100, 0, 0]);
    let came = asked(&three);
    assert!(came.len() > 15, "{came:?}");
    for (member, before) in [(&one, &before[0]), (&two, &before[1])] {
        let mut expected: Vec<_> = before.iter().copied().filter(|trace| !came.contains(trace)).collect();
        expected.extend(before);
        expected.sort_unstable();
        assert_eq!(asked(member), expected);
    }
}

#[tokio::test]
async fn what_a_member_does_not_take_goes_to_the_others() {
    let (one, dead, refusing, hanging) = (
        Backend::start([], ok()).await,
        Backend::start([], ok()).await,
        Backend::start([], unavailable()).await,
        Backend::start([], Answer::hang()).await,
    );
    let context = context();
    let config = config(&[&one, &dead, &refusing, &hanging]);
    dead.stop().await;
    let exporter = build("lb", config, &context).unwrap();
    assert_eq!(fate(&exporter, &context, "lb", spans(100, 8)).await, [100, 0, 0]);
    assert_eq!(asked(&one), traces(100));
    assert!(!asked(&refusing).is_empty() && !asked(&hanging).is_empty());
    assert_eq!(context.budget.used(), 0);
}

#[tokio::test]
async fn a_member_that_asks_for_a_pause_keeps_its_share_and_the_rest_is_not_sent_twice() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use forebay_otlp::response::Status;
    let status = Status { code: 14, message: "busy".into(), retry_delay: Some(Duration::from_millis(50)) };
    let busy = unavailable().trailer("grpc-status-details-bin", &STANDARD_NO_PAD.encode(status.encode()));
    let (one, two) = (Backend::start([], ok()).await, Backend::start([busy], ok()).await);
    let context = context();
    let exporter = build("lb", config(&[&one, &two]), &context).unwrap();
    assert_eq!(fate(&exporter, &context, "lb", spans(100, 8)).await, [100, 0, 0]);
    assert_eq!(one.seen().len(), 1);
    let asked = asked(&two);
    assert_eq!(two.seen().len(), 2);
    assert!(asked.chunks(2).all(|twice| twice[0] == twice[1]), "{asked:?}");
}

#[tokio::test]
async fn what_nobody_takes_is_counted_and_what_was_taken_is_not_lost_with_it() {
    let rejecting =
        Answer::status(200).header("content-type", "application/grpc").trailer("grpc-status", "3");
    let (one, two) = (Backend::start([], ok()).await, Backend::start([], rejecting).await);
    let context = context();
    let exporter = build("lb", config(&[&one, &two]), &context).unwrap();
    let [delivered, rejected, lost] = fate(&exporter, &context, "lb", spans(100, 8)).await;
    assert_eq!((delivered, rejected, lost), (asked(&one).len() as u64, asked(&two).len() as u64, 0));
    assert!(rejected > 0 && delivered + rejected == 100);
}

/// A list that changes, and the settings of an exporter that follows it.
fn following() -> (watch::Sender<Vec<Member>>, LoadBalancingConfig) {
    let (config, told) = read(&format!("{RETRY}\n{OTLP}\nresolver: {{dns: {{hostname: gateways}}}}"));
    (watch::channel(Vec::new()).0, config.unwrap_or_else(|| panic!("{told}")))
}

fn members(config: &LoadBalancingConfig, names: &[&str]) -> Vec<Member> {
    let channel = |name| config.member.channel.with_endpoint(name).unwrap();
    names.iter().map(|&name| Member { name: name.into(), channel: channel(name) }).collect()
}

#[tokio::test]
async fn a_list_that_changes_is_followed_and_what_waits_goes_to_the_present_owners() {
    let (one, two) = (Backend::start([], ok()).await, Backend::start([], ok()).await);
    let (list, config) = following();
    let both = members(&config, &[&one.address, &two.address]);
    let left = members(&config, &[&two.address]);
    let context = context();
    let membership = Membership::following(list.subscribe());
    let exporter = balance("lb", config, membership, &context);
    // There is nobody yet, so it waits.
    exporter.consume(spans(100, 8)).await.unwrap();
    list.send_replace(both);
    let sent = context.telemetry.ledger("exporter/lb", Signal::Traces);
    let delivered = async {
        while sent.outgoing.get() < 100 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(GRACE, delivered).await.unwrap();
    assert_eq!(together(&[&one, &two]), traces(100));
    list.send_replace(left);
    exporter.consume(spans(100, 8)).await.unwrap();
    shut_down(&exporter).await;
    assert_eq!((sent.outgoing.get(), sent.buffered.get()), (200, 0));
    assert!(asked(&two).len() > 100 && asked(&one).len() + asked(&two).len() == 200);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_answer_is_passed_over_until_one_request_finds_it_back() {
    let (list, config) = following();
    list.send_replace(members(&config, &["a:1", "b:1"]));
    let context = context();
    let membership = Membership::following(list.subscribe());
    let fleet = Fleet::new("lb", membership, config.member.clone(), &context.telemetry);
    let owners = || {
        let present = fleet.present();
        let mut owners: Vec<_> = (0..50).map(|key| present.owner(key)).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    };
    assert_eq!(owners(), [0, 1]);
    fleet.present().peer(0).heard(false);
    assert_eq!(owners(), [1]);
    advance(PASSED_OVER).await;
    assert_eq!(owners(), [0, 1]);
    fleet.present().peer(0).ask();
    assert_eq!(owners(), [1], "the others wait for the answer");
    fleet.present().peer(0).heard(true);
    assert_eq!(owners(), [0, 1]);
    // When nobody answers, all are asked.
    (0..2).for_each(|peer| fleet.present().peer(peer).heard(false));
    assert_eq!(owners(), [0, 1]);
}

#[test]
fn mistakes_are_told() {
    for (yaml, problem) in [
        ("{}", "nothing says where members are"),
        ("resolver: {static: {hostnames: []}}", "no members"),
        ("resolver: {static: {hostnames: ['a:1', 'a:1']}}", "twice"),
        ("resolver: {static: {hostnames: ['a b']}}", "is not a host"),
        ("resolver: {static: {}}", "`hostnames` is required"),
        ("resolver: {static: {hostnames: [a]}, dns: {hostname: a}}", "both"),
        ("resolver: {dns: {}}", "`hostname` is required"),
        ("resolver: {dns: {hostname: 'a b'}}", "is not a host"),
        ("resolver: {k8s: {service: a}, static: {hostnames: [a]}}", "headless service"),
        ("resolver: {aws_cloud_map: {namespace: a}, static: {hostnames: [a]}}", "AWS Cloud Map"),
        ("{routing_key: metric, resolver: {static: {hostnames: [a]}}}", "traceID, service"),
        ("{protocol: {otlphttp: {}}, resolver: {static: {hostnames: [a]}}}", "unknown key"),
    ] {
        let (_, told) = read(yaml);
        assert!(told.contains(problem), "{yaml}: {told}");
    }
}

#[test]
fn queue_and_retry_in_front_are_preferred_to_those_of_members() {
    let resolver = "resolver: {static: {hostnames: [a, '[::1]', 'b:1']}}";
    let members = "protocol: {otlp: {timeout: 1s, sending_queue: {queue_size: 7}}}";
    let (config, _) = read(&format!("{resolver}\n{members}"));
    let config = config.unwrap();
    assert_eq!(config.sending.timeout, Some(Duration::from_secs(1)));
    assert_eq!(config.sending.queue.unwrap().queue_size, 7);
    let Resolver::Static(listed) = config.resolver else { panic!("{:?}", config.resolver) };
    let names: Vec<_> = listed.iter().map(|member| &*member.name).collect();
    assert_eq!(names, ["a:4317", "[::1]:4317", "b:1"]);
    let (config, _) = read(&format!("{resolver}\n{members}\nsending_queue: {{queue_size: 9}}"));
    assert_eq!(config.unwrap().sending.queue.unwrap().queue_size, 9);
}
