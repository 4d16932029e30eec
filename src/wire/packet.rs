use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    Class, Ede, Flags, Kind, MAX_MESSAGE, Name, Question, Rcode, RecordType, Records, Response, WireError, encode,
    encode::HEADER,
    message::{Reader, check_rdata},
    query::Query,
};

/// An encoded answer that can be sent again with another id, other TTLs and the client's spelling of the name.
///
/// The OPT record is taken out when the packet is made: it belongs to one hop (RFC 6891 section 6.1.1).
/// Cloning shares the bytes.
#[derive(Debug, Clone)]
pub struct Packet {
    stored: Arc<Stored>,
    ttl: Ttl,
}

#[derive(Debug)]
struct Stored {
    bytes: Octets,
    flags: Flags,
    rcode: Rcode,
    ede: Option<Box<Ede>>,
    question_end: u16,
    counts: [u16; 3],
    entries: Entries,
}

/// A cache holds many packets: no octet more than there are, and few answers have more records than this.
type Octets = Box<[u8]>;
type Entries = SmallVec<[Entry; 2]>;

/// One record of a packet: what can be known without decoding its data.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// 0 answer, 1 authority, 2 additional.
    pub section: u8,
    /// TYPE.
    pub record_type: RecordType,
    /// CLASS.
    pub class: Class,
    /// TTL as it stood in the packet, seconds.
    pub ttl: u32,
    pub(super) ttl_at: u16,
    pub(super) start: u16,
    pub(super) end: u16,
}

/// How TTLs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ttl {
    AsStored,
    Fixed(u32),
}

/// Header bits of a packet.
#[derive(Debug, Clone, Copy)]
pub struct PacketHeader {
    flags: Flags,
    rcode: Rcode,
}

impl PacketHeader {
    /// The response code with its extended bits.
    pub const fn rcode(self) -> Rcode {
        self.rcode
    }
    /// AA.
    pub const fn authoritative(self) -> bool {
        self.flags.authoritative()
    }
    /// RA.
    pub const fn recursion_available(self) -> bool {
        self.flags.recursion_available()
    }
    /// AD.
    pub const fn authentic(self) -> bool {
        self.flags.authentic()
    }
    /// TC.
    pub const fn truncated(self) -> bool {
        self.flags.truncated()
    }
}

/// For how many seconds an answer may be kept by whoever passes it on: until the first of its records ends; 0 if it has
/// none (RFC 8484 section 5.1).
pub fn freshness(answer: &[u8]) -> u32 {
    let Ok(packet) = Packet::parse(answer) else { return 0 };
    let soonest = packet.entries().iter().map(|entry| entry.ttl).min().unwrap_or(0);
    // A name that is not there is so for the SOA's own time (RFC 2308 section 5).
    packet.soa_minimum().map_or(soonest, |minimum| minimum.min(soonest))
}

