//! Regular expressions as Go reads them (RE2), bounded before they serve. Every pattern of a Corefile is made here.

mod go;
#[cfg(test)]
mod tests;

use regex::{Regex, RegexBuilder, bytes};

/// The longest pattern, characters: as CoreDNS since 1.14.0.
const LONGEST: usize = 10_000;
/// What a compiled pattern may take, octets. `(a{1000}){1000}` would take far more.
const LARGEST: usize = 4 << 20;
/// The same for a pattern that is made anew for each query.
const LARGEST_MADE: usize = 1 << 15;
/// What a pattern may keep of what it has found out while it looked, octets.
const MEMORY: usize = 1 << 20;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// More characters than a pattern may have.
    #[error("a regular expression may have {LONGEST} characters")]
    TooLong,
    /// Its repetitions multiply.
    #[error("the regular expression is too large: its repetitions take more than {} KiB", .0 >> 10)]
    TooLarge(usize),
    /// Something that Go has and that is not here.
    #[error("bad regular expression: `{0}` is not there")]
    Absent(&'static str),
    /// Something that means nothing.
    #[error("bad regular expression: {0}")]
    Syntax(String),
}

/// A pattern for texts.
///
/// # Errors
/// It is none, or larger than patterns may be.
pub fn of_text(pattern: &str) -> Result<Regex, PatternError> {
    sized(pattern, LARGEST)
}

/// A pattern that a query makes, which must not cost the server much.
///
/// # Errors
/// As [`of_text`].
pub fn of_query(pattern: &str) -> Result<Regex, PatternError> {
    sized(pattern, LARGEST_MADE)
}

/// A pattern for octets.
///
/// # Errors
/// As [`of_text`].
pub fn of_octets(pattern: &str) -> Result<bytes::Regex, PatternError> {
    let pattern = translated(pattern)?;
    bytes::RegexBuilder::new(&pattern)
        .size_limit(LARGEST)
        .dfa_size_limit(MEMORY)
        .build()
        .map_err(|error| reason(&error))
}

fn sized(pattern: &str, largest: usize) -> Result<Regex, PatternError> {
    let pattern = translated(pattern)?;
    let built = RegexBuilder::new(&pattern).size_limit(largest).dfa_size_limit(MEMORY).build();
    built.map_err(|error| reason(&error))
}

fn translated(pattern: &str) -> Result<String, PatternError> {
    if pattern.chars().count() > LONGEST {
        return Err(PatternError::TooLong);
    }
    go::translated(pattern)
}

fn reason(error: &regex::Error) -> PatternError {
    match error {
        regex::Error::CompiledTooBig(limit) => PatternError::TooLarge(*limit),
        // The last line says what is wrong; those above draw the pattern again.
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            PatternError::Syntax(last.strip_prefix("error: ").unwrap_or(last).to_owned())
        }
    }
}
