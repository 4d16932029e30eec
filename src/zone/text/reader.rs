use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    Fault, TextError,
    fields::{self, Words, name, type_of},
    generate::{Range, filled_in},
    scan::{Scanner, Word},
};
use crate::wire::{Class, Name, RData, RecordType};

/// How deep files may include one another.
const DEEPEST: usize = 7;

/// A record as a text gives it, its data in uncompressed wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRecord {
    /// Whose record it is.
    pub owner: Name,
    /// Class, practically always `IN`.
    pub class: Class,
    /// Seconds.
    pub ttl: u32,
    /// Type.
    pub record_type: RecordType,
    /// Data.
    pub data: Vec<u8>,
}

/// What a text may do.
pub struct Limits<'a> {
    /// How many records it may hold.
    pub records: usize,
    /// The TTL in seconds where nothing says one; without it that is an error.
    pub default_ttl: Option<u32>,
    /// Reads a file for `$INCLUDE`; without it there are no includes.
    pub include: Option<&'a Include<'a>>,
}

/// Reads a file.
pub type Include<'a> = dyn Fn(&Path) -> io::Result<Vec<u8>> + 'a;

/// Takes a record; a text says why it does not.
pub type Take<'t> = dyn FnMut(TextRecord) -> Result<(), String> + 't;

/// Reads a master file and the files that it includes.
pub struct MasterFile<'a> {
    limits: &'a Limits<'a>,
    file: PathBuf,
    depth: usize,
    count: usize,
    origin: Name,
    owner: Option<Name>,
    class: Class,
    /// `$TTL`.
    default_ttl: Option<u32>,
    /// The TTL that was said last.
    last_ttl: Option<u32>,
}

impl<'a> MasterFile<'a> {
    /// A reader for the text of `file`, whose names are below `origin`.
    pub fn new(file: &Path, origin: Name, limits: &'a Limits<'a>) -> Self {
        let file = file.to_owned();
        let class = Class::IN;
        Self { limits, file, depth: 0, count: 0, origin, owner: None, class, default_ttl: None, last_ttl: None }
    }

