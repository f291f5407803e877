//! Sends OTLP/gRPC traces as fast as told and prints what became of them, as JSON.

use clap::Parser;
use forebay_benches::{Error, load};

/// Send OTLP/gRPC traces: 512 spans of 64 whole traces in each request.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    load: load::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let report = load::run(&Arguments::parse().load).await?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
