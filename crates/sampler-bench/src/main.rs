//! The `sampler-bench` binary.

use std::process::ExitCode;

use clap::Parser;
use sampler_bench::{cli, commands};

/// As in the product, so that what samplers take is what they would take there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::dispatch(cli::Cli::parse())
}
