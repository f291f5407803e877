//! Asks a sampling server for strategies as fast as it answers, and prints what that cost it, as JSON.

use clap::Parser;
use forebay_benches::{Error, strategies};

/// Ask a sampling server over HTTP and gRPC.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: strategies::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    for report in strategies::run(&Arguments::parse().options).await? {
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}
