use std::{
    hash::{DefaultHasher, Hasher as _},
    io,
    path::Path,
    time::SystemTime,
};

use super::{
    Zone,
    text::{Limits, MasterFile, TextError},
    tree::Draft,
};
use crate::wire::Name;

/// The most records that a file may make; a zone of that size takes about a gigabyte.
const MOST: usize = 5_000_000;
/// The largest file, octets: beyond that are no zones, and no memory.
const LARGEST: u64 = 1 << 30;
/// How often a file is read that changes while it is read.
const ATTEMPTS: usize = 3;

/// What a file looks like from outside: when it was written and how long it is.
pub type Signature = (SystemTime, u64);

/// How much of a file was read, and what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    length: usize,
    hash: u64,
}

impl Extent {
    /// That of a text.
    pub fn of(text: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(text);
        Self { length: text.len(), hash: hasher.finish() }
    }

    /// Whether a text begins with what was read and goes on: then only a part of it had been written.
    pub fn is_continued_by(&self, text: &[u8]) -> bool {
        text.len() > self.length && Self::of(&text[..self.length]) == *self
    }
}

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

/// The text of a master file. Blocks: to be called where that does no harm.
///
/// # Errors
/// It cannot be read, or somebody writes to it.
pub fn contents(file: &Path) -> Result<Vec<u8>, TextError> {
    steady(file).map_err(|error| TextError::of_file(file, error.to_string()))
}

/// Reads a zone from the text of a master file, and from those that it includes. Blocks.
///
/// # Errors
/// What is wrong with the file, and where.
pub fn load(file: &Path, text: &[u8], origin: Name) -> Result<Zone, TextError> {
    let include = |path: &Path| steady(path);
    let limits = Limits { records: MOST, default_ttl: None, include: Some(&include) };
    let mut draft = Draft::new(origin);
    let mut add = |record| draft.add(record).map_err(|error| error.to_string());
    MasterFile::new(file, origin, &limits).read(text, &mut add)?;
    draft.finish().map_err(|error| TextError::of_file(file, error.to_string()))
}

/// Reads a zone from a master file, and from those that it includes. Blocks.
///
/// # Errors
/// What is wrong with the file, and where.
pub fn read(file: &Path, origin: Name) -> Result<Zone, TextError> {
    load(file, &contents(file)?, origin)
}

/// The text of a file that nobody wrote to meanwhile.
fn steady(file: &Path) -> io::Result<Vec<u8>> {
    for _ in 0..ATTEMPTS {
        let before = signature(file)?;
        if before.1 > LARGEST {
            return Err(io::Error::other("it is larger than 1 GiB"));
        }
        let text = std::fs::read(file)?;
        if signature(file)? == before && text.len() as u64 == before.1 {
            return Ok(text);
        }
    }
    Err(io::Error::other("it changes while it is read"))
}