impl Packet {
    /// Takes an answer as it came from an upstream. Of one that says that it is truncated, and that ends in the middle of
    /// a record, the question is kept: such is what firewalls and old servers leave of a long answer.
    ///
    /// # Errors
    /// The bytes are no well-formed message, data of well-known types included, or have no question.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let cut = Flags::of_message(bytes).truncated();
        let scan = Scan::of(bytes).or_else(|error| if cut { Scan::of_question(bytes) } else { Err(error) })?;
        let question = scan.question.clone().filter(|question| scan.is_plain(question)).ok_or(WireError::Short)?;
        let rcode = Rcode(scan.flags.rcode().0 | u16::from(scan.extended_rcode) << 4);
        let Some((index, opt)) = scan.opt else {
            return Ok(Self::stored(&scan, rcode, bytes, scan.entries.clone()));
        };
        if usize::from(opt.end) != scan.end {
            // An OPT in the middle: other names may point behind it, so write the message anew.
            return Self::rewritten(bytes, &scan, &question, rcode);
        }
        let mut entries = scan.entries.clone();
        entries.remove(index);
        Ok(Self::stored(&scan, rcode, &bytes[..usize::from(opt.start)], entries))
    }

    fn stored(scan: &Scan, rcode: Rcode, bytes: &[u8], entries: Entries) -> Self {
        let end = entries.last().map_or(scan.question_end, |entry| usize::from(entry.end));
        let count = |section| entries.iter().filter(|entry| entry.section == section).count() as u16;
        let mut bytes = Octets::from(&bytes[..end]);
        // The header counts what is there, now that the OPT record is not.
        for section in 0..3 {
            bytes[6 + 2 * section..][..2].copy_from_slice(&count(section as u8).to_be_bytes());
        }
        let stored = Stored {
            bytes,
            flags: scan.flags,
            rcode,
            ede: scan.ede.clone().map(Box::new),
            question_end: scan.question_end as u16,
            counts: [count(0), count(1), count(2)],
            entries,
        };
        Self { stored: Arc::new(stored), ttl: Ttl::AsStored }
    }

    fn rewritten(bytes: &[u8], scan: &Scan, question: &Question, rcode: Rcode) -> Result<Self, WireError> {
        let records = super::Message::parse(bytes)?.into_records();
        let mut response = Response::new(rcode);
        response.authoritative = scan.flags.authoritative();
        response.recursion_available = scan.flags.recursion_available();
        response.authentic = scan.flags.authentic();
        response.truncated = scan.flags.truncated();
        response.ede = scan.ede.clone();
        response.body = super::Body::Records(records);
        Self::of(question, &response)
    }

    /// Encodes a response so that it can be kept.
    ///
    /// # Errors
    /// The records do not fit into one message.
    pub fn of(question: &Question, response: &Response) -> Result<Self, WireError> {
        let query = Query::internal(question.clone());
        let mut out = vec![0; MAX_MESSAGE];
        let length = encode(&query, response, MAX_MESSAGE, &mut out);
        let scan = Scan::of(&out[..length])?;
        let mut packet = Self::stored(&scan, response.rcode, &out[..length], scan.entries.clone());
        if let (Some(stored), Some(ede)) = (Arc::get_mut(&mut packet.stored), &response.ede) {
            stored.ede = Some(Box::new(ede.clone()));
        }
        Ok(packet)
    }

    /// The packet with every TTL written as this many seconds.
    #[must_use]
    pub fn with_ttl(mut self, seconds: u32) -> Self {
        self.ttl = Ttl::Fixed(seconds);
        self
    }

    /// Leaves out the authority and additional sections: no name in front of them points into them.
    pub(super) fn keep_answer_only(&mut self) {
        let Stored { bytes, flags, rcode, ede, question_end, counts, entries } = &*self.stored;
        if counts[1] == 0 && counts[2] == 0 {
            return;
        }
        let entries = Entries::from_slice(&entries[..usize::from(counts[0])]);
        let end = entries.last().map_or(*question_end, |entry| entry.end);
        let mut bytes = Octets::from(&bytes[..usize::from(end)]);
        bytes[8..HEADER].fill(0);
        let (flags, rcode, ede, question_end) = (*flags, *rcode, ede.clone(), *question_end);
        let stored = Stored { bytes, flags, rcode, ede, question_end, counts: [counts[0], 0, 0], entries };
        self.stored = Arc::new(stored);
    }

    /// The message as stored, id and TTLs as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.stored.bytes
    }

    /// Whether this is the question that it answers.
    pub fn answers(&self, question: &Question) -> bool {
        let fields = [question.record_type.0.to_be_bytes(), question.class.0.to_be_bytes()];
        self.records_behind(&question.name).is_some_and(|end| self.bytes()[end - 4..end] == *fields.as_flattened())
    }

    /// Where the question ends and the records begin; `None` if it is about another name.
    pub(super) fn records_behind(&self, name: &Name) -> Option<usize> {
        let end = usize::from(self.stored.question_end);
        // Length octets are no letters.
        self.bytes()[HEADER..end - 4].eq_ignore_ascii_case(name.wire()).then_some(end)
    }

    /// Response code and flags.
    pub fn header(&self) -> PacketHeader {
        PacketHeader { flags: self.stored.flags, rcode: self.stored.rcode }
    }

    /// The extended DNS error that came with it.
    pub fn extended_error(&self) -> Option<&Ede> {
        self.stored.ede.as_deref()
    }

    /// The records in order, without their data.
    pub fn entries(&self) -> &[Entry] {
        &self.stored.entries
    }

    pub(super) fn counts(&self) -> [u16; 3] {
        self.stored.counts
    }

    /// MINIMUM of the SOA record in the authority section: how long the absence of data may be kept, seconds
    /// (RFC 2308 section 4).
    pub fn soa_minimum(&self) -> Option<u32> {
        let soa = self.entries().iter().find(|entry| entry.section == 1 && entry.record_type == RecordType::SOA)?;
        let data = self.bytes().get(..usize::from(soa.end))?;
        data.last_chunk::<4>().map(|field| u32::from_be_bytes(*field))
    }

    /// How long the first of the signatures to end is still valid, seconds from `now` (seconds since 1970); negative if
    /// it has ended, `None` without signatures (RFC 4034 section 3.1.5: serial number arithmetic).
    pub fn signatures_left(&self, now: u32) -> Option<i32> {
        let signatures = self.entries().iter().filter(|entry| entry.record_type == RecordType::RRSIG);
        let expiration = |entry: &Entry| {
            // Type covered, algorithm, labels and original TTL stand before it; the data begins six octets behind the TTL.
            let field = self.bytes().get(usize::from(entry.ttl_at) + 6 + 8..usize::from(entry.end))?;
            field.first_chunk::<4>().map(|field| u32::from_be_bytes(*field).wrapping_sub(now) as i32)
        };
        signatures.filter_map(expiration).min()
    }

    /// The TTL that this record is written with, seconds.
    pub fn ttl_of(&self, entry: &Entry) -> u32 {
        match self.ttl {
            Ttl::AsStored => entry.ttl,
            Ttl::Fixed(seconds) => seconds,
        }
    }

    pub(super) fn age_records(&self, records: &mut Records) {
        if let Ttl::Fixed(seconds) = self.ttl {
            for section in [&mut records.answer, &mut records.authority, &mut records.additional] {
                section.iter_mut().for_each(|record| record.ttl = seconds);
            }
        }
    }

    pub(super) fn noerror_kind(&self, question: &Question) -> Kind {
        let any = question.record_type == RecordType::ANY;
        let has = self.entries().iter().any(|e| e.section == 0 && (any || e.record_type == question.record_type));
        let soa = self.entries().iter().any(|entry| entry.section == 1 && entry.record_type == RecordType::SOA);
        Kind::of_noerror(has, soa)
    }
}

