//! `generate`

use std::fs::{self, File};
use std::process::ExitCode;

use super::{Error, describe, say};
use crate::cli::GenerateArguments;
use crate::generate::Description;
use crate::results::WorkloadSummary;

pub(super) fn generate(arguments: &GenerateArguments) -> Result<ExitCode, Error> {
    let description = Description::load(&arguments.workload)?;
    let workload = description.generate(arguments.workload_seed, usize::MAX);
    fs::create_dir_all(&arguments.out)?;
    let traces = File::create(arguments.out.join("traces.jsonl.zst"))?;
    let mut traces = zstd::Encoder::new(traces, 0)?;
    workload.write_json_lines(&mut traces)?;
    traces.finish()?;
    workload.write_labels(File::create(arguments.out.join("labels.csv"))?)?;
    say(&describe(&WorkloadSummary::of(&workload)));
    Ok(ExitCode::SUCCESS)
}