    /// Reads a text from its start to its end.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(&mut self, text: &[u8], take: &mut Take<'_>) -> Result<(), TextError> {
        let mut scanner = Scanner::new(text);
        let mut words = Vec::new();
        loop {
            match scanner.entry(&mut words).map_err(|fault| self.placed(fault))? {
                None => return Ok(()),
                Some(_) if words[0].plain().eq_ignore_ascii_case("$INCLUDE") => self.include(&words, take)?,
                Some(blank) => self.entry(&words, blank, take).map_err(|fault| self.placed(fault))?,
            }
        }
    }

    fn placed(&self, fault: Fault) -> TextError {
        let Fault { line, column, message } = fault;
        TextError { file: self.file.display().to_string(), place: Some((line, column)), message }
    }

    fn entry(&mut self, words: &[Word<'_>], blank: bool, take: &mut Take<'_>) -> Result<(), Fault> {
        let first = &words[0];
        let mut rest = Words::new(words, first.place);
        if blank || !first.plain().starts_with('$') {
            return self.record(words, blank, take);
        }
        rest.next();
        match first.plain().to_ascii_uppercase().as_str() {
            "$ORIGIN" => self.origin = name(rest.require("a name")?, &self.origin)?,
            "$TTL" => {
                let word = rest.require("a time")?;
                let period = fields::period(word.plain());
                self.default_ttl = Some(period.ok_or_else(|| word.fault(format!("bad TTL `{}`", word.shown())))?);
            }
            "$GENERATE" => return self.generate(rest, take),
            _ => return Err(first.fault(format!("unknown control entry `{}`", first.shown()))),
        }
        rest.finish()
    }

    fn record(&mut self, words: &[Word<'_>], blank: bool, take: &mut Take<'_>) -> Result<(), Fault> {
        let mut rest = Words::new(words, words[0].place);
        let owner = match rest.peek() {
            Some(word) if !blank => {
                rest.next();
                name(word, &self.origin)?
            }
            _ => self.owner.ok_or_else(|| words[0].fault("no owner stands above this"))?,
        };
        self.owner = Some(owner);
        let (mut ttl, mut class) = (None, None);
        // TTL and class may stand in either order, or not at all (RFC 1035 section 5.1).
        let record_type = loop {
            let word = rest.require("a type")?;
            let text = word.plain();
            if ttl.is_none() && text.starts_with(|c: char| c.is_ascii_digit()) {
                let period = fields::period(text);
                ttl = Some(period.ok_or_else(|| word.fault(format!("bad TTL `{text}`")))?);
            } else if let Some(known) = Class::from_mnemonic(&text.to_ascii_uppercase()).filter(|_| class.is_none()) {
                class = Some(known);
            } else {
                break type_of(word)?;
            }
        };
        let data = fields::data(record_type, &mut rest, &self.origin)?;
        self.last_ttl = ttl.or(self.last_ttl);
        self.class = class.unwrap_or(self.class);
        let known = ttl.or(self.default_ttl).or(self.last_ttl).or(self.limits.default_ttl);
        let ttl = match known {
            Some(ttl) => ttl,
            // As RFC 1035 section 3.3.13 had it, and as name servers still take it.
            None if record_type == RecordType::SOA => *self.last_ttl.insert(minimum(&data)),
            None => return Err(words[0].fault("no TTL, and none stands above")),
        };
        self.count += 1;
        if self.count > self.limits.records {
            return Err(words[0].fault(format!("more than {} records", self.limits.records)));
        }
        take(TextRecord { owner, class: self.class, ttl, record_type, data }).map_err(|text| words[0].fault(text))
    }

    fn generate(&mut self, mut rest: Words<'_, '_>, take: &mut Take<'_>) -> Result<(), Fault> {
        let range = Range::read(rest.require("a range")?)?;
        rest.peek().map_or_else(|| rest.require("a name").map(drop), |_| Ok(()))?;
        let pattern: Vec<&Word<'_>> = rest.rest().collect();
        for number in range.numbers() {
            let filled = |word: &&Word<'_>| {
                let text = filled_in(&word.text, number, word.place)?;
                Ok(Word { text: text.into(), quoted: word.quoted, place: word.place })
            };
            let words = pattern.iter().map(filled).collect::<Result<Vec<_>, Fault>>()?;
            self.record(&words, false, take)?;
        }
        Ok(())
    }

    /// `$INCLUDE file [origin]`: the file's `$ORIGIN` and owners end with it.
    fn include(&mut self, words: &[Word<'_>], take: &mut Take<'_>) -> Result<(), TextError> {
        let (path, text, origin) = self.included(words).map_err(|fault| self.placed(fault))?;
        let outer = (std::mem::replace(&mut self.file, path), self.origin, self.owner);
        self.origin = origin;
        self.depth += 1;
        self.read(&text, take)?;
        self.depth -= 1;
        (self.file, self.origin, self.owner) = outer;
        Ok(())
    }

    fn included(&self, words: &[Word<'_>]) -> Result<(PathBuf, Vec<u8>, Name), Fault> {
        let mut rest = Words::new(words, words[0].place);
        rest.next();
        let word = rest.require("a file")?;
        let origin = rest.next().map_or(Ok(self.origin), |word| name(word, &self.origin))?;
        rest.finish()?;
        let Some(include) = self.limits.include else { return Err(words[0].fault("no file may be included here")) };
        if self.depth >= DEEPEST {
            return Err(word.fault("files include one another too deeply"));
        }
        let path = self.file.parent().unwrap_or_else(|| Path::new("")).join(word.shown());
        let text = include(&path).map_err(|error| word.fault(format!("{}: {error}", path.display())))?;
        Ok((path, text, origin))
    }
}

/// The last field of an SOA.
fn minimum(data: &[u8]) -> u32 {
    match RData::from_wire(RecordType::SOA, data) {
        Ok(RData::Soa(soa)) => soa.minimum,
        _ => 0,
    }
}
