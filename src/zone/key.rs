use smallvec::SmallVec;

use crate::wire::Name;

/// A name in its zone as octets whose plain order is the canonical order of DNSSEC (RFC 4034 section 6.1): labels from
/// right to left in small letters, each ended by a zero. Names below a name begin with its key.
pub(super) type Key = SmallVec<[u8; 64]>;

/// What ends a label; smaller than all that labels hold.
const END: u8 = 0;
/// Stands in front of a zero and a one of a label, so that they are not taken for an end.
const ESCAPE: u8 = 1;

/// The key of the last `depth` of the labels that a name has above its zone.
pub(super) fn key_of(name: &Name, above: usize, depth: usize) -> Key {
    let labels: SmallVec<[&[u8]; 12]> = name.labels().take(above).skip(above - depth).collect();
    let mut key = Key::new();
    for label in labels.iter().rev() {
        push(&mut key, label);
    }
    key
}

/// Adds a label below the name of a key.
pub(super) fn push(key: &mut Key, label: &[u8]) {
    for octet in label.iter().map(u8::to_ascii_lowercase) {
        if octet <= ESCAPE {
            key.push(ESCAPE);
        }
        key.push(octet + u8::from(octet <= ESCAPE));
    }
    key.push(END);
}

/// The name of a key in a zone.
pub(super) fn name_of(key: &[u8], origin: &Name) -> Name {
    let mut labels: Vec<Vec<u8>> = Vec::new();
    let mut label = Vec::new();
    let mut rest = key.iter().copied();
    while let Some(octet) = rest.next() {
        match octet {
            END => labels.push(std::mem::take(&mut label)),
            ESCAPE => label.extend(rest.next().map(|octet| octet - 1)),
            other => label.push(other),
        }
    }
    Name::under(labels.iter().rev().map(Vec::as_slice), origin).unwrap_or(*origin)
}
