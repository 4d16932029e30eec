use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use super::WireError;

/// Longest name in wire form, the root's zero octet included (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
const MAX_POINTERS: usize = 126;

/// A domain name in wire form, inline and without heap. Comparison and hash are blind to case (RFC 4343);
/// the spelling is kept.
#[derive(Clone, Copy)]
pub struct Name {
    length: u8,
    bytes: [u8; MAX_NAME],
}

/// Why a text is not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a dot at the start.
    #[error("empty label in a domain name")]
    EmptyLabel,
    /// More than 63 octets between two dots.
    #[error("label longer than 63 octets")]
    LabelTooLong,
    /// More than 255 octets in wire form.
    #[error("name longer than 255 octets")]
    NameTooLong,
    /// A backslash without the character or the three digits that belong behind it.
    #[error("bad escape in a domain name")]
    Escape,
}

impl Name {
    /// The root, `.`.
    pub const fn root() -> Self {
        Self { length: 1, bytes: [0; MAX_NAME] }
    }

    /// Reads presentation form. A missing last dot is taken as there; `\.` and `\DDD` are understood.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let mut name = Self { length: 0, bytes: [0; MAX_NAME] };
        if text == "." {
            return Ok(Self::root());
        }
        let mut label = [0u8; MAX_LABEL];
        let mut filled = 0usize;
        let mut input = text.bytes();
        let mut open = false;
        while let Some(octet) = input.next() {
            let octet = match octet {
                b'.' => {
                    name.push(&label[..filled])?;
                    filled = 0;
                    open = false;
                    continue;
                }
                b'\\' => escaped(&mut input)?,
                other => other,
            };
            open = true;
            *label.get_mut(filled).ok_or(NameError::LabelTooLong)? = octet;
            filled += 1;
        }
        if open {
            name.push(&label[..filled])?;
        } else if name.length == 0 {
            return Err(NameError::EmptyLabel);
        }
        name.finish()
    }

    /// A name of these labels, first label first, below `parent`.
    pub fn under<'a>(labels: impl IntoIterator<Item = &'a [u8]>, parent: &Self) -> Result<Self, NameError> {
        let mut name = Self { length: 0, bytes: [0; MAX_NAME] };
        for label in labels {
            name.push(label)?;
        }
        let start = usize::from(name.length);
        let end = start + parent.wire().len();
        name.bytes.get_mut(start..end).ok_or(NameError::NameTooLong)?.copy_from_slice(parent.wire());
        name.length = u8::try_from(end).map_err(|_| NameError::NameTooLong)?;
        Ok(name)
    }

    /// A name from its uncompressed wire form, which must end with the root and hold nothing behind it.
    pub fn from_wire(wire: &[u8]) -> Result<Self, WireError> {
        let (name, end) = Self::read(wire, 0)?;
        if end == wire.len() { Ok(name) } else { Err(WireError::RData) }
    }

    /// Reads a name, compressed or not, at `start` of a message; gives also the offset behind it.
    pub(super) fn read(message: &[u8], start: usize) -> Result<(Self, usize), WireError> {
        let mut name = Self { length: 0, bytes: [0; MAX_NAME] };
        let mut at = start;
        let mut end = None;
        let mut pointers = 0;
        loop {
            let head = *message.get(at).ok_or(WireError::Short)?;
            match head {
                0 => {
                    let name = name.finish().map_err(|_| WireError::NameTooLong)?;
                    return Ok((name, end.unwrap_or(at + 1)));
                }
                1..=63 => {
                    let label = message.get(at + 1..at + 1 + usize::from(head)).ok_or(WireError::Short)?;
                    name.push(label).map_err(|_| WireError::NameTooLong)?;
                    at += 1 + usize::from(head);
                }
                0xC0.. => {
                    let low = *message.get(at + 1).ok_or(WireError::Short)?;
                    end.get_or_insert(at + 2);
                    let target = usize::from(u16::from_be_bytes([head & 0x3F, low]));
                    pointers += 1;
                    // Only backwards, and not for ever: RFC 1035 section 4.1.4 says "a prior occurrence".
                    if target >= at || pointers > MAX_POINTERS {
                        return Err(WireError::Pointer);
                    }
                    at = target;
                }
                _ => return Err(WireError::Label),
            }
        }
    }

    fn push(&mut self, label: &[u8]) -> Result<(), NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if label.len() > MAX_LABEL {
            return Err(NameError::LabelTooLong);
        }
        let start = usize::from(self.length);
        let end = start + 1 + label.len();
        // One octet must be left for the root.
        if end >= MAX_NAME {
            return Err(NameError::NameTooLong);
        }
        self.bytes[start] = label.len() as u8;
        self.bytes[start + 1..end].copy_from_slice(label);
        self.length = end as u8;
        Ok(())
    }

    fn finish(mut self) -> Result<Self, NameError> {
        if usize::from(self.length) >= MAX_NAME {
            return Err(NameError::NameTooLong);
        }
        self.bytes[usize::from(self.length)] = 0;
        self.length += 1;
        Ok(self)
    }

    /// The wire form, the root's zero octet included.
    pub fn wire(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The labels from left to right, without the root.
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: self.wire() }
    }

    /// How many labels there are, the root not counted.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this is the root.
    pub const fn is_root(&self) -> bool {
        self.length == 1
    }

    /// Whether this name is `zone` or below it, by whole labels and blind to case.
    pub fn is_within(&self, zone: &Self) -> bool {
        zone.length == 1 || self.labels_above(zone).is_some()
    }

    /// How many labels stand left of `zone`; `None` if the name is not within it.
    pub fn labels_above(&self, zone: &Self) -> Option<usize> {
        let skip = self.wire().len().checked_sub(zone.wire().len())?;
        if !self.wire()[skip..].eq_ignore_ascii_case(zone.wire()) {
            return None;
        }
        let mut at = 0;
        let mut count = 0;
        while at < skip {
            at += 1 + usize::from(self.bytes[at]);
            count += 1;
        }
        (at == skip).then_some(count)
    }

    /// The wire form without the first `count` labels; just the root if there are fewer.
    pub fn tail(&self, count: usize) -> &[u8] {
        let mut rest = self.wire();
        for _ in 0..count {
            let length = usize::from(rest[0]);
            if length == 0 {
                break;
            }
            rest = &rest[1 + length..];
        }
        rest
    }

    /// The name without its first `count` labels.
    pub fn parent(&self, count: usize) -> Self {
        let tail = self.tail(count);
        let mut name = Self { length: tail.len() as u8, bytes: [0; MAX_NAME] };
        name.bytes[..tail.len()].copy_from_slice(tail);
        name
    }

    /// The same name in lower case.
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        let mut name = *self;
        // Length octets are at most 63, below 'A', so that all octets can be treated alike.
        name.bytes[..usize::from(self.length)].make_ascii_lowercase();
        name
    }
}

fn escaped(input: &mut impl Iterator<Item = u8>) -> Result<u8, NameError> {
    let first = input.next().ok_or(NameError::Escape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = input.next().filter(u8::is_ascii_digit).ok_or(NameError::Escape)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::Escape)
}

/// Iterator over the labels of a [`Name`].
#[derive(Debug, Clone)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, rest) = self.rest.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, rest) = rest.split_at(usize::from(length));
        self.rest = rest;
        Some(label)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.wire().eq_ignore_ascii_case(other.wire())
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.to_lowercase().wire());
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => write!(f, "\\{}", char::from(octet))?,
                    0x21..=0x7E => write!(f, "{}", char::from(octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
