use std::{io, path::Path, time::SystemTime};

use super::{
    Zone,
    text::{Limits, MasterFile, TextError},
    tree::Draft,
};
use crate::wire::Name;

/// The most records that a file may make; a zone of that size takes about a gigabyte.
const MOST: usize = 5_000_000;
/// How often a file is read that changes while it is read.
const ATTEMPTS: usize = 3;

/// What a file looks like from outside: when it was written and how long it is.
pub type Signature = (SystemTime, u64);

/// What a file looks like now.
///
/// # Errors
/// It is not there, or is no file.
pub fn signature(file: &Path) -> io::Result<Signature> {
    let metadata = std::fs::metadata(file)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file"));
    }
    Ok((metadata.modified()?, metadata.len()))
}

/// Reads a zone from a master file. Blocks: to be called where that does no harm.
///
/// # Errors
/// What is wrong with the file, and where.
pub fn load(file: &Path, origin: Name) -> Result<Zone, TextError> {
    let text = steady(file).map_err(|error| TextError::of_file(file, error.to_string()))?;
    let include = |path: &Path| steady(path);
    let limits = Limits { records: MOST, default_ttl: None, include: Some(&include) };
    let mut draft = Draft::new(origin);
    let mut add = |record| draft.add(record).map_err(|error| error.to_string());
    MasterFile::new(file, origin, &limits).read(&text, &mut add)?;
    draft.finish().map_err(|error| TextError::of_file(file, error.to_string()))
}

/// The text of a file that nobody wrote to meanwhile.
fn steady(file: &Path) -> io::Result<Vec<u8>> {
    for _ in 0..ATTEMPTS {
        let before = signature(file)?;
        let text = std::fs::read(file)?;
        if signature(file)? == before && text.len() as u64 == before.1 {
            return Ok(text);
        }
    }
    Err(io::Error::other("it changes while it is read"))
}