/// Structure of a message, found in one pass.
struct Scan {
    flags: Flags,
    question: Option<Question>,
    question_end: usize,
    entries: Entries,
    opt: Option<(usize, Entry)>,
    extended_rcode: u8,
    ede: Option<Ede>,
    end: usize,
}

impl Scan {
    /// Whether the question stands in the message letter for letter. Nothing stands in front of it that it could point at.
    fn is_plain(&self, question: &Question) -> bool {
        self.question_end == HEADER + question.name.wire().len() + 4
    }

    fn of(bytes: &[u8]) -> Result<Self, WireError> {
        let (mut scan, mut reader, counts) = Self::head(bytes)?;
        for (section, &count) in counts.iter().enumerate() {
            for _ in 0..count {
                scan.record(&mut reader, section as u8)?;
            }
        }
        scan.end = reader.position();
        Ok(scan)
    }

    /// Header and question alone.
    fn of_question(bytes: &[u8]) -> Result<Self, WireError> {
        Self::head(bytes).map(|(scan, _, _)| scan)
    }

    fn head(bytes: &[u8]) -> Result<(Self, Reader<'_>, [u16; 3]), WireError> {
        let mut reader = Reader::at(bytes, 2);
        let flags = Flags(reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        // Records are copied as they stand behind one question; RFC 9619 forbids more.
        let question = match counts[0] {
            0 => None,
            1 => {
                let (name, kind, class) = (reader.name()?, reader.u16()?, reader.u16()?);
                Some(Question { name, record_type: RecordType(kind), class: Class(class) })
            }
            _ => return Err(WireError::Questions),
        };
        let scan = Self {
            flags,
            question,
            question_end: reader.position(),
            entries: Entries::new(),
            opt: None,
            extended_rcode: 0,
            ede: None,
            end: reader.position(),
        };
        Ok((scan, reader, [counts[1], counts[2], counts[3]]))
    }

    fn record(&mut self, reader: &mut Reader<'_>, section: u8) -> Result<(), WireError> {
        let start = reader.position();
        let head = reader.record_head()?;
        check_rdata(reader.message(), &head)?;
        let offset = |at: usize| u16::try_from(at).map_err(|_| WireError::Short);
        let entry = Entry {
            section,
            record_type: head.record_type,
            class: head.class,
            // RFC 2181 section 8: a TTL with the top bit set counts as zero.
            ttl: if head.ttl > i32::MAX as u32 { 0 } else { head.ttl },
            ttl_at: offset(head.ttl_at)?,
            start: offset(start)?,
            end: offset(reader.position())?,
        };
        if head.record_type == RecordType::OPT && self.opt.is_none() {
            let edns = super::Edns::from_record(head.class.0, head.ttl, head.data);
            self.extended_rcode = edns.extended_rcode;
            self.ede = edns.extended_error();
            self.opt = Some((self.entries.len(), entry));
        }
        self.entries.push(entry);
        Ok(())
    }
}
