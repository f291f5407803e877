//! Receives OTLP/gRPC traces and counts them.

use clap::Parser;
use forebay_benches::{Error, sink};

/// Receive OTLP/gRPC traces, count them, and print the counts as JSON whenever they have changed.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    sink: sink::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sink::run(&Arguments::parse().sink).await
}
