use super::{
    Class, MAX_MESSAGE, Name, RecordType, WireError,
    encode::HEADER,
    message::{Reader, RecordHead},
};

/// Octets of a TSIG record besides its two names, its signature and the other data: type, class, TTL, length, time, fudge,
/// length of the signature, id, error, length of the other data.
const FIXED: usize = 26;
/// Where the header has the number of additional records.
const ADDITIONAL: usize = 10;

/// A transaction signature: the last record of a message (RFC 8945 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tsig {
    /// The name of the key.
    pub key: Name,
    /// The name of the algorithm.
    pub algorithm: Name,
    /// When the message was signed, seconds since 1970; 48 bits.
    pub time: u64,
    /// How far clocks may be apart, seconds.
    pub fudge: u16,
    /// The signature; empty if the message bears none.
    pub mac: Box<[u8]>,
    /// The id that the message had when it was signed.
    pub original_id: u16,
    /// What was wrong with the message that this one answers.
    pub error: u16,
    /// The server's time if the error is BADTIME.
    pub other: Box<[u8]>,
}

/// A message that bears a signature, as it was before it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedMessage {
    /// The record.
    pub tsig: Tsig,
    /// The message without the record, with its first id (RFC 8945 section 4.3.2).
    pub bytes: Box<[u8]>,
}

#[allow(missing_docs, reason = "the names of RFC 8945 section 3")]
impl Tsig {
    pub const BADSIG: u16 = 16;
    pub const BADKEY: u16 = 17;
    pub const BADTIME: u16 = 18;
    pub const BADTRUNC: u16 = 22;
}

impl Tsig {
    /// Octets that the record takes.
    pub fn size(&self) -> usize {
        Self::room(&self.key, &self.algorithm, self.mac.len(), self.other.len())
    }

    /// Octets that a record of these parts takes.
    pub fn room(key: &Name, algorithm: &Name, mac: usize, other: usize) -> usize {
        key.wire().len() + algorithm.wire().len() + FIXED + mac + other
    }

    /// What is signed behind the message (RFC 8945 section 4.3.3).
    pub fn variables(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        out.extend_from_slice(self.key.to_lowercase().wire());
        out.extend(Class::ANY.0.to_be_bytes());
        out.extend(0u32.to_be_bytes());
        out.extend_from_slice(self.algorithm.to_lowercase().wire());
        out.extend(self.timers());
        out.extend(self.error.to_be_bytes());
        out.extend((self.other.len() as u16).to_be_bytes());
        out.extend_from_slice(&self.other);
        out
    }

    /// What is signed behind the later messages of a series (RFC 8945 section 5.3.1).
    pub fn timers(&self) -> [u8; 8] {
        let mut out = [0; 8];
        out[..6].copy_from_slice(&six_octets(self.time));
        out[6..].copy_from_slice(&self.fudge.to_be_bytes());
        out
    }

    /// Puts the record behind a message of `length` octets; gives the new length. A message that has no room is left as it is.
    pub fn append(&self, message: &mut [u8], length: usize) -> usize {
        let end = length + self.size();
        if message.len() < end || end > MAX_MESSAGE || length < HEADER {
            return length;
        }
        let mut out = Vec::with_capacity(self.size());
        out.extend_from_slice(self.key.wire());
        out.extend(RecordType::TSIG.0.to_be_bytes());
        out.extend(Class::ANY.0.to_be_bytes());
        out.extend(0u32.to_be_bytes());
        let data = self.algorithm.wire().len() + 16 + self.mac.len() + self.other.len();
        out.extend((data as u16).to_be_bytes());
        out.extend_from_slice(self.algorithm.wire());
        out.extend(self.timers());
        out.extend((self.mac.len() as u16).to_be_bytes());
        out.extend_from_slice(&self.mac);
        out.extend(self.original_id.to_be_bytes());
        out.extend(self.error.to_be_bytes());
        out.extend((self.other.len() as u16).to_be_bytes());
        out.extend_from_slice(&self.other);
        message[length..end].copy_from_slice(&out);
        let count = u16::from_be_bytes([message[ADDITIONAL], message[ADDITIONAL + 1]]).wrapping_add(1);
        message[ADDITIONAL..HEADER].copy_from_slice(&count.to_be_bytes());
        end
    }

    fn read(head: &RecordHead<'_>) -> Result<Self, WireError> {
        if head.class != Class::ANY {
            return Err(WireError::RData);
        }
        let mut reader = Reader::at(head.data, 0);
        // RFC 8945 section 4.2: never compressed.
        let algorithm = reader.name()?;
        let [a, b, c, d, e, f] = reader.array::<6>()?;
        let time = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let fudge = reader.u16()?;
        let mac = reader.counted()?.into();
        let (original_id, error) = (reader.u16()?, reader.u16()?);
        let other = reader.counted()?.into();
        if !reader.is_at_end() {
            return Err(WireError::RData);
        }
        Ok(Self { key: head.owner, algorithm, time, fudge, mac, original_id, error, other })
    }
}

impl SignedMessage {
    /// Takes a message apart whose last record, beginning at `start`, is this one.
    pub(super) fn of(message: &[u8], start: usize, head: &RecordHead<'_>) -> Result<Self, WireError> {
        let tsig = Tsig::read(head)?;
        let mut bytes: Box<[u8]> = message.get(..start).ok_or(WireError::Short)?.into();
        let count = u16::from_be_bytes([bytes[ADDITIONAL], bytes[ADDITIONAL + 1]]).wrapping_sub(1);
        bytes[ADDITIONAL..HEADER].copy_from_slice(&count.to_be_bytes());
        bytes[..2].copy_from_slice(&tsig.original_id.to_be_bytes());
        Ok(Self { tsig, bytes })
    }

    /// The signature of a message that came; `None` if it bears none.
    ///
    /// # Errors
    /// It is no message, or its signature is not its last record (RFC 8945 section 5.1).
    pub fn parse(message: &[u8]) -> Result<Option<Self>, WireError> {
        let mut reader = Reader::at(message, 4);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        for _ in 0..counts[0] {
            _ = (reader.name()?, reader.u16()?, reader.u16()?);
        }
        let records: usize = counts[1..].iter().map(|&count| usize::from(count)).sum();
        for index in 0..records {
            let start = reader.position();
            let head = reader.record_head()?;
            if head.record_type == RecordType::TSIG {
                let is_last = index + 1 == records && counts[3] > 0;
                return if is_last { Self::of(message, start, &head).map(Some) } else { Err(WireError::RData) };
            }
        }
        Ok(None)
    }
}

/// A time as TSIG has it: the lower 48 bits.
pub fn six_octets(time: u64) -> [u8; 6] {
    let [_, _, a, b, c, d, e, f] = time.to_be_bytes();
    [a, b, c, d, e, f]
}
