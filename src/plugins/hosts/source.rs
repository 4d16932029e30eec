use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::table::{LineError, Table};
use crate::{
    chain::ZoneSet,
    metrics::{Gauge, Registry},
};

/// The longest line, octets.
const LONGEST: u64 = 1 << 20;
/// How long a file must be left alone before it is read again.
const REST: Duration = Duration::from_millis(200);
/// How often that is waited for.
const LOOKS: usize = 25;

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

    /// Reads the file; gives what it looked like. What cannot be read, or is written to meanwhile, leaves the table as
    /// it was; at first, with the lines of the Corefile alone.
    pub(super) fn read(&self) -> Seen {
        let seen = self.look();
        let table = match self.filled(seen) {
            Ok(table) => Some(table),
            Err(error) => {
                tracing::warn!(target: "plugin/hosts", "{error}");
                // It is not looked at again before it changes, unless it changed just now.
                let is_empty = self.table.read().unwrap_or_else(PoisonError::into_inner).is_empty();
                is_empty.then(Table::default)
            }
        };
        let Some(mut table) = table else { return seen };
        table.add(&self.inline, &self.zones, self.reverse);
        table.settle();
        self.entries.set(table.len() as i64);
        // CoreDNS shows when the file was written, not when it was read.
        let written = seen.and_then(|(time, _)| time.duration_since(UNIX_EPOCH).ok());
        if let Some(written) = written {
            self.written_at.set(written.as_secs() as i64);
        }
        // The old one is given back behind the lock: it may be large.
        let old = std::mem::replace(&mut *self.table.write().unwrap_or_else(PoisonError::into_inner), Arc::new(table));
        drop(old);
        seen
    }

    /// The lines of the file. Those that are none are left out with a warning.
    fn filled(&self, seen: Seen) -> Result<Table, String> {
        let name = self.file.display();
        let failed = |error: std::io::Error| format!("{name}: cannot be read: {error}");
        let mut file = BufReader::new(File::open(&self.file).map_err(failed)?);
        let mut table = Table::default();
        let (mut line, mut octets) = (1_u64, Vec::new());
        let mut strange: Option<(u64, LineError)> = None;
        let mut others = 0_u64;
        while file.by_ref().take(LONGEST).read_until(b'\n', &mut octets).map_err(failed)? > 0 {
            if octets.len() as u64 == LONGEST {
                return Err(format!("{name}:{line}: longer than a line of a hosts file can be; the file is left out"));
            }
            match table.line(&String::from_utf8_lossy(&octets), &self.zones, self.reverse) {
                Ok(()) => {}
                Err(error @ LineError::TooMany) => return Err(format!("{name}:{line}: {error}; the file is left out")),
                Err(_) if strange.is_some() => others += 1,
                Err(error) => strange = Some((line, error)),
            }
            octets.clear();
            line += 1;
        }
        if self.look() != seen {
            return Err(format!("{name}:{line}: it changes while it is read; what was read before goes on"));
        }
        if let Some((line, error)) = strange {
            let others = if others == 0 { String::new() } else { format!(", and so are {others} more lines") };
            tracing::warn!(target: "plugin/hosts", "{name}:{line}: {error}; it is left out{others}");
        }
        Ok(table)
    }

    /// Reads the file again whenever it looks different.
    pub(super) async fn follow(mut self, every: Duration, mut seen: Seen) {
        loop {
            tokio::time::sleep(every).await;
            let mut now = self.look();
            // A file that is gone for a moment, while it is replaced, keeps the last good table.
            if now.is_none() || now == seen {
                continue;
            }
            // Whoever writes to it shall come to an end.
            for _ in 0..LOOKS {
                tokio::time::sleep(REST).await;
                let before = std::mem::replace(&mut now, self.look());
                if now == before {
                    break;
                }
            }
            let reading = tokio::task::spawn_blocking(move || {
                let seen = self.read();
                (self, seen)
            });
            let Ok((source, read)) = reading.await else { return };
            self = source;
            seen = read;
        }
    }
}
