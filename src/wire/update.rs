use super::{
    Class, Flags, Name, Opcode, Query, Question, RData, RecordType, SignedMessage, WireError,
    message::{Reader, RecordHead},
    types::lower_names,
};

/// What a client wants a zone to become (RFC 2136 section 2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// What must be so, or nothing is changed.
    pub prerequisites: Vec<Wish>,
    /// What is added and deleted, in this order.
    pub changes: Vec<Wish>,
}

/// A record of an update; its class and its data say what it means (RFC 2136 sections 2.4 and 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Whose record it is.
    pub owner: Name,
    /// IN, NONE or ANY.
    pub class: Class,
    /// Seconds.
    pub ttl: u32,
    /// Type.
    pub record_type: RecordType,
    /// Data in uncompressed wire form; often none.
    pub data: Vec<u8>,
}

impl Wish {
    fn read(message: &[u8], head: &RecordHead<'_>) -> Result<Self, WireError> {
        let data = if head.data.is_empty() { Vec::new() } else { RData::read(message, head)?.to_wire() };
        let RecordHead { owner, record_type, class, ttl, .. } = *head;
        Ok(Self { owner, class, ttl, record_type, data })
    }
}

impl Query {
    /// Reads an update: its zone stands where the question does.
    ///
    /// # Errors
    /// The message is no update, or is malformed.
    pub fn parse_update(message: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::at(message, 0);
        let (id, flags) = (reader.u16()?, Flags(reader.u16()?));
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        if flags.opcode() != Opcode::UPDATE || flags.is_response() || counts[0] != 1 {
            return Err(WireError::Questions);
        }
        let (name, kind, class) = (reader.name()?, reader.u16()?, reader.u16()?);
        let question = Question { name, record_type: RecordType(kind), class: Class(class) };
        let mut update = Update::default();
        for (count, wishes) in [(counts[1], &mut update.prerequisites), (counts[2], &mut update.changes)] {
            for _ in 0..count {
                let head = reader.record_head()?;
                wishes.push(Wish::read(message, &head)?);
            }
        }
        let mut query = Self::internal(question);
        for index in 0..counts[3] {
            let start = reader.position();
            let head = reader.record_head()?;
            match head.record_type {
                RecordType::OPT if query.edns.is_none() => {
                    query.edns = Some(super::Edns::from_record(head.class.0, head.ttl, head.data));
                }
                // RFC 8945 section 5.1: only the last record may be one.
                RecordType::TSIG if index + 1 < counts[3] => return Err(WireError::RData),
                RecordType::TSIG => query.signed = Some(Box::new(SignedMessage::of(message, start, &head)?)),
                _ => {}
            }
        }
        if !reader.is_at_end() {
            return Err(WireError::RData);
        }
        Ok(Self { id, flags, size: message.len(), update: Some(Box::new(update)), ..query })
    }
}

/// Whether data of a type is the same, names in any spelling.
pub fn is_same_data(record_type: RecordType, one: &[u8], other: &[u8]) -> bool {
    let canonical = |data: &[u8]| {
        let mut data = data.to_vec();
        lower_names(record_type, &mut data);
        data
    };
    one == other || one.len() == other.len() && canonical(one) == canonical(other)
}
