use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use regex::Regex;

use crate::{
    authority::{Reading, ZoneCell, ZoneFile, Zones},
    chain::{Contents, ZoneSet, ZoneSource, ZoneSources},
    wire::Name,
};

/// How deep directories are looked into.
const DEEPEST: usize = 16;

/// How names of files become names of zones.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    pub(super) pattern: Regex,
    /// With `${1}` for the first group and so on.
    pub(super) origin: String,
}

impl Naming {
    /// The zone of a file; `None` if it is none.
    fn zone(&self, file: &str) -> Option<Name> {
        let captures = self.pattern.captures(file)?;
        let mut origin = String::new();
        captures.expand(&self.origin, &mut origin);
        Name::parse(&origin).ok()
    }
}

/// The zones of a directory as they are now.
#[derive(Clone, Default)]
pub(super) struct Current(Arc<RwLock<Arc<Zones>>>);

impl Current {
    pub(super) fn zones(&self) -> Arc<Zones> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ZoneSource for Current {
    fn zones(&self) -> Vec<Name> {
        ZoneSource::zones(&*self.zones())
    }

    fn contents(&self, zone: &Name) -> Option<Contents> {
        self.zones().contents(zone)
    }
}

/// A directory of master files and the zones that they make.
pub(super) struct Directory {
    path: PathBuf,
    naming: Naming,
    allowed: ZoneSet,
    zones: Current,
    sources: ZoneSources,
    files: BTreeMap<PathBuf, (Arc<ZoneCell>, ZoneFile)>,
    /// What was complained about, so that it is not said every time.
    told: Vec<String>,
}

impl Directory {
    pub(super) fn new(path: PathBuf, naming: Naming, allowed: ZoneSet, zones: Current, sources: ZoneSources) -> Self {
        Self { path, naming, allowed, zones, sources, files: BTreeMap::new(), told: Vec::new() }
    }

    /// Looks at the directory: new files, changed files, files that are gone. Blocks.
    pub(super) fn look(&mut self) {
        let mut complaints = Vec::new();
        let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
        for (path, file) in files_below(&self.path, &mut complaints) {
            let Some(zone) = self.naming.zone(&file).filter(|zone| self.allowed.contains(zone)) else { continue };
            let key = zone.to_lowercase().to_string();
            match found.get(&key) {
                Some(first) => {
                    complaints.push(format!("{}: zone {zone} is already made from {}", path.display(), first.display()))
                }
                None => _ = found.insert(key, path),
            }
        }
        self.files.retain(|path, (cell, _)| {
            let stays = found.values().any(|known| known == path);
            if !stays {
                tracing::info!(target: "plugin/auto", "zone {} is gone with {}", cell.origin(), path.display());
            }
            stays
        });
        for (zone, path) in found {
            let Ok(zone) = Name::parse(&zone) else { continue };
            let (cell, file) = self.files.entry(path.clone()).or_insert_with(|| {
                let cell = Arc::new(ZoneCell::new(zone, self.sources.clone()));
                (Arc::clone(&cell), ZoneFile::new(path, vec![cell], false))
            });
            match file.look() {
                Reading::Same => {}
                Reading::Read(fresh) => {
                    for (zone, serial) in fresh {
                        tracing::info!(target: "plugin/auto", "zone {zone} read from {} with serial {serial}", file.path().display());
                    }
                }
                Reading::Missing(text) => complaints.push(text),
                Reading::Wrong(error) => {
                    let kept = if cell.zone().is_some() { "; what was read before goes on" } else { "" };
                    tracing::error!(target: "plugin/auto", "{error}{kept}");
                }
            }
        }
        complaints
            .iter()
            .filter(|text| !self.told.contains(text))
            .for_each(|text| tracing::warn!(target: "plugin/auto", "{text}"));
        self.told = complaints;
        self.publish();
    }

    /// Zones that were never read are not ours.
    fn publish(&self) {
        let cells = self.files.values().map(|(cell, _)| cell).filter(|cell| cell.zone().is_some());
        *self.zones.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(cells.cloned().collect());
    }

    /// Looks again and again.
    pub(super) async fn follow(mut self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let looking = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            let Ok(directory) = looking.await else { return };
            self = directory;
        }
    }
}

/// The files below a directory, in order, with their bare names.
fn files_below(path: &Path, complaints: &mut Vec<String>) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut open = vec![(path.to_owned(), 0)];
    while let Some((directory, depth)) = open.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                complaints.push(format!("{}: {error}", directory.display()));
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            // `..data` and its kin of mounted ConfigMaps lead to the same files once more.
            if path.is_dir() {
                if depth < DEEPEST && !name.starts_with("..") {
                    open.push((path, depth + 1));
                }
            } else {
                files.push((path, name));
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_become_names_of_zones() {
        let naming = |pattern: &str, origin: &str| Naming {
            pattern: crate::pattern::of_text(pattern).unwrap(),
            origin: origin.to_owned(),
        };
        for (pattern, origin, file, zone) in [
            (r"db\.(.*)", "${1}", "db.example.org", Some("example.org.")),
            (r"db\.(.*)", "${1}", "mydb.example.org", Some("example.org.")),
            (r"db\.(.*)", "${1}", "example.org", None),
            (r"^(.*)-(.*)\.zone$", "${2}.${1}.test", "a-b.zone", Some("b.a.test.")),
            (r"db\.(.*)", "${1}", "db.a..b", None),
        ] {
            let found = naming(pattern, origin).zone(file).map(|zone| zone.to_string());
            assert_eq!(found.as_deref(), zone, "{file}");
        }
    }
}
