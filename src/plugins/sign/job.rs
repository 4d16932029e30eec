use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    chain::BuildError,
    dnssec::{SigningKey, Validity, read_key, sign_zone},
    wire::{Name, RData, Record, RecordType},
    zone::{self, Signature, Zone, text},
};

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_secs(60);
/// Signatures begin so long ago, and up to so much longer: clocks may be late, and not all secondaries come at once.
const BEFORE: u32 = 3 * HOUR;
const BEFORE_JITTER: u32 = 18 * HOUR;
/// They end so far ahead, and up to so much later.
const AHEAD: u32 = 32 * DAY;
const AHEAD_JITTER: u32 = 5 * DAY;
/// A zone is signed anew when its signatures began so long ago, or are to end so soon.
const OLD: u32 = 6 * DAY;
const LEFT: u32 = 14 * DAY;

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeySource {
    /// A key by the name of its files.
    File(PathBuf),
    /// A directory: all keys of the zone in it.
    Directory(PathBuf),
}

impl KeySource {
    /// Reads the keys for a zone.
    pub(super) fn read_all(sources: impl Iterator<Item = Self>, origin: &Name) -> Result<Vec<SigningKey>, BuildError> {
        let mut keys = Vec::new();
        for source in sources {
            let files = match source {
                Self::File(file) => vec![file],
                Self::Directory(directory) => {
                    key_files(&directory, origin).map_err(|error| format!("{}: {error}", directory.display()))?
                }
            };
            for file in files {
                let key = read_key(&file).map_err(|error| error.to_string())?;
                // Such a key alone signs the keys as well as all else, and may be what the parent points to.
                if !key.is_entry() {
                    return Err(format!("{}: not a key-signing key (dnssec-keygen -f KSK)", file.display()).into());
                }
                keys.push(key);
            }
        }
        if keys.is_empty() { Err(format!("no keys for zone {origin}").into()) } else { Ok(keys) }
    }
}

/// The keys of a zone in a directory, in the order of their names, which begin with `K`, the zone and `+`.
fn key_files(directory: &Path, origin: &Name) -> io::Result<Vec<PathBuf>> {
    let zone = origin.to_lowercase().to_string();
    let starts = [format!("k{zone}+"), format!("k{}+", zone.trim_end_matches('.'))];
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let lower = name.to_ascii_lowercase();
        if lower.ends_with(".key") && starts.iter().any(|start| lower.starts_with(start)) {
            files.push(directory.join(name));
        }
    }
    files.sort();
    Ok(files)
}

/// A zone that is kept signed.
pub(super) struct Job {
    origin: Name,
    source: PathBuf,
    keys: Vec<SigningKey>,
    signed: PathBuf,
    /// The source as it was signed or found wrong; `None` before the first look.
    seen: Option<Signature>,
    /// When the signatures that are there must be replaced, seconds since 1970.
    due: u64,
    /// What was said last, so that it is said once.
    complaint: String,
}

impl Job {
    pub(super) fn new(origin: Name, source: PathBuf, keys: Vec<SigningKey>, directory: &Path) -> Self {
        let signed = directory.join(format!("db.{}signed", origin.to_lowercase()));
        Self { origin, source, keys, signed, seen: None, due: 0, complaint: String::new() }
    }

