use super::{Class, Edns, Name, Opcode, Rcode, RecordType, SignedMessage, Update, WireError, message::Reader};

/// The second sixteen bits of a message (RFC 1035 section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u16);

#[allow(missing_docs, reason = "the flag names of RFC 1035 and RFC 4035")]
impl Flags {
    pub const QR: u16 = 0x8000;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
    pub const RA: u16 = 0x0080;
    pub const AD: u16 = 0x0020;
    pub const CD: u16 = 0x0010;

    /// The flags of an encoded message; none if it is too short.
    pub fn of_message(message: &[u8]) -> Self {
        message.get(2..4).map_or(Self(0), |field| Self(u16::from_be_bytes([field[0], field[1]])))
    }
    const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
    pub const fn is_response(self) -> bool {
        self.has(Self::QR)
    }
    pub const fn authoritative(self) -> bool {
        self.has(Self::AA)
    }
    pub const fn truncated(self) -> bool {
        self.has(Self::TC)
    }
    pub const fn recursion_desired(self) -> bool {
        self.has(Self::RD)
    }
    pub const fn recursion_available(self) -> bool {
        self.has(Self::RA)
    }
    pub const fn authentic(self) -> bool {
        self.has(Self::AD)
    }
    pub const fn checking_disabled(self) -> bool {
        self.has(Self::CD)
    }
    pub const fn opcode(self) -> Opcode {
        Opcode(self.0 >> 11 & 0xF)
    }
    /// The four bits of the header's response code.
    pub const fn rcode(self) -> Rcode {
        Rcode(self.0 & 0xF)
    }
}

/// What is asked (RFC 1035 section 4.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The name as the client spelled it.
    pub name: Name,
    /// QTYPE.
    pub record_type: RecordType,
    /// QCLASS.
    pub class: Class,
}

impl Question {
    /// A question of class IN.
    pub const fn new(name: Name, record_type: RecordType) -> Self {
        Self { name, record_type, class: Class::IN }
    }
}

/// A query as it came in: everything that later steps need, copied out of the datagram once.
#[derive(Debug, Clone)]
pub struct Query {
    /// ID of the header.
    pub id: u16,
    /// Flags of the header.
    pub flags: Flags,
    /// The one question.
    pub question: Question,
    /// The OPT record, if there was one.
    pub edns: Option<Edns>,
    /// The serial that the asker of an IXFR has, from its authority section (RFC 1995 section 3).
    pub serial: Option<u32>,
    /// Length of the message in octets.
    pub size: usize,
    /// Whether the answer is to be padded: the query was, and both are encrypted (RFC 7830 section 4).
    pub pads: bool,
    /// Its signature, and what was signed; it is for plugins to say whether it holds.
    pub signed: Option<Box<SignedMessage>>,
    /// What a zone is to become, if the message asks for that.
    pub update: Option<Box<Update>>,
    /// Octets to be left free at the end of the answer, for its own signature.
    pub room: u16,
}

/// Why a message did not become a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// No answer at all: too short for a header, or itself a response.
    Ignore,
    /// Answered with a bare header.
    Reply(Rejected),
}

/// The header of the answer to a message that is not a query we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// ID of the message.
    pub id: u16,
    /// Its flags.
    pub flags: Flags,
    /// FORMERR or NOTIMP.
    pub rcode: Rcode,
}

impl Query {
    /// A query that this server makes itself.
    pub const fn internal(question: Question) -> Self {
        let flags = Flags(Flags::RD);
        Self {
            id: 0,
            flags,
            question,
            edns: None,
            serial: None,
            size: 0,
            pads: false,
            signed: None,
            update: None,
            room: 0,
        }
    }

    /// Reads a query; the rules for what is taken are those of CoreDNS's DNS library.
    ///
    /// # Errors
    /// [`Reject`] says what to do with a message that is not a query.
    pub fn parse(message: &[u8]) -> Result<Self, Reject> {
        let Some(header) = message.first_chunk::<12>() else { return Err(Reject::Ignore) };
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (id, flags) = (word(0), Flags(word(2)));
        if flags.is_response() {
            return Err(Reject::Ignore);
        }
        let reject = |rcode| Reject::Reply(Rejected { id, flags, rcode });
        if !matches!(flags.opcode(), Opcode::QUERY | Opcode::NOTIFY) {
            return Err(reject(Rcode::NOTIMP));
        }
        let (questions, answers, authorities, additionals) = (word(4), word(6), word(8), word(10));
        if questions != 1 || answers > 1 || authorities > 1 || additionals > 2 {
            return Err(reject(Rcode::FORMERR));
        }
        let mut reader = Reader::at(message, 12);
        let question = read_question(&mut reader).map_err(|_| reject(Rcode::FORMERR))?;
        let counts = [answers + authorities, additionals];
        let Extras { edns, serial, signed } =
            read_records(&mut reader, counts, &question).map_err(|_| reject(Rcode::FORMERR))?;
        Ok(Self { id, flags, question, edns, serial, size: message.len(), pads: false, signed, update: None, room: 0 })
    }

    /// The largest answer over UDP, in octets (RFC 6891 section 6.2.5: at least 512).
    pub fn udp_limit(&self) -> usize {
        usize::from(self.edns.as_ref().map_or(512, |edns| edns.udp_size.max(512)))
    }

    /// Whether the OPT record has this option.
    pub fn has_option(&self, code: u16) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.option(code).is_some())
    }

    /// DO as the client set it.
    pub fn dnssec_ok(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.dnssec_ok)
    }
}

fn read_question(reader: &mut Reader<'_>) -> Result<Question, WireError> {
    let name = reader.name()?;
    let record_type = RecordType(reader.u16()?);
    // A question that ends before its class counts as class 0, as CoreDNS has it; the server refuses that class.
    let class = Class(if reader.is_at_end() { 0 } else { reader.u16()? });
    Ok(Question { name, record_type, class })
}

/// What the records behind the question say.
#[derive(Default)]
struct Extras {
    edns: Option<Edns>,
    serial: Option<u32>,
    signed: Option<Box<SignedMessage>>,
}

/// The OPT record among the records behind the question, the serial of an SOA if the question is IXFR, and the signature.
/// More records announced than there are is tolerated, half a record is not.
fn read_records(
    reader: &mut Reader<'_>,
    [before, additionals]: [u16; 2],
    question: &Question,
) -> Result<Extras, WireError> {
    let mut extras = Extras::default();
    for index in 0..before + additionals {
        if reader.is_at_end() {
            break;
        }
        let start = reader.position();
        let head = reader.record_head()?;
        if head.record_type == RecordType::OPT && extras.edns.is_none() {
            extras.edns = Some(Edns::from_record(head.class.0, head.ttl, head.data));
        }
        if head.record_type == RecordType::SOA && question.record_type == RecordType::IXFR {
            let mut reader = Reader::at(reader.message(), head.data_at);
            _ = (reader.name()?, reader.name()?);
            extras.serial = Some(reader.u32()?);
        }
        if head.record_type == RecordType::TSIG {
            // RFC 8945 section 5.1: only the last of the additional records may be one.
            if additionals == 0 || index + 1 != before + additionals {
                return Err(WireError::RData);
            }
            extras.signed = Some(Box::new(SignedMessage::of(reader.message(), start, &head)?));
        }
    }
    Ok(extras)
}
