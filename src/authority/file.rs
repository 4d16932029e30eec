use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::ZoneCell;
use crate::{
    wire::Name,
    zone::{self, Extent, Signature, Zone, text::TextError},
};

/// A master file and the zones that are made from it.
#[derive(Debug)]
pub struct ZoneFile {
    path: PathBuf,
    cells: Vec<Arc<ZoneCell>>,
    /// A file that was written is taken as it is; otherwise only if its serial is another one.
    by_time: bool,
    seen: Option<Signature>,
    /// What was read last.
    extent: Option<Extent>,
}

/// What came of a look at a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It looks as before.
    Same,
    /// It has been read; these zones are new.
    Read(Vec<(Name, u32)>),
    /// It is not there.
    Missing(String),
    /// It is no zone; what was there before goes on.
    Wrong(TextError),
}

impl ZoneFile {
    /// A file for these zones, not yet read.
    pub const fn new(path: PathBuf, cells: Vec<Arc<ZoneCell>>, by_time: bool) -> Self {
        Self { path, cells, by_time, seen: None, extent: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file if it looks different. Blocks.
    pub fn look(&mut self) -> Reading {
        let signature = match zone::signature(&self.path) {
            Ok(signature) => signature,
            Err(error) => return Reading::Missing(missing(&self.path, &error)),
        };
        if self.seen == Some(signature) {
            return Reading::Same;
        }
        // Not looked at again before it changes, whatever comes of it.
        self.seen = Some(signature);
        let text = match zone::contents(&self.path) {
            Ok(text) => text,
            Err(error) => return Reading::Wrong(error),
        };
        let is_continued = self.extent.is_some_and(|extent| extent.is_continued_by(&text));
        let mut fresh = Vec::new();
        for cell in &self.cells {
            let found = match zone::load(&self.path, &text, *cell.origin()) {
                Ok(zone) => zone,
                Err(error) => return Reading::Wrong(error),
            };
            if is_continued || is_new(cell.zone().as_deref(), &found, self.by_time) {
                if found.strays() > 0 {
                    let path = self.path.display();
                    tracing::warn!(
                        "{path}: {} records do not belong to zone {} and are left out",
                        found.strays(),
                        cell.origin()
                    );
                }
                fresh.push((*cell.origin(), found.soa().serial));
                cell.replace(Some(found));
            } else {
                tracing::debug!(
                    "{}: written to, but the serial of zone {} is the same",
                    self.path.display(),
                    cell.origin()
                );
            }
        }
        self.extent = Some(Extent::of(&text));
        Reading::Read(fresh)
    }

    /// Looks at the file again and again, and says what comes of it. `target` stands before log lines.
    pub async fn follow(mut self, every: Duration, plugin: &'static str) {
        let mut missing = false;
        loop {
            tokio::time::sleep(every).await;
            let looking = tokio::task::spawn_blocking(move || {
                let reading = self.look();
                (self, reading)
            });
            let Ok((file, reading)) = looking.await else { return };
            self = file;
            if !matches!(reading, Reading::Missing(_)) {
                missing = false;
            }
            match reading {
                Reading::Missing(_) if missing => {}
                other => {
                    missing = matches!(other, Reading::Missing(_));
                    tell(plugin, self.path(), &other);
                }
            }
        }
    }
}

fn is_new(known: Option<&Zone>, found: &Zone, by_time: bool) -> bool {
    by_time || known.is_none_or(|known| known.soa().serial != found.soa().serial)
}

fn missing(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Logs what came of a look at a file.
pub(super) fn tell(plugin: &'static str, path: &Path, reading: &Reading) {
    match reading {
        Reading::Same => {}
        Reading::Read(fresh) => {
            for (origin, serial) in fresh {
                tracing::info!("plugin/{plugin}: zone {origin} read from {} with serial {serial}", path.display());
            }
        }
        Reading::Missing(text) => tracing::warn!("plugin/{plugin}: {text}; what was read before goes on"),
        Reading::Wrong(error) => tracing::error!("plugin/{plugin}: {error}; what was read before goes on"),
    }
}
