//! Protocol Buffers as they stand on the wire: a message is a row of fields, each with its number.

/// The octets are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed message")]
pub struct Malformed;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A whole number or a truth value.
    Number(u64),
    /// Octets, a text or another message.
    Octets(&'a [u8]),
    /// Four or eight octets that no message known here has.
    Other,
}

impl<'a> Value<'a> {
    /// The number; 0 if it is none.
    pub const fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            _ => 0,
        }
    }

    /// The octets; none if it is something else.
    pub const fn octets(self) -> &'a [u8] {
        match self {
            Self::Octets(octets) => octets,
            _ => &[],
        }
    }
}

/// The fields of a message, one after the other. Those that nobody knows are to be passed over.
#[derive(Debug, Clone)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Of these octets.
    pub const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn read(&mut self) -> Option<(u64, Value<'a>)> {
        let (key, behind) = varint(self.0)?;
        let (value, behind) = match key & 7 {
            0 => varint(behind).map(|(number, behind)| (Value::Number(number), behind))?,
            1 => (Value::Other, behind.get(8..)?),
            2 => {
                let (length, behind) = varint(behind)?;
                let (octets, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
                (Value::Octets(octets), behind)
            }
            5 => (Value::Other, behind.get(4..)?),
            _ => return None,
        };
        self.0 = behind;
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read().ok_or(Malformed);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// A number in groups of seven bits, the lowest first; and what stands behind it.
fn varint(octets: &[u8]) -> Option<(u64, &[u8])> {
    let length = octets.iter().take(10).position(|octet| octet & 0x80 == 0)? + 1;
    let (number, behind) = octets.split_at(length);
    Some((number.iter().rev().fold(0, |sum, octet| sum << 7 | u64::from(octet & 0x7F)), behind))
}

/// A message that is written field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// One that will have about so many octets.
    pub fn with_room(octets: usize) -> Self {
        Self(Vec::with_capacity(octets))
    }

    /// A number. Zero is not written: it is what a field has that is not there.
    #[must_use]
    pub fn number(mut self, field: u64, number: u64) -> Self {
        if number != 0 {
            self.put_number(field, number);
        }
        self
    }

    /// Octets or a text, if there are any.
    #[must_use]
    pub fn octets(mut self, field: u64, octets: &[u8]) -> Self {
        if !octets.is_empty() {
            self.put_octets(field, octets);
        }
        self
    }

    /// Another message, even an empty one.
    #[must_use]
    pub fn message(mut self, field: u64, message: &Self) -> Self {
        self.put_message(field, message);
        self
    }

    /// A number, even zero: one of several of a field, or one that must be there.
    pub fn put_number(&mut self, field: u64, number: u64) {
        self.varint(field << 3);
        self.varint(number);
    }

    /// Octets or a text, even an empty one.
    pub fn put_octets(&mut self, field: u64, octets: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(octets.len() as u64);
        self.0.extend_from_slice(octets);
    }

    /// Another message, even an empty one.
    pub fn put_message(&mut self, field: u64, message: &Self) {
        self.put_octets(field, &message.0);
    }

    /// A number that always takes four octets.
    pub fn put_fixed(&mut self, field: u64, number: u32) {
        self.varint(field << 3 | 5);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// All fields of another message.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 & 0x7F | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// The octets.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The octets, without a copy.
    pub fn into_wire(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::default().number(1, 300).number(2, 0).octets(3, b"");
        let message = Message::default().octets(1, b"/skydns").message(2, &inner).number(200, u64::MAX);
        assert_eq!(inner.wire(), b"\x08\xAC\x02");
        let fields: Result<Vec<_>, _> = Fields::of(message.wire()).collect();
        assert_eq!(
            fields,
            Ok(vec![
                (1, Value::Octets(b"/skydns")),
                (2, Value::Octets(b"\x08\xAC\x02")),
                (200, Value::Number(u64::MAX))
            ])
        );
        let empty = Message::default().message(3, &Message::default());
        assert_eq!(empty.wire(), b"\x1A\x00");
        let mut all = Message::with_room(20);
        all.put_number(1, 0);
        all.put_octets(2, b"");
        all.put_fixed(3, 7);
        all.append(empty);
        assert_eq!(all.into_wire(), b"\x08\x00\x12\x00\x1D\x07\x00\x00\x00\x1A\x00");
    }

    #[test]
    fn unknown_fields_are_passed_over_and_nonsense_is_told() {
        for (what, octets, expected) in [
            ("nothing", &b""[..], Ok(0)),
            ("fixed lengths", b"\x09........\x15....\x08\x01", Ok(3)),
            ("cut short", b"\x0A\x07x", Err(Malformed)),
            ("a number without an end", b"\x08\xFF", Err(Malformed)),
            ("groups, which are no more", b"\x0B\x0C", Err(Malformed)),
            ("a length beyond all octets", b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", Err(Malformed)),
        ] {
            let fields: Result<Vec<_>, _> = Fields::of(octets).collect();
            assert_eq!(fields.map(|fields| fields.len()), expected, "{what}");
        }
    }
}
