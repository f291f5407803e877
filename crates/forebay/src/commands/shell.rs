//! What shells and `man` know of the command line, made from its definition.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{fail, write_out};
use crate::cli::Cli;

/// Prints what completes the command line in `shell`.
pub(crate) fn completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut script);
    write_out(&String::from_utf8_lossy(&script))
}

/// Writes a page for each command into `directory`, which is made if it is missing.
pub(crate) fn man(directory: &Path) -> ExitCode {
    let written =
        std::fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write man pages to {}: {error}", directory.display())),
    }
}
