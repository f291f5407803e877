//! The settings of `retroactive_sampling`. There are few: policies are the coordinators'.

use std::path::PathBuf;
use std::time::Duration;

use forebay_config::Table;

use crate::membership::MembersConfig;

/// Settings of one `retroactive_sampling` processor.
#[derive(Clone, Debug)]
pub struct RetroactiveConfig {
    /// Where the coordinators are.
    pub coordinators: MembersConfig,
    /// How often evidence is reported.
    pub digest_interval: Duration,
    /// Bytes of spans that may leave per second, if that is bounded.
    pub egress_bytes_per_second: Option<u64>,
    /// Where spans wait on disk, if they do.
    pub storage: Option<StorageConfig>,
}

/// A disk tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// The directory, which no other process may use.
    pub directory: PathBuf,
    /// Bytes of all files together.
    pub bytes: u64,
}

const DIGEST_INTERVAL: Duration = Duration::from_secs(1);
// Coordinators take ten reports a second.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(60);
const STORAGE_MIB: u64 = 1_024;

impl RetroactiveConfig {
    /// Reads the settings, recording every mistake; `None` if there are no coordinators.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        let coordinators = table.require("coordinators", table.table("coordinators"));
        let coordinators = coordinators.and_then(|section| MembersConfig::read(&section));
        let interval = table.duration_or("digest_interval", DIGEST_INTERVAL);
        if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
            table.error("digest_interval", "expected 100ms to 60s");
        }
        table.refuse("policies", "policies come from the coordinator: set them there, in `tail_sampling`");
        let storage = storage(table);
        let egress_bytes_per_second = table.integer("egress_limit_bytes_per_second", 1..);
        Some(Self {
            coordinators: coordinators?,
            digest_interval: interval.clamp(INTERVAL_MIN, INTERVAL_MAX),
            egress_bytes_per_second,
            storage,
        })
    }
}

fn storage(table: &Table<'_>) -> Option<StorageConfig> {
    let storage = table.table("storage")?;
    let directory = storage.require("directory", storage.string("directory"));
    let mebibytes = storage.integer_or("size_mib", 32..=1_u64 << 24, STORAGE_MIB);
    Some(StorageConfig { directory: directory?.into(), bytes: mebibytes << 20 })
}
