use std::{collections::HashMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::wire::Name;

/// Secrets by the names of their keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keyring(HashMap<Name, Box<[u8]>>);

/// Why a text is no key, or does not fit beside those that are there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is a key of this name already.
    #[error("key {0} stands twice")]
    Twice(Box<Name>),
    /// Something else is expected in a file of keys.
    #[error("line {line}: expected {expected}, found {found}")]
    Unexpected {
        /// Line, from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
        /// What stands there, if that is for logs.
        found: String,
    },
    /// The file of keys ends within a key.
    #[error("ends where {0} is expected")]
    End(&'static str),
}

/// The octets of a secret in base64; `None` if it is none.
pub fn secret(text: &str) -> Option<Box<[u8]>> {
    STANDARD.decode(text).ok().filter(|secret| !secret.is_empty()).map(Vec::into_boxed_slice)
}

impl Keyring {
    /// Adds a key.
    ///
    /// # Errors
    /// There is one of this name.
    pub fn add(&mut self, name: Name, secret: Box<[u8]>) -> Result<(), KeyringError> {
        match self.0.insert(name, secret) {
            None => Ok(()),
            Some(_) => Err(KeyringError::Twice(name.into())),
        }
    }

    /// Adds the keys of a text in the form of `named.conf`: `key "NAME" { algorithm A; secret "S"; };`, with comments. The
    /// algorithm is the asker's choice, whatever the text says.
    ///
    /// # Errors
    /// The text is something else.
    pub fn add_file(&mut self, text: &str) -> Result<(), KeyringError> {
        let mut words = Words::of(text);
        while let Some(word) = words.next() {
            word.expect("key", "`key`")?;
            let name = words.require("the name of a key")?;
            let name = Name::parse(&name.text).map_err(|_| name.unexpected("the name of a key"))?;
            words.require("`{`")?.expect("{", "`{`")?;
            let mut found = None;
            loop {
                let word = words.require("`secret` or `}`")?;
                match word.text.as_str() {
                    "}" => {
                        self.add(name, found.ok_or_else(|| word.unexpected("a `secret` before the end"))?)?;
                        break;
                    }
                    "algorithm" => _ = words.require("an algorithm")?,
                    "secret" => {
                        let word = words.require("a secret in base64")?;
                        found = Some(secret(&word.text).ok_or_else(|| word.unexpected("a secret in base64"))?);
                    }
                    _ => return Err(word.unexpected("`algorithm`, `secret` or `}`")),
                }
            }
        }
        Ok(())
    }

    pub(super) fn secret(&self, key: &Name) -> Option<&[u8]> {
        self.0.get(key).map(|secret| &**secret)
    }

    /// Whether there is a key of this name.
    pub fn has(&self, key: &Name) -> bool {
        self.0.contains_key(key)
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Secrets are not for logs.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The words of the grammar.
const WORDS: [&str; 5] = ["key", "algorithm", "secret", "{", "}"];

struct Word {
    text: String,
    line: usize,
}

impl Word {
    fn expect(&self, text: &str, expected: &'static str) -> Result<(), KeyringError> {
        if self.text == text { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn unexpected(&self, expected: &'static str) -> KeyringError {
        // What is no word of the grammar may be a secret, or most of one.
        let is_of_it = WORDS.contains(&self.text.as_str());
        let found = if is_of_it { format!("`{}`", self.text) } else { "something else".to_owned() };
        KeyringError::Unexpected { line: self.line, expected, found }
    }
}

/// The words of a text in the form of `named.conf`: quoted ones, `{` and `}`, without comments. A `;` is a space, so that none
/// is missed: CoreDNS does not want them either.
struct Words(std::vec::IntoIter<Word>);

impl Words {
    fn of(text: &str) -> Self {
        let mut words = Vec::new();
        let (mut line, mut rest) = (1, text);
        while let Some(first) = rest.chars().next() {
            let comment_end = if rest.starts_with('#') || rest.starts_with("//") {
                Some(rest.find('\n').unwrap_or(rest.len()))
            } else if rest.starts_with("/*") {
                Some(rest.find("*/").map_or(rest.len(), |at| at + 2))
            } else {
                None
            };
            let skip = if let Some(end) = comment_end {
                end
            } else if first.is_whitespace() || first == ';' {
                first.len_utf8()
            } else if first == '"' {
                let end = rest[1..].find('"').map_or(rest.len(), |at| at + 1);
                words.push(Word { text: rest[1..end].to_owned(), line });
                (end + 1).min(rest.len())
            } else if "{}".contains(first) {
                words.push(Word { text: first.into(), line });
                1
            } else {
                let ends = |c: char| c.is_whitespace() || "{};\"".contains(c);
                let end = rest.find(ends).unwrap_or(rest.len());
                words.push(Word { text: rest[..end].to_owned(), line });
                end
            };
            line += rest[..skip].matches('\n').count();
            rest = &rest[skip..];
        }
        Self(words.into_iter())
    }

    fn next(&mut self) -> Option<Word> {
        self.0.next()
    }

    fn require(&mut self, expected: &'static str) -> Result<Word, KeyringError> {
        self.next().ok_or(KeyringError::End(expected))
    }
}
