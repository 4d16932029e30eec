use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::table::Table;
use crate::{
    chain::ZoneSet,
    metrics::{Gauge, Registry},
};

/// A hosts file and the lines of the Corefile, read into one table.
pub(super) struct HostsFile {
    file: PathBuf,
    inline: String,
    zones: ZoneSet,
    reverse: bool,
    table: Arc<RwLock<Arc<Table>>>,
    entries: Gauge,
    written_at: Gauge,
}

/// Time and size of the file when it was read.
type Seen = Option<(SystemTime, u64)>;

impl HostsFile {
    pub(super) fn new(
        file: PathBuf,
        inline: String,
        zones: ZoneSet,
        reverse: bool,
        table: Arc<RwLock<Arc<Table>>>,
        registry: &Registry,
    ) -> Self {
        let entries = registry.gauge("coredns_hosts_entries", "Names and addresses of a hosts file.", &["hostsfile"]);
        let written_at = registry.gauge(
            "coredns_hosts_reload_timestamp_seconds",
            "When the hosts file that was read last had been written, Unix time.",
            &[],
        );
        let entries = entries.with_label_values(&[&file.display().to_string()]);
        Self { file, inline, zones, reverse, table, entries, written_at: written_at.with_label_values::<&str>(&[]) }
    }

    fn look(&self) -> Seen {
        let metadata = std::fs::metadata(&self.file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }

    /// Reads the file; gives what it looked like.
    pub(super) fn read(&self) -> Seen {
        let seen = self.look();
        let mut table = Table::default();
        match std::fs::read(&self.file) {
            Ok(bytes) => table.add(&String::from_utf8_lossy(&bytes), &self.zones, self.reverse),
            Err(error) => {
                tracing::warn!(target: "plugin/hosts", "{}: cannot be read: {error}", self.file.display());
            }
        }
        table.add(&self.inline, &self.zones, self.reverse);
        self.entries.set(table.len() as i64);
        // CoreDNS shows when the file was written, not when it was read.
        let written = seen.and_then(|(time, _)| time.duration_since(UNIX_EPOCH).ok());
        if let Some(written) = written {
            self.written_at.set(written.as_secs() as i64);
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        seen
    }

    /// Reads the file again whenever it looks different.
    pub(super) async fn follow(self, every: Duration, mut seen: Seen) {
        loop {
            tokio::time::sleep(every).await;
            let now = self.look();
            // A file that is gone for a moment, while it is replaced, keeps the last good table.
            if now.is_some() && now != seen {
                seen = self.read();
            }
        }
    }
}
