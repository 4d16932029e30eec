use std::sync::Arc;

use super::{Class, Edns, Flags, Name, NameRef, Question, RData, Record, RecordType, Records, Section, Soa, WireError};

/// A whole message, decoded: for what comes from an upstream, and for tests. Not on the path of a cluster name.
#[derive(Debug, Clone)]
pub struct Message {
    /// ID of the header.
    pub id: u16,
    /// Flags of the header.
    pub flags: Flags,
    /// The question; `None` if the message has none.
    pub question: Option<Question>,
    /// The OPT record.
    pub edns: Option<Edns>,
    records: Records,
}

impl Message {
    /// Decodes a message.
    ///
    /// # Errors
    /// The first thing that is wrong with the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::at(bytes, 0);
        let (id, flags) = (reader.u16()?, Flags(reader.u16()?));
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let mut question = None;
        for _ in 0..counts[0] {
            let (name, record_type, class) = (reader.name()?, reader.u16()?, reader.u16()?);
            question.get_or_insert(Question { name, record_type: RecordType(record_type), class: Class(class) });
        }
        let mut edns = None;
        let answer = section(&mut reader, counts[1], &mut edns)?;
        let authority = section(&mut reader, counts[2], &mut edns)?;
        let additional = section(&mut reader, counts[3], &mut edns)?;
        Ok(Self { id, flags, question, edns, records: Records { answer, authority, additional } })
    }

    /// The records, OPT taken out.
    pub const fn records(&self) -> &Records {
        &self.records
    }

    /// The records, OPT taken out.
    pub fn into_records(self) -> Records {
        self.records
    }
}

fn section(reader: &mut Reader<'_>, count: u16, edns: &mut Option<Edns>) -> Result<Section, WireError> {
    let mut records = Section::new();
    for _ in 0..count {
        let head = reader.record_head()?;
        if head.record_type == RecordType::OPT {
            edns.get_or_insert_with(|| Edns::from_record(head.class.0, head.ttl, head.data));
            continue;
        }
        let data = rdata(reader.bytes, &head)?;
        records.push(Record { owner: head.owner.into(), class: head.class, ttl: head.ttl, data });
    }
    Ok(records)
}

impl RData {
    pub(super) fn read(message: &[u8], head: &RecordHead<'_>) -> Result<Self, WireError> {
        rdata(message, head)
    }

    /// Record data from its uncompressed wire form.
    ///
    /// # Errors
    /// The octets are no data of this type.
    pub fn from_wire(record_type: RecordType, data: &[u8]) -> Result<Self, WireError> {
        let owner = Name::root();
        rdata(data, &RecordHead { owner, record_type, class: Class::IN, ttl: 0, ttl_at: 0, data, data_at: 0 })
    }
}

impl RData {
    /// The uncompressed wire form, no name depending on a question.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let name = |out: &mut Vec<u8>, name: &NameRef| out.extend_from_slice(name.resolve(&Name::root()).wire());
        match self {
            Self::A(address) => out.extend(address.octets()),
            Self::Aaaa(address) => out.extend(address.octets()),
            Self::Cname(target) | Self::Ns(target) | Self::Ptr(target) => name(&mut out, target),
            Self::Mx { preference, exchange } => {
                out.extend(preference.to_be_bytes());
                name(&mut out, exchange);
            }
            Self::Srv { priority, weight, port, target } => {
                [priority, weight, port].iter().for_each(|value| out.extend(value.to_be_bytes()));
                name(&mut out, target);
            }
            Self::Soa(soa) => {
                name(&mut out, &soa.mname);
                name(&mut out, &soa.rname);
                let numbers = [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum];
                numbers.iter().for_each(|value| out.extend(value.to_be_bytes()));
            }
            Self::Txt(texts) => {
                for text in texts.iter() {
                    out.push(text.len() as u8);
                    out.extend_from_slice(text);
                }
            }
            Self::Other(_, data) => out.extend_from_slice(data),
        }
        out
    }
}

