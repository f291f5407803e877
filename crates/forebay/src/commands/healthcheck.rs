//! `forebay healthcheck`: asks a running Forebay how it is, for images that have nothing else in them to ask with.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::fail;
use crate::run::runtime;

/// As long as a process may be short of CPU and yet be called healthy; orchestrators mostly wait for less.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the answer is not that the pipelines run.
#[derive(Debug, Error)]
enum Unhealthy {
    #[error("{0} is no endpoint: give `http://host:port/path`, as health_check listens there")]
    Endpoint(Uri),
    #[error("nobody answers at {0}: {1}; is health_check in `service::extensions`?")]
    Unreachable(Uri, io::Error),
    #[error("what answers at {0} is not health_check: {1}")]
    Foreign(Uri, hyper::Error),
    #[error("no answer from {0} within {TIMEOUT:?}")]
    Silent(Uri),
    #[error("{0} answers {1}: the pipelines do not run")]
    Status(Uri, StatusCode),
}

/// Asks the `health_check` extension at `endpoint`; succeeds if the pipelines run there.
pub(crate) fn healthcheck(endpoint: &Uri) -> ExitCode {
    let runtime = match runtime(1) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let answer = runtime.block_on(async { timeout(TIMEOUT, ask(endpoint)).await });
    match answer.unwrap_or_else(|_| Err(Unhealthy::Silent(endpoint.clone()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(unhealthy) => fail(&unhealthy.to_string()),
    }
}

async fn ask(endpoint: &Uri) -> Result<(), Unhealthy> {
    let malformed = || Unhealthy::Endpoint(endpoint.clone());
    let authority = endpoint.authority().ok_or_else(malformed)?;
    let port = authority.port_u16().ok_or_else(malformed)?;
    let path = endpoint.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header(header::HOST, authority.as_str()).body(Empty::<Bytes>::new());
    let request = request.map_err(|_| malformed())?;
    // An IPv6 address has brackets in a URL, and none to a resolver.
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');

    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(|error| Unhealthy::Unreachable(endpoint.clone(), error))?;
    let foreign = |error| Unhealthy::Foreign(endpoint.clone(), error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(foreign)?;
    tokio::spawn(connection);
    let status = sender.send_request(request).await.map_err(foreign)?.status();
    if status.is_success() { Ok(()) } else { Err(Unhealthy::Status(endpoint.clone(), status)) }
}
