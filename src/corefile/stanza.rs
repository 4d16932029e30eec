use std::{ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

use super::{Error, Span, address::zones_of};

/// A word and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The word without its quotes, variables put in.
    pub text: String,
    /// Whether it stood in quotes.
    pub quoted: bool,
    /// Where it stands.
    pub span: Span,
}

/// A directive of a server block with all its repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    /// The directive's name where it stands first.
    pub name: Token,
    /// Each time it stands in the block, at least one.
    pub instances: Vec<Instance>,
    /// Names of all directives of the block.
    pub neighbours: Arc<[String]>,
}

/// One use of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The directive's name.
    pub name: Token,
    /// The words behind it.
    pub args: Vec<Token>,
    /// The lines in its braces.
    pub lines: Vec<Line>,
    /// Whether it has braces.
    pub braces: bool,
}

/// A line in the braces of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The first word.
    pub word: Token,
    /// The words behind it.
    pub args: Vec<Token>,
    /// The lines in its own braces.
    pub lines: Vec<Self>,
    /// Whether it has braces.
    pub braces: bool,
}

impl Stanza {
    /// The only instance.
    ///
    /// # Errors
    /// There is a second one.
    pub fn once(&self) -> Result<&Instance, Error> {
        match self.instances.as_slice() {
            [only] => Ok(only),
            [_, second, ..] => Err(second.error("may stand only once in a server block")),
            [] => Err(self.name.error("stands nowhere")),
        }
    }

    /// Whether the block has this directive too.
    pub fn stands_beside(&self, directive: &str) -> bool {
        self.neighbours.iter().any(|name| name == directive)
    }
}

impl Instance {
    /// The words behind the name, to be read one by one.
    pub fn args(&self) -> Args<'_> {
        Args { head: &self.name, args: &self.args, word: &self.name, lines: &[] }
    }

    /// Refuses arguments.
    ///
    /// # Errors
    /// There is one.
    pub fn no_args(&self) -> Result<(), Error> {
        self.args().finish()
    }

    /// Refuses braces.
    ///
    /// # Errors
    /// There are some.
    pub fn no_block(&self) -> Result<(), Error> {
        no_block(&self.name, &self.lines)
    }

    /// An error at the directive's name.
    pub fn error(&self, message: impl Into<String>) -> Error {
        self.name.error(message)
    }
}

impl Line {
    /// The words behind the first, to be read one by one. The line may have no braces of its own: whoever reads to
    /// the end of it refuses them.
    pub fn args(&self) -> Args<'_> {
        Args { lines: &self.lines, ..self.args_before_block() }
    }

    /// As [`Line::args`], for a line that may have braces of its own.
    pub fn args_before_block(&self) -> Args<'_> {
        Args { head: &self.word, args: &self.args, word: &self.word, lines: &[] }
    }

    /// Refuses braces.
    ///
    /// # Errors
    /// There are some.
    pub fn no_block(&self) -> Result<(), Error> {
        no_block(&self.word, &self.lines)
    }

    /// Refuses arguments.
    ///
    /// # Errors
    /// There is one.
    pub fn no_args(&self) -> Result<(), Error> {
        self.args().finish()
    }

    /// An error at the first word.
    pub fn error(&self, message: impl Into<String>) -> Error {
        self.word.error(message)
    }

    /// The error for a word that is none of those known here.
    pub fn unknown(&self, known: &[&str]) -> Error {
        self.word.unknown("property", known)
    }
}

impl Token {
    /// An error at this word.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::new(self.span.clone(), message.into())
    }

    /// The error for a word that is none of those known here.
    pub fn unknown(&self, what: &str, known: &[&str]) -> Error {
        self.error(format!("unknown {what} `{}`{}", self.text, self.hint(known)))
    }

    /// What this word stands for; `what` says what it is.
    ///
    /// # Errors
    /// It is none of the `known` ones.
    pub fn choose<T: Copy>(&self, what: &str, known: &[(&str, T)]) -> Result<T, Error> {
        let found = known.iter().find(|(word, _)| *word == self.text).map(|(_, meaning)| *meaning);
        found.ok_or_else(|| self.unknown(what, &known.iter().map(|(word, _)| *word).collect::<Vec<_>>()))
    }

    /// The word that may have been meant, or all that are known, as the end of a sentence.
    pub fn hint(&self, known: &[&str]) -> String {
        let near = known.iter().map(|word| (distance(word, &self.text), word)).min();
        match near {
            Some((steps, word)) if steps <= 2 && steps < word.len() => format!("; did you mean `{word}`?"),
            _ if known.is_empty() => String::new(),
            _ => format!("; expected one of: {}", known.join(", ")),
        }
    }
}