fn rdata(message: &[u8], head: &RecordHead<'_>) -> Result<RData, WireError> {
    let end = head.data_at + head.data.len();
    let mut reader = Reader::at(&message[..end], head.data_at);
    let name = |reader: &mut Reader<'_>| reader.name().map(NameRef::from);
    let data = match head.record_type {
        RecordType::A => RData::A(reader.array::<4>()?.into()),
        RecordType::AAAA => RData::Aaaa(reader.array::<16>()?.into()),
        RecordType::CNAME => RData::Cname(name(&mut reader)?),
        RecordType::NS => RData::Ns(name(&mut reader)?),
        RecordType::PTR => RData::Ptr(name(&mut reader)?),
        RecordType::DNAME => {
            let target = reader.name()?;
            RData::Other(RecordType::DNAME, Arc::from(target.wire()))
        }
        RecordType::MX => RData::Mx { preference: reader.u16()?, exchange: name(&mut reader)? },
        RecordType::SRV => RData::Srv {
            priority: reader.u16()?,
            weight: reader.u16()?,
            port: reader.u16()?,
            target: name(&mut reader)?,
        },
        RecordType::SOA => RData::Soa(Soa {
            mname: name(&mut reader)?,
            rname: name(&mut reader)?,
            serial: reader.u32()?,
            refresh: reader.u32()?,
            retry: reader.u32()?,
            expire: reader.u32()?,
            minimum: reader.u32()?,
        }),
        RecordType::TXT => RData::Txt(strings(head.data)?),
        other => return Ok(RData::Other(other, Arc::from(head.data))),
    };
    if head.record_type == RecordType::TXT || reader.is_at_end() { Ok(data) } else { Err(WireError::RData) }
}

/// Checks the data of a record whose type everybody knows, without decoding it: what is passed on must be readable.
pub(super) fn check_rdata(message: &[u8], head: &RecordHead<'_>) -> Result<(), WireError> {
    let end = head.data_at + head.data.len();
    let mut reader = Reader::at(&message[..end], head.data_at);
    match head.record_type {
        _ if head.class != Class::IN => return Ok(()),
        RecordType::A => _ = reader.array::<4>()?,
        RecordType::AAAA => _ = reader.array::<16>()?,
        RecordType::CNAME | RecordType::NS | RecordType::PTR | RecordType::DNAME => _ = reader.name()?,
        RecordType::MX => _ = (reader.u16()?, reader.name()?),
        RecordType::SRV => _ = (reader.array::<6>()?, reader.name()?),
        RecordType::SOA => _ = (reader.name()?, reader.name()?, reader.array::<20>()?),
        RecordType::TXT => return check_strings(head.data),
        _ => return Ok(()),
    }
    if reader.is_at_end() { Ok(()) } else { Err(WireError::RData) }
}

fn check_strings(mut data: &[u8]) -> Result<(), WireError> {
    while let Some((&length, rest)) = data.split_first() {
        data = rest.get(usize::from(length)..).ok_or(WireError::RData)?;
    }
    Ok(())
}

fn strings(mut data: &[u8]) -> Result<Arc<[Box<[u8]>]>, WireError> {
    let mut strings = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        let text = rest.get(..usize::from(length)).ok_or(WireError::RData)?;
        strings.push(Box::from(text));
        data = &rest[usize::from(length)..];
    }
    Ok(strings.into())
}

/// Reads fields of a message from left to right.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A record without the meaning of its data.
pub(super) struct RecordHead<'a> {
    pub(super) owner: Name,
    pub(super) record_type: RecordType,
    pub(super) class: Class,
    pub(super) ttl: u32,
    pub(super) ttl_at: usize,
    pub(super) data: &'a [u8],
    pub(super) data_at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) const fn message(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) const fn position(&self) -> usize {
        self.at
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn name(&mut self) -> Result<Name, WireError> {
        let (name, end) = Name::read(self.bytes, self.at)?;
        self.at = end;
        Ok(name)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let rest = self.bytes.get(self.at..).ok_or(WireError::Short)?;
        let field = rest.first_chunk::<N>().ok_or(WireError::Short)?;
        self.at += N;
        Ok(*field)
    }

    /// Passes over a character string (RFC 1035 section 3.3).
    pub(super) fn skip_string(&mut self) -> Result<(), WireError> {
        let [length] = self.array::<1>()?;
        self.at += usize::from(length);
        if self.at <= self.bytes.len() { Ok(()) } else { Err(WireError::Short) }
    }

    /// Octets behind their length.
    pub(super) fn counted(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::from(self.u16()?);
        let octets = self.bytes.get(self.at..self.at + length).ok_or(WireError::Short)?;
        self.at += length;
        Ok(octets)
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn record_head(&mut self) -> Result<RecordHead<'a>, WireError> {
        let owner = self.name()?;
        let record_type = RecordType(self.u16()?);
        let class = Class(self.u16()?);
        let ttl_at = self.at;
        let ttl = self.u32()?;
        let length = usize::from(self.u16()?);
        let data_at = self.at;
        let data = self.bytes.get(data_at..data_at + length).ok_or(WireError::Short)?;
        self.at += length;
        Ok(RecordHead { owner, record_type, class, ttl, ttl_at, data, data_at })
    }
}
