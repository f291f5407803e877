//! What survives a restart: the probabilities, in a small file.
//!
//! The first line is the checksum of the second, so a file that is not what was written is not believed. It is
//! written beside its place and then moved there, so a crash leaves the old one or the new one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use super::ByOperation;

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
}

/// Why a file is not what was written.
#[derive(Debug, Error)]
enum Corruption {
    #[error("it has no checksum")]
    NoChecksum,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("it holds {0}, which is not a probability")]
    Probability(f64),
}

impl StateFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What was saved, if there is something that can be used.
    pub(crate) fn load(&self) -> Option<ByOperation> {
        let path = self.path.display();
        match fs::read(&self.path) {
            Ok(bytes) => decode(&bytes)
                .map_err(|error| {
                    tracing::warn!("cannot use `{path}`: {error}; adaptive sampling starts afresh")
                })
                .ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!("cannot read `{path}`: {error}; adaptive sampling starts afresh");
                None
            }
        }
    }

    /// Replaces what was saved before. A failure is logged.
    pub(crate) fn save(&self, probabilities: &ByOperation) {
        if let Err(error) = self.write(probabilities) {
            tracing::warn!("cannot write `{}`: {error}", self.path.display());
        }
    }

    fn write(&self, probabilities: &ByOperation) -> io::Result<()> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(&encode(probabilities)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn encode(probabilities: &ByOperation) -> serde_json::Result<Vec<u8>> {
    let json = serde_json::to_vec(probabilities)?;
    let mut bytes = format!("{:08x}\n", crc32fast::hash(&json)).into_bytes();
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<ByOperation, Corruption> {
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or(Corruption::NoChecksum)?;
    let (checksum, json) = (&bytes[..end], &bytes[end + 1..]);
    if checksum != format!("{:08x}", crc32fast::hash(json)).as_bytes() {
        return Err(Corruption::Checksum);
    }
    let probabilities: ByOperation = serde_json::from_slice(json)?;
    let all = probabilities.values().flat_map(|operations| operations.values());
    match all.copied().find(|probability| !(0.0..=1.0).contains(probability)) {
        Some(wrong) => Err(Corruption::Probability(wrong)),
        None => Ok(probabilities),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probabilities() -> ByOperation {
        let operations = [("GET /".to_owned(), 0.25), (String::new(), 0.001)];
        ByOperation::from([("shop".to_owned(), operations.into())])
    }

    #[test]
    fn what_is_saved_is_loaded_and_replaces_what_was() {
        let directory = tempfile::tempdir().unwrap();
        let file = StateFile::new(directory.path().join("state"));
        assert_eq!(file.load(), None);
        file.save(&ByOperation::new());
        file.save(&probabilities());
        assert_eq!(file.load(), Some(probabilities()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_with_any_byte_changed_or_cut_is_not_believed() {
        let bytes = encode(&probabilities()).unwrap();
        assert!(decode(&bytes).is_ok());
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert!(decode(&changed).is_err(), "byte {index}");
            assert!(decode(&bytes[..index]).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn a_checksum_does_not_make_a_probability() {
        let wrong = ByOperation::from([("a".to_owned(), [("b".to_owned(), 1.5)].into())]);
        assert!(matches!(decode(&encode(&wrong).unwrap()), Err(Corruption::Probability(_))));
    }

    #[test]
    fn a_place_that_cannot_be_written_is_survived() {
        let file = StateFile::new("/nowhere/state".into());
        file.save(&probabilities());
        assert_eq!(file.load(), None);
    }
}
