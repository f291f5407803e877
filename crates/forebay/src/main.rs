//! The `forebay` binary.

use std::process::ExitCode;

/// Chosen for its speed with many small and short-lived blocks, and for giving memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    forebay::main()
}
