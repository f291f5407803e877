//! An application's exporter: tonic's own client, with whose transport the SDKs for Rust export.

use std::time::Instant;

use bytes::Bytes;
use forebay_otlp::Signal;
use http::uri::PathAndQuery;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::Endpoint;

use super::report::median;
use crate::components::StartError;
use crate::raw::RawCodec;

const EXPORTS: usize = 1000;
/// Before it counts: the connection is made, and both ends have seen what they will see.
const WARM_UP: usize = 50;

/// The median time of an export to `http://HOST:PORT` or `unix:PATH`, in microseconds.
pub(super) async fn exports(endpoint: &str, request: &Bytes) -> Result<f64, StartError> {
    let channel = Endpoint::from_shared(endpoint.to_owned())?.connect().await?;
    let (mut client, path) = (Grpc::new(channel), PathAndQuery::from_static(Signal::Traces.grpc_path()));
    let mut times = Vec::with_capacity(WARM_UP + EXPORTS);
    for _ in 0..WARM_UP + EXPORTS {
        let begin = Instant::now();
        client.ready().await?;
        client.unary(Request::new(request.clone()), path.clone(), RawCodec).await?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times.split_off(WARM_UP)))
}
