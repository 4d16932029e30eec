//! Names as rules see them: in lower case, as text, with the last dot.

use std::cell::OnceCell;

use smallvec::SmallVec;

use crate::wire::Name;

/// A name that rules are compared with. Its text is made when the first rule wants it, without heap for usual lengths.
pub(super) struct Subject {
    pub(super) name: Name,
    text: OnceCell<SmallVec<[u8; 256]>>,
}

impl Subject {
    pub(super) const fn new(name: Name) -> Self {
        Self { name, text: OnceCell::new() }
    }

    /// The name in lower case with its last dot; always ASCII.
    pub(super) fn text(&self) -> &[u8] {
        self.text.get_or_init(|| written(&self.name))
    }
}

/// Escapes what CoreDNS's DNS library escapes, so that patterns written for it hold.
fn written(name: &Name) -> SmallVec<[u8; 256]> {
    let mut text = SmallVec::new();
    for label in name.labels() {
        for &octet in label {
            match octet {
                b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => text.extend([b'\\', octet]),
                0x21..=0x7E => text.push(octet.to_ascii_lowercase()),
                _ => text.extend([b'\\', b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10]),
            }
        }
        text.push(b'.');
    }
    if text.is_empty() {
        text.push(b'.');
    }
    text
}

/// What a rule made of a name, which is no name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid name after rewrite: {0}")]
pub(super) struct Invalid(String);

/// The name that this text is.
pub(super) fn parsed(text: Vec<u8>) -> Result<Name, Invalid> {
    let text = String::from_utf8_lossy(&text).into_owned();
    Name::parse(&text).map_err(|_| Invalid(text))
}

/// `name` with `to` in the place of `from`, if it is `from` or below it.
pub(super) fn moved(name: &Name, from: &Name, to: &Name) -> Option<Result<Name, Invalid>> {
    // All names are below the root; only the root itself was put there by a rule.
    let above = name.labels_above(from).filter(|&above| above == 0 || !from.is_root())?;
    let made = Name::under(name.labels().take(above), to);
    Some(made.map_err(|_| Invalid(format!("{name} below {to}"))))
}
