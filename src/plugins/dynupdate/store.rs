use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::rules::{Limits, Rules};
use crate::{
    authority::ZoneCell,
    wire::{Name, Rcode, Update},
    zone::{self, Changing, Zone, text},
};

/// The first line of a database, so that no other file is taken for one, and none is overwritten.
const MARK: &str = "; kept by dynupdate, not to be edited while it is served\n";

/// A zone that changes, and the file that keeps it. Configurations that follow one another share it: an update that comes to the
/// old one is not lost for the new one.
pub(super) struct Store {
    origin: Name,
    database: Option<PathBuf>,
    /// Locked as long as this is here.
    _lock: Option<File>,
    state: Mutex<State>,
}

struct State {
    zone: Arc<Zone>,
    /// Where the zone is answered from.
    cells: Vec<Weak<ZoneCell>>,
}

/// Why an update is not made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) rcode: Rcode,
    /// For the log, if it is not the client's affair.
    pub(super) cause: Option<String>,
}

impl From<Rcode> for Refusal {
    fn from(rcode: Rcode) -> Self {
        Self { rcode, cause: None }
    }
}

impl Store {
    /// Reads the zone from its database, or from the zone file as long as there is none. Blocks.
    pub(super) fn open(origin: Name, seed: &Path, database: Option<PathBuf>) -> Result<Self, String> {
        let lock = database.as_deref().map(lock).transpose()?;
        let source = match &database {
            Some(path) if is_there(path)? => {
                let wrong = |error: String| format!("{}: {error}", path.display());
                let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
                if !text.starts_with(MARK.as_bytes()) {
                    return Err(wrong("no database of seamark".to_owned()));
                }
                path
            }
            _ => seed,
        };
        let zone = Arc::new(zone::read(source, origin).map_err(|error| error.to_string())?);
        if let Some(trouble) = Changing::of(&zone).trouble() {
            return Err(format!("{}: {trouble}", source.display()));
        }
        Ok(Self { origin, database, _lock: lock, state: Mutex::new(State { zone, cells: Vec::new() }) })
    }

    /// The zone's name.
    pub(super) const fn origin(&self) -> &Name {
        &self.origin
    }

    /// Answers from this place as well, from now on. An error if the zone is larger than it may be.
    pub(super) fn serve(&self, cell: &Arc<ZoneCell>, limits: Limits) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(excess) = excess(&Changing::of(&state.zone), limits) {
            return Err(format!("zone {}: {excess}", self.origin));
        }
        state.cells.retain(|cell| cell.strong_count() > 0);
        state.cells.push(Arc::downgrade(cell));
        cell.share(Some(Arc::clone(&state.zone)));
        Ok(())
    }

    /// Makes an update, all of it or nothing (RFC 2136 section 3); gives the new serial if something has changed. It is on the disk
    /// before anybody sees it. Blocks.
    pub(super) fn update(&self, rules: &Rules, key: &Name, update: &Update) -> Result<Option<u32>, Refusal> {
        let Update { prerequisites, changes } = update;
        if prerequisites.len() + changes.len() > rules.limits.update_records {
            return Err(Rcode::REFUSED.into());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changing = Changing::of(&state.zone);
        changing.meets(prerequisites)?;
        if !changes.iter().all(|wish| rules.allow(key, wish)) {
            return Err(Rcode::REFUSED.into());
        }
        changing.takes(changes)?;
        if !changing.change(changes) {
            return Ok(None);
        }
        if let Some(excess) = excess(&changing, rules.limits) {
            return Err(Refusal { rcode: Rcode::REFUSED, cause: Some(excess) });
        }
        let failed = |cause: String| Refusal { rcode: Rcode::SERVFAIL, cause: Some(cause) };
        let zone = changing.zone().map_err(|error| failed(error.to_string()))?;
        if let Some(path) = &self.database {
            keep(path, &changing).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        }
        let zone = Arc::new(zone);
        let serial = zone.soa().serial;
        state.zone = Arc::clone(&zone);
        state.cells.iter().filter_map(Weak::upgrade).for_each(|cell| cell.share(Some(Arc::clone(&zone))));
        Ok(Some(serial))
    }
}

fn excess(changing: &Changing, limits: Limits) -> Option<String> {
    let (records, bytes) = (changing.records().len(), changing.size());
    if records > limits.records {
        return Some(format!("{records} records are more than max_records, {}", limits.records));
    }
    (bytes > limits.bytes).then(|| format!("{bytes} octets are more than max_bytes, {}", limits.bytes))
}

/// Whether there is a database. One that cannot be looked at is not taken for one that is missing.
fn is_there(path: &Path) -> Result<bool, String> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Keeps everybody else from the database, by whatever path, for as long as the file is open.
fn lock(path: &Path) -> Result<File, String> {
    let place = PathBuf::from(format!("{}.lock", path.display()));
    let wrong = |error: String| format!("{}: {error}", place.display());
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&place);
    let file = file.map_err(|error| wrong(error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(wrong("another zone or process has this database".to_owned())),
        Err(TryLockError::Error(error)) => Err(wrong(error.to_string())),
    }
}

/// Writes the zone so that either this version or the one before is there, whenever the machine stops.
fn keep(path: &Path, changing: &Changing) -> io::Result<()> {
    let mut out = String::from(MARK);
    for record in changing.records() {
        out.push_str(&text::line(record));
        out.push('\n');
    }
    // Through a symbolic link the file that it leads to is replaced, not the link.
    let path = &fs::canonicalize(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(path.to_owned()),
        _ => Err(error),
    })?;
    let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let folder = File::open(parent)?;
    let fresh = PathBuf::from(format!("{}.new", path.display()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(out.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    // The name too should be on the disk. It is there in any case, and what is there has been made.
    if let Err(error) = folder.sync_all() {
        tracing::warn!(target: "plugin/dynupdate", "{}: {error}", parent.display());
    }
    Ok(())
}