    /// Looks again and again.
    pub(super) async fn follow(mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let looking = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            let Ok(job) = looking.await else { return };
            self = job;
        }
    }

    /// Signs the zone if it must be. Blocks.
    pub(super) fn look(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let done =
            self.reason(now).map_or(Ok(None), |reason| self.sign(now as u32).map(|serial| Some((serial, reason))));
        match done {
            Ok(None) => {}
            Ok(Some((serial, reason))) => {
                let tags: Vec<String> = self.keys.iter().map(|key| key.tag().to_string()).collect();
                tracing::info!(
                    "plugin/sign: zone {} signed into {} with serial {serial} by keys {}, because {reason}",
                    self.origin,
                    self.signed.display(),
                    tags.join(", ")
                );
                self.complaint.clear();
            }
            Err(error) if error == self.complaint => {}
            Err(error) => {
                tracing::error!("plugin/sign: zone {} cannot be signed: {error}; it is tried again", self.origin);
                self.complaint = error;
            }
        }
    }

    /// Why the zone must be signed now; `None` if it need not.
    fn reason(&mut self, now: u64) -> Option<String> {
        let written = zone::signature(&self.signed).map(|(written, _)| written);
        let Ok(written) = written else { return Some("there is no signed file".to_owned()) };
        let source = zone::signature(&self.source).ok();
        if self.seen.is_some() {
            if source.is_some() && source != self.seen {
                return Some("the zone file has changed".to_owned());
            }
            return (now >= self.due).then(|| "its signatures are old".to_owned());
        }
        // The first look: was it signed with these keys, after the zone file was written, and not too long ago?
        if source.is_some_and(|(changed, _)| changed > written) {
            return Some("the zone file has changed".to_owned());
        }
        let state = zone::read(&self.signed, self.origin).ok().map(Arc::new).and_then(|zone| State::of(&zone));
        let Some(state) = state else { return Some("the signed file has no signatures".to_owned()) };
        let mut wanted: Vec<&[u8]> = self.keys.iter().map(|key| &**key.data()).collect();
        wanted.sort_unstable();
        if state.keys.iter().map(Vec::as_slice).ne(wanted) {
            return Some("the keys are others".to_owned());
        }
        self.seen = source;
        self.due = due(state.validity);
        (now >= self.due || now < u64::from(state.validity.inception)).then(|| "its signatures are old".to_owned())
    }

    fn sign(&mut self, now: u32) -> Result<u32, String> {
        // What is written meanwhile is another version, to be signed next time.
        let seen = zone::signature(&self.source).map_err(|error| format!("{}: {error}", self.source.display()))?;
        let zone = Arc::new(zone::read(&self.source, self.origin).map_err(|error| error.to_string())?);
        let validity = Validity {
            inception: now - BEFORE - rand::random_range(0..BEFORE_JITTER),
            expiration: now + AHEAD + rand::random_range(0..AHEAD_JITTER),
        };
        let records = sign_zone(&zone, &self.keys, now, validity).ok_or("a key cannot sign")?;
        let mut out = String::new();
        for record in &records {
            out.push_str(&text::line(record));
            out.push('\n');
        }
        replace(&self.signed, out.as_bytes()).map_err(|error| format!("{}: {error}", self.signed.display()))?;
        self.seen = Some(seen);
        self.due = due(validity);
        Ok(now)
    }
}

/// Puts a file in the place of another at one stroke, so that nobody reads half of it.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // The same zone may be signed by two blocks at once, and by another process.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let fresh = path.with_extension(format!("signed-new-{}-{number}", std::process::id()));
    let mut file = File::create(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

/// When what has these signatures must be signed anew, seconds since 1970.
fn due(validity: Validity) -> u64 {
    u64::from(validity.inception.saturating_add(OLD).min(validity.expiration.saturating_sub(LEFT)))
}

/// What a signed file says of itself.
struct State {
    keys: Vec<Vec<u8>>,
    validity: Validity,
}

impl State {
    fn of(zone: &Arc<Zone>) -> Option<Self> {
        let mut keys = Vec::new();
        let mut validity = None;
        let at_the_top = |record: &Record| record.owner.resolve(&Name::root()) == *zone.origin();
        for record in zone.records().take_while(at_the_top) {
            match &record.data {
                RData::Other(RecordType::DNSKEY, data) => keys.push(data.to_vec()),
                RData::Other(RecordType::RRSIG, data) if RecordType::SOA == covered(data)? => {
                    let each = Validity::of_signature(data)?;
                    let earliest = |known: Validity| Validity {
                        inception: known.inception.min(each.inception),
                        expiration: known.expiration.min(each.expiration),
                    };
                    validity = Some(validity.map_or(each, earliest));
                }
                _ => {}
            }
        }
        keys.sort_unstable();
        Some(Self { keys, validity: validity? })
    }
}

fn covered(signature: &[u8]) -> Option<RecordType> {
    signature.first_chunk().map(|kind| RecordType(crate::wire::octets_of_short(*kind)))
}