fn no_block(word: &Token, lines: &[Line]) -> Result<(), Error> {
    match lines.first() {
        Some(line) => Err(line.word.error(format!("`{}` takes no block", word.text))),
        None => Ok(()),
    }
}

/// How many letters must be put in, taken out or changed to get from one word to the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in other.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != b)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[other.len()]
}

/// Reads the words of a line from left to right; every failure knows its place.
#[derive(Debug, Clone)]
pub struct Args<'a> {
    /// The last word that was read.
    head: &'a Token,
    args: &'a [Token],
    /// The first word of the line.
    word: &'a Token,
    /// What stands in braces behind the line, where nothing may.
    lines: &'a [Line],
}

impl<'a> Args<'a> {
    /// The next word.
    #[allow(clippy::should_implement_trait, reason = "reads like the other readers beside it")]
    pub fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.args.split_first()?;
        self.head = first;
        self.args = rest;
        Some(first)
    }

    /// The next word, left where it is.
    pub fn peek(&self) -> Option<&'a Token> {
        self.args.first()
    }

    /// The next word, which must be there. `what` says what is missing.
    ///
    /// # Errors
    /// The line has ended.
    pub fn require(&mut self, what: &str) -> Result<&'a Token, Error> {
        let behind = self.head.span.behind();
        self.next().ok_or_else(|| Error::new(behind, format!("expected {what}")))
    }

    /// All words that are left.
    pub const fn rest(&mut self) -> &'a [Token] {
        let rest = self.args;
        self.args = &[];
        rest
    }

    /// Ends the line.
    ///
    /// # Errors
    /// A word is left, or a property has braces.
    pub fn finish(self) -> Result<(), Error> {
        match self.args.first() {
            Some(word) => Err(word.error(format!("unexpected argument `{}`", word.text))),
            None => no_block(self.word, self.lines),
        }
    }

    /// The only word.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn one(mut self, what: &str) -> Result<&'a Token, Error> {
        let word = self.require(what)?;
        self.finish()?;
        Ok(word)
    }

    /// All words as paths; fewer than `N` may be there.
    ///
    /// # Errors
    /// There are more.
    pub fn paths<const N: usize>(mut self) -> Result<[Option<PathBuf>; N], Error> {
        let paths = std::array::from_fn(|_| self.next().map(|word| PathBuf::from(&word.text)));
        self.finish()?;
        Ok(paths)
    }

    /// The next word as a duration.
    ///
    /// # Errors
    /// It is missing or no duration.
    pub fn duration(&mut self, what: &str) -> Result<Duration, Error> {
        self.require("a duration").and_then(Token::duration).map_err(|error| error.within(what))
    }

    /// The next word as a whole number within `range`.
    ///
    /// # Errors
    /// It is missing, no number, or out of range.
    pub fn integer(&mut self, what: &str, range: RangeInclusive<i64>) -> Result<i64, Error> {
        self.require("a number").map_err(|error| error.within(what))?.integer(what, range)
    }

    /// All words that are left as zones, networks turned into reverse zones.
    ///
    /// # Errors
    /// One of them is no domain name.
    pub fn zones(&mut self) -> Result<Vec<String>, Error> {
        let mut zones = Vec::new();
        for word in self.rest() {
            zones.extend(zones_of(word)?);
        }
        no_block(self.word, self.lines)?;
        Ok(zones)
    }

    /// As [`Args::zones`]; without words, `default`.
    ///
    /// # Errors
    /// As [`Args::zones`].
    pub fn zones_or(&mut self, default: &[String]) -> Result<Vec<String>, Error> {
        let zones = self.zones()?;
        if zones.is_empty() { Ok(default.to_vec()) } else { Ok(zones) }
    }

    /// The zones of `fallthrough`: without words, all.
    ///
    /// # Errors
    /// As [`Args::zones`].
    pub fn fallthrough(&mut self) -> Result<Vec<String>, Error> {
        self.zones_or(&[".".to_owned()])
    }
}
