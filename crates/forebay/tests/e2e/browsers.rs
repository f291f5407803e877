//! Browsers that export by themselves: asked first, then sent.

use bytes::Bytes;
use http::{HeaderMap, Method, header};

use crate::harness::{Backend, Forebay, request, request_of, span};

const PAGE: (&str, &str) = ("origin", "https://shop.example.com");
const ELSEWHERE: (&str, &str) = ("origin", "https://example.org");

/// The origin that may read an answer.
fn allowed(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|origin| origin.to_str().unwrap())
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_ask_send_and_read_the_answer() {
    let backend = Backend::start().await;
    let yaml = format!(
        "
receivers: {{otlp: {{protocols: {{http: {{cors: {{allowed_origins: ['https://*.example.com'], allowed_headers: [x-token], max_age: 600}}}}}}}}}}
exporters: {{otlp: {{endpoint: 'http://{}'}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}}}
",
        backend.address
    );
    let process = Forebay::start(&yaml).await;
    let ask = async |origin| {
        let headers = [
            origin,
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-token"),
        ];
        request(process.http, Method::OPTIONS, "/v1/traces", &headers, Bytes::new()).await.unwrap()
    };
    let answer = ask(PAGE).await;
    assert_eq!((answer.status.as_u16(), allowed(&answer.headers)), (204, Some(PAGE.1)));
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_METHODS], "POST");
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_HEADERS], "content-type,x-token");
    assert_eq!(answer.headers[header::ACCESS_CONTROL_MAX_AGE], "600");
    assert_eq!(allowed(&ask(ELSEWHERE).await.headers), None);

    let send = async |origin, trace| {
        let headers = [origin, ("content-type", "application/x-protobuf"), ("x-token", "1")];
        let answer =
            request(process.http, Method::POST, "/v1/traces", &headers, request_of([span(trace)])).await;
        answer.unwrap()
    };
    let answer = send(PAGE, 1).await;
    assert_eq!((answer.status.as_u16(), allowed(&answer.headers)), (200, Some(PAGE.1)));
    assert_eq!(answer.headers[header::VARY], "origin");
    // A browser would not have sent it. Others do not ask first, and do not care who may read the answer.
    let answer = send(ELSEWHERE, 2).await;
    assert_eq!((answer.status.as_u16(), allowed(&answer.headers)), (200, None));
    process.stop().await;
    assert_eq!(backend.trace_ids(), [1, 2].into());
}
