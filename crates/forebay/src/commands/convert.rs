//! Configurations of other systems.

use std::io::{self, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forebay_refinery::{Conversion, Document};

use super::{fail, write_out};

/// Prints what Refinery's rules are here; what has no equivalent goes to standard error, a line each.
pub(crate) fn refinery(rules: &Path, config: Option<&PathBuf>) -> ExitCode {
    let conversion = document(rules).and_then(|rules| {
        Ok(Conversion::of(&rules, config.map(|path| document(path)).transpose()?.as_ref()))
    });
    match conversion {
        Ok(conversion) => {
            for line in conversion.lines() {
                let _ = writeln!(stderr(), "{line}");
            }
            if conversion.notes.has_errors() { ExitCode::FAILURE } else { write_out(&conversion.yaml) }
        }
        Err(message) => fail(&message),
    }
}

fn document(path: &Path) -> Result<Document, String> {
    let name = path.display().to_string();
    let text: io::Result<_> = std::fs::read_to_string(path);
    text.map(|text| Document::in_file(&name, text)).map_err(|error| format!("cannot read {name}: {error}"))
}
