//! Records from text: the master file format of RFC 1035 section 5, with `$TTL` (RFC 2308), `$GENERATE`, TTLs with
//! units, and unknown types (RFC 3597).

mod fields;
mod generate;
mod location;
mod parameters;
mod reader;
mod scan;
#[cfg(test)]
mod tests;
mod types;
mod write;

use std::{fmt, path::Path};

pub use reader::{Include, Limits, MasterFile, Take, TextRecord};
pub use write::line;

use crate::wire::{Name, RData, Record, WireError};

/// The TTL of a record that says none and stands alone, seconds.
const ALONE_TTL: u32 = 3600;

/// What is wrong with a line of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: u32,
    /// Column in octets, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

/// What is wrong with a master file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// The file as its reader named it.
    pub file: String,
    /// The place in it; `None` if the file as a whole is wrong.
    pub place: Option<(u32, u32)>,
    /// What is wrong.
    pub message: String,
}

impl TextError {
    /// An error of a whole file.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.display().to_string(), place: None, message: message.into() }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for TextError {}

impl TextRecord {
    /// The record in the form in which answers hold it.
    ///
    /// # Errors
    /// The data, given in the form of RFC 3597, is none of its type.
    pub fn into_record(self) -> Result<Record, WireError> {
        let data = RData::from_wire(self.record_type, &self.data)?;
        Ok(Record { owner: self.owner.into(), class: self.class, ttl: self.ttl, data })
    }
}

/// Reads a record that stands alone: names are complete, the TTL is an hour if none is said. Of several the first one
/// counts; `None` if the text says nothing at all.
///
/// # Errors
/// The text is no record.
pub fn record(text: &str) -> Result<Option<Record>, Fault> {
    let limits = Limits { records: usize::MAX, default_ttl: Some(ALONE_TTL), include: None };
    let mut found = None;
    let mut take = |record: TextRecord| {
        if found.is_none() {
            found = Some(record.into_record().map_err(|error| error.to_string())?);
        }
        Ok(())
    };
    let read = MasterFile::new(Path::new(""), Name::root(), &limits).read(text.as_bytes(), &mut take);
    read.map_err(|error| {
        let (line, column) = error.place.unwrap_or((1, 1));
        Fault { line, column, message: error.message }
    })?;
    Ok(found)
}
