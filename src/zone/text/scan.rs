use std::borrow::Cow;

use super::Fault;

/// A word of a master file, its escapes not yet resolved.
#[derive(Debug, Clone)]
pub(super) struct Word<'a> {
    pub(super) text: Cow<'a, [u8]>,
    pub(super) quoted: bool,
    pub(super) place: Place,
}

/// Line and column in octets, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Place {
    pub(super) fn fault(self, message: impl Into<String>) -> Fault {
        Fault { line: self.line, column: self.column, message: message.into() }
    }
}

impl Word<'_> {
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        self.place.fault(message)
    }

    /// The word as a person reads it.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// An unquoted word as text; empty if it is none.
    pub(super) fn plain(&self) -> &str {
        if self.quoted { "" } else { std::str::from_utf8(&self.text).unwrap_or_default() }
    }
}

/// Cuts a master file into entries: a line, or several that parentheses hold together (RFC 1035 section 5.1).
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    line_start: usize,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, line: 1, line_start: 0 }
    }

    /// Reads the next entry that holds words; gives whether it begins with a blank, `None` at the end.
    pub(super) fn entry(&mut self, words: &mut Vec<Word<'a>>) -> Result<Option<bool>, Fault> {
        words.clear();
        let mut open: Vec<Place> = Vec::new();
        let mut blank = false;
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b'\n' => {
                    self.next_line();
                    if open.is_empty() {
                        if !words.is_empty() {
                            return Ok(Some(blank));
                        }
                        blank = false;
                    }
                }
                b' ' | b'\t' | b'\r' => {
                    blank |= self.at == self.line_start && words.is_empty() && open.is_empty();
                    self.at += 1;
                }
                b';' => self.at += self.text[self.at..].iter().take_while(|&&octet| octet != b'\n').count(),
                b'(' => {
                    open.push(self.place());
                    self.at += 1;
                }
                b')' => {
                    open.pop().ok_or_else(|| self.place().fault("a closing parenthesis too many"))?;
                    self.at += 1;
                }
                _ => words.push(self.word()?),
            }
        }
        if let Some(place) = open.last() {
            return Err(place.fault("a parenthesis that is never closed"));
        }
        Ok((!words.is_empty()).then_some(blank))
    }

    const fn place(&self) -> Place {
        Place { line: self.line, column: (self.at - self.line_start) as u32 + 1 }
    }

    const fn next_line(&mut self) {
        self.at += 1;
        self.line += 1;
        self.line_start = self.at;
    }

    fn word(&mut self) -> Result<Word<'a>, Fault> {
        let place = self.place();
        if self.text[self.at] == b'"' {
            let text = self.quoted()?;
            return Ok(Word { text: Cow::Borrowed(text), quoted: true, place });
        }
        let start = self.at;
        let mut joined: Option<Vec<u8>> = None;
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' => break,
                // `key="a b"` of SVCB is one word (RFC 9460 section 2.1); other quotes begin a new one.
                b'"' if self.text[self.at - 1] == b'=' => {
                    let before = joined.take().unwrap_or_else(|| self.text[start..self.at].to_vec());
                    let quoted = self.quoted()?;
                    joined = Some([&before, quoted].concat());
                }
                b'"' => break,
                b'\\' if self.at + 1 < self.text.len() => {
                    if let Some(text) = &mut joined {
                        text.extend_from_slice(&self.text[self.at..self.at + 2]);
                    }
                    self.at += 2;
                }
                other => {
                    if let Some(text) = &mut joined {
                        text.push(other);
                    }
                    self.at += 1;
                }
            }
        }
        let text = joined.map_or_else(|| Cow::Borrowed(&self.text[start..self.at]), Cow::Owned);
        Ok(Word { text, quoted: false, place })
    }

    /// What stands between two quotes, from the first of which it starts.
    fn quoted(&mut self) -> Result<&'a [u8], Fault> {
        let place = self.place();
        self.at += 1;
        let start = self.at;
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b'"' => {
                    self.at += 1;
                    return Ok(&self.text[start..self.at - 1]);
                }
                b'\n' => self.next_line(),
                b'\\' => self.at += 1 + usize::from(self.text.get(self.at + 1).is_some_and(|&next| next != b'\n')),
                _ => self.at += 1,
            }
        }
        Err(place.fault("a quote that is never closed"))
    }
}
