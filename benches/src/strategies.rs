//! Clients that ask a sampling server what to sample, as fast as they are answered.
//!
//! Each connection asks again as soon as it has its answer, HTTP as an SDK writes it and gRPC with the bytes of
//! the message. What the server spends is read from `/proc`.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use forebay_otlp::wire::put_bytes;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::grpc::RawClient;
use crate::{Error, proc};

/// What to ask, and whom.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where HTTP is listened for.
    #[arg(long, value_name = "HOST:PORT")]
    pub http: SocketAddr,
    /// Where gRPC is listened for.
    #[arg(long, value_name = "HOST:PORT")]
    pub grpc: SocketAddr,
    /// The server's process.
    #[arg(long)]
    pub pid: u32,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 16)]
    pub connections: u32,
    /// How long to ask, over each protocol.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub seconds: u64,
    /// The service to ask for.
    #[arg(long, default_value = "shop")]
    pub service: String,
}

/// What came of it over one protocol.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `http` or `grpc`.
    pub protocol: &'static str,
    /// Requests answered per second.
    pub requests_per_second: f64,
    /// CPU time of the server per request, in microseconds.
    pub cpu_us_per_request: f64,
}

const METHOD: &str = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";

/// Asks over HTTP, then over gRPC.
///
/// # Errors
/// When a connection cannot be made, or ends.
pub async fn run(options: &Options) -> Result<[Report; 2], Error> {
    let http = measure("http", options, async |asked: Rc<Cell<u64>>, end| {
        ask_http(options.http, &options.service, &asked, end).await
    });
    let http = http.await?;
    let grpc = measure("grpc", options, async |asked: Rc<Cell<u64>>, end| {
        ask_grpc(options.grpc, &options.service, &asked, end).await
    });
    Ok([http, grpc.await?])
}

async fn measure(
    protocol: &'static str,
    options: &Options,
    ask: impl AsyncFn(Rc<Cell<u64>>, Instant) -> Result<(), Error>,
) -> Result<Report, Error> {
    let asked = Rc::new(Cell::new(0));
    let (begun, cpu) = (Instant::now(), proc::cpu_time(options.pid)?);
    let end = begun + Duration::from_secs(options.seconds);
    let connections = (0..options.connections).map(|_| ask(Rc::clone(&asked), end));
    LocalSet::new().run_until(futures_util::future::try_join_all(connections)).await?;
    let (elapsed, cpu) = (begun.elapsed(), proc::cpu_time(options.pid)?.saturating_sub(cpu));
    let asked = asked.get() as f64;
    Ok(Report {
        protocol,
        requests_per_second: asked / elapsed.as_secs_f64(),
        cpu_us_per_request: cpu.as_secs_f64() * 1e6 / asked,
    })
}

async fn ask_http(server: SocketAddr, service: &str, asked: &Cell<u64>, end: Instant) -> Result<(), Error> {
    let mut stream = BufReader::new(TcpStream::connect(server).await?);
    stream.get_ref().set_nodelay(true)?;
    let request = format!("GET /sampling?service={service} HTTP/1.1\r\nhost: {server}\r\n\r\n");
    let mut line = String::new();
    let mut body = Vec::new();
    while Instant::now() < end {
        stream.write_all(request.as_bytes()).await?;
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Err("the server has closed the connection".into());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse()?
                }
                Some(_) => {}
                None if line.trim_end().is_empty() => break,
                None if line.starts_with("HTTP/1.1 200") => {}
                None => return Err(line.into()),
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        asked.set(asked.get() + 1);
    }
    Ok(())
}

async fn ask_grpc(server: SocketAddr, service: &str, asked: &Cell<u64>, end: Instant) -> Result<(), Error> {
    let mut client = RawClient::connect(server).await?;
    let mut request = Vec::new();
    put_bytes(&mut request, 1, service.as_bytes());
    let request = Bytes::from(request);
    while Instant::now() < end {
        client.call(METHOD, request.clone()).await?;
        asked.set(asked.get() + 1);
    }
    Ok(())
}
