use regex::bytes::Regex;

use super::{
    name::{Invalid, Subject, moved, parsed},
    template::Template,
};
use crate::{
    corefile::{Error, Token},
    pattern,
    wire::Name,
};

/// How a rule compares names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Exact,
    Prefix,
    Suffix,
    Substring,
    Regex,
}

impl Kind {
    pub(super) const NAMES: [&'static str; 5] = ["exact", "prefix", "suffix", "substring", "regex"];

    pub(super) fn parse(word: &Token) -> Result<Self, Error> {
        match word.text.to_ascii_lowercase().as_str() {
            "exact" => Ok(Self::Exact),
            "prefix" => Ok(Self::Prefix),
            "suffix" => Ok(Self::Suffix),
            "substring" => Ok(Self::Substring),
            "regex" => Ok(Self::Regex),
            _ => Err(word.unknown("kind of match", &Self::NAMES)),
        }
    }
}

/// Whether the texts of a rule get the last dot that is missing. CoreDNS does so but for `cname`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastDot {
    Added,
    AsWritten,
}

impl LastDot {
    fn text(self, word: &Token) -> Result<String, Error> {
        let mut text = word.text.to_ascii_lowercase();
        if self == Self::Added && !text.ends_with('.') {
            text.push('.');
        }
        if text.is_empty() { Err(word.error("expected a part of a name, found nothing")) } else { Ok(text) }
    }
}

/// Which names a rule is about.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    Exact(Box<Name>),
    Prefix(String),
    Suffix(String),
    Substring(String),
    Regex(Regex),
}

impl Pattern {
    pub(super) fn read(kind: Kind, word: &Token, dot: LastDot) -> Result<Self, Error> {
        Ok(match kind {
            Kind::Exact => Self::Exact(Box::new(name(word)?)),
            Kind::Prefix => Self::Prefix(dot.text(word)?),
            Kind::Suffix => Self::Suffix(dot.text(word)?),
            Kind::Substring => Self::Substring(dot.text(word)?),
            Kind::Regex => Self::Regex(compile(word)?),
        })
    }

    pub(super) fn matches(&self, subject: &Subject) -> bool {
        match self {
            Self::Exact(name) => subject.name == **name,
            Self::Prefix(text) => subject.text().starts_with(text.as_bytes()),
            Self::Suffix(text) => subject.text().ends_with(text.as_bytes()),
            Self::Substring(text) => find(subject.text(), text.as_bytes()).is_some(),
            Self::Regex(regex) => regex.is_match(subject.text()),
        }
    }
}

/// Which names a rule is about, and what it makes of them.
#[derive(Debug, Clone)]
pub(super) enum Renaming {
    Exact { from: Box<Name>, to: Box<Name> },
    Prefix { from: String, to: String },
    Suffix { from: String, to: String },
    Substring { from: String, to: String },
    Regex { from: Regex, to: Template },
}

impl Renaming {
    pub(super) fn read(kind: Kind, from: &Token, to: &Token, dot: LastDot) -> Result<Self, Error> {
        Ok(match kind {
            Kind::Exact => Self::Exact { from: Box::new(name(from)?), to: Box::new(name(to)?) },
            Kind::Prefix => Self::Prefix { from: dot.text(from)?, to: dot.text(to)? },
            Kind::Suffix => Self::Suffix { from: dot.text(from)?, to: dot.text(to)? },
            Kind::Substring => Self::Substring { from: dot.text(from)?, to: dot.text(to)? },
            Kind::Regex => Self::regex(from, to, false)?,
        })
    }

    /// A regular expression and what stands in the place of what it matches; `labels` reads `{plugin/label}` there.
    pub(super) fn regex(from: &Token, to: &Token, labels: bool) -> Result<Self, Error> {
        let from = compile(from)?;
        let to = Template::read(to, from.captures_len() - 1, labels)?;
        Ok(Self::Regex { from, to })
    }

    /// The new name; `None` if the rule is not about this one, or if a label that it needs is not there.
    pub(super) fn apply(
        &self,
        subject: &Subject,
        label: impl Fn(&str) -> Option<String>,
    ) -> Option<Result<Name, Invalid>> {
        let text = || subject.text();
        let made = match self {
            Self::Exact { from, to } => return (subject.name == **from).then_some(Ok(**to)),
            Self::Prefix { from, to } => [to.as_bytes(), text().strip_prefix(from.as_bytes())?].concat(),
            Self::Suffix { from, to } => [text().strip_suffix(from.as_bytes())?, to.as_bytes()].concat(),
            Self::Substring { from, to } => replaced(text(), from.as_bytes(), to.as_bytes())?,
            Self::Regex { from, to } => to.fill(&from.captures(text())?, label)?,
        };
        Some(parsed(made))
    }

    /// Takes back in a name of the answer what made `is` of `was` in the question.
    pub(super) fn undo(&self, name: &Name, was: &Name, is: &Name) -> Option<Result<Name, Invalid>> {
        let Self::Suffix { from, to } = self else { return moved(name, is, was) };
        let subject = Subject::new(*name);
        let kept = subject.text().strip_suffix(to.as_bytes())?;
        Some(parsed([kept, from.as_bytes()].concat()))
    }
}

fn name(word: &Token) -> Result<Name, Error> {
    Name::parse(&word.text).map(|name| name.to_lowercase()).map_err(|error| word.error(error.to_string()))
}

fn compile(word: &Token) -> Result<Regex, Error> {
    pattern::of_octets(&word.text).map_err(|error| word.error(error.to_string()))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// `text` with `to` for each `from`; `None` if there is none.
fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    let mut made = Vec::new();
    find(rest, from)?;
    while let Some(at) = find(rest, from) {
        made.extend_from_slice(&rest[..at]);
        made.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    made.extend_from_slice(rest);
    Some(made)
}
