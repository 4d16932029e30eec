//! Netlink attributes: length and kind of two octets each, the value, and zeros up to a multiple of four.

/// Length of an attribute's head, octets.
const HEAD: usize = 4;
/// The attribute holds attributes.
const NESTED: u16 = 0x8000;
/// The bits of a kind that are none of its number: nested, and network byte order.
const FLAGS: u16 = 0xC000;

/// Attributes one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn bytes(self, kind: u16, value: &[u8]) -> Self {
        self.put(kind, value)
    }

    /// A text with a zero behind it.
    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        let value = [value.as_bytes(), &[0]].concat();
        self.put(kind, &value)
    }

    /// A number in network byte order, as all of nftables has them.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    pub(super) fn nested(self, kind: u16, value: &Self) -> Self {
        self.put(kind | NESTED, &value.0)
    }

    /// Several of the same kind, one behind the other.
    pub(super) fn list(self, kind: u16, values: &[Self]) -> Self {
        values.iter().fold(self, |all, value| all.nested(kind, value))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn put(mut self, kind: u16, value: &[u8]) -> Self {
        // A value that does not fit cannot come from our tables of rules; cut, it would make the kernel refuse the message.
        let length = u16::try_from(HEAD + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(HEAD), 0);
        self
    }
}

/// Kinds and values of attributes that came from the kernel; stops at the first that is cut.
pub(super) fn read(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & !FLAGS;
        let value = bytes.get(HEAD..length)?;
        bytes = bytes.get(length.next_multiple_of(HEAD)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of a kind.
pub(super) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    read(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// The text in a value, without the zero behind it.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// The number in a value.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let inner = Attributes::new().number(2, 7);
        let all = Attributes::new().text(1, "seamark").nested(4, &inner).bytes(5, &[1, 2, 3]);
        assert_eq!(all.as_bytes().len(), 12 + 12 + 8);
        assert_eq!(find(all.as_bytes(), 1).map(text).as_deref(), Some("seamark"));
        let found = find(all.as_bytes(), 4).and_then(|inner| find(inner, 2)).and_then(number);
        assert_eq!(found, Some(7));
        assert_eq!(find(all.as_bytes(), 5), Some(&[1, 2, 3][..]));
        assert_eq!(find(all.as_bytes(), 9), None);
    }

    #[test]
    fn bytes_that_are_cut_end_the_list() {
        let all = Attributes::new().number(1, 1).number(2, 2);
        for end in 0..all.as_bytes().len() {
            assert_eq!(read(&all.as_bytes()[..end]).count(), end / 8, "{end}");
        }
        assert_eq!(read(&[0, 0, 1, 0]).count(), 0, "a length of zero must not go on for ever");
    }
}
