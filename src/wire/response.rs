use std::{
    borrow::Cow,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Ede, Message, Options, Packet, Question, Rcode, Record, RecordType, Section, WireError};

/// What a plugin answers. The header's other bits (id, RD, CD, the question) come from the query when the
/// response becomes bytes.
#[derive(Debug, Clone)]
pub struct Response {
    /// Response code, extended ones included.
    pub rcode: Rcode,
    /// AA: the answer comes from the authority for the name.
    pub authoritative: bool,
    /// RA: whoever answered would also recurse.
    pub recursion_available: bool,
    /// AD: whoever answered has validated the data.
    pub authentic: bool,
    /// TC: the answer was already incomplete when it came to us.
    pub truncated: bool,
    /// The sections.
    pub body: Body,
    /// Where the data comes from; decides whether it may be cached.
    pub origin: Origin,
    /// Extended DNS error, for clients that speak EDNS (RFC 8914).
    pub ede: Option<Ede>,
    /// Why there is no proper answer; logged by the `errors` plugin.
    pub cause: Option<Box<Failure>>,
    /// Name of the plugin that answered; the walk fills it in.
    pub plugin: &'static str,
    /// Which server this is, for clients that asked for it in their OPT record (RFC 5001).
    pub server_id: Option<Arc<[u8]>>,
    /// The upstream that gave it. In a box, so that answers that come from none are not longer for it.
    pub upstream: Option<Box<SocketAddr>>,
    /// Options of the OPT record besides the extended error, for clients that speak EDNS.
    pub options: Option<Box<Options>>,
    /// If set, address records of an encoded body are put in another order when they are written.
    pub shuffle: Option<u32>,
    /// What comes in further messages on the same stream; only zone transfers have it.
    pub following: Option<Following>,
}

/// The messages behind the first one of an answer that is longer than a message (RFC 5936 section 2.2).
#[derive(Clone)]
pub struct Following(Arc<Mutex<Messages>>);

type Messages = Box<dyn Iterator<Item = Records> + Send>;

impl Following {
    /// Messages with these records, made when they are asked for.
    pub fn new(messages: impl Iterator<Item = Records> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Box::new(messages))))
    }

    /// The records of the next message.
    pub fn next_message(&self) -> Option<Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Following")
    }
}

/// The sections of a response in one of two forms.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "records made for one answer are kept without heap")]
pub enum Body {
    /// Made by us, record by record.
    Records(Records),
    /// Encoded already: from an upstream or from the cache.
    Packet(Packet),
}

/// The three sections of a response that hold records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the section names of RFC 1035")]
pub struct Records {
    pub answer: Section,
    pub authority: Section,
    pub additional: Section,
}

/// Where the data of a response comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From live cluster data in our own memory: always fresh, never worth caching.
    Live,
    /// From somewhere a cache may keep it.
    Fetched,
    /// From a cache.
    Stored,
}

/// Why a query could not be answered properly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// An upstream did not answer, or answered something unusable.
    #[error("{0}")]
    Upstream(Cow<'static, str>),
    /// The cluster's data is not there.
    #[error("{0}")]
    Cluster(Cow<'static, str>),
    /// We did something wrong, or the configuration leaves the query without an answer.
    #[error("{0}")]
    Server(Cow<'static, str>),
}

impl Response {
    /// An empty response with this code.
    pub fn new(rcode: Rcode) -> Self {
        Self {
            rcode,
            authoritative: false,
            recursion_available: false,
            authentic: false,
            truncated: false,
            body: Body::Records(Records::default()),
            origin: Origin::Fetched,
            ede: None,
            cause: None,
            plugin: "",
            server_id: None,
            upstream: None,
            options: None,
            shuffle: None,
            following: None,
        }
    }

    /// A response without data that says why.
    pub fn failure(rcode: Rcode, cause: Failure) -> Self {
        Self { cause: Some(Box::new(cause)), ..Self::new(rcode) }
    }

    /// An authoritative NOERROR with these answers.
    pub fn answer(answers: impl IntoIterator<Item = Record>) -> Self {
        let records = Records { answer: answers.into_iter().collect(), ..Records::default() };
        Self { authoritative: true, body: Body::Records(records), ..Self::new(Rcode::NOERROR) }
    }

    /// A response that an upstream or the cache holds as bytes. Header bits are taken from the packet.
    pub fn packet(packet: Packet) -> Self {
        let header = packet.header();
        Self {
            authoritative: header.authoritative(),
            recursion_available: header.recursion_available(),
            authentic: header.authentic(),
            truncated: header.truncated(),
            body: Body::Packet(packet),
            ..Self::new(header.rcode())
        }
    }

    /// The sections for reading and changing; an encoded body is decoded first (slow, once).
    ///
    /// Names of the decoded records are written out in full. Fails only if the packet is not well-formed.
    pub fn records_mut(&mut self) -> Result<&mut Records, WireError> {
        if let Body::Packet(packet) = &self.body {
            let message = Message::parse(packet.bytes())?;
            let mut records = message.into_records();
            packet.age_records(&mut records);
            self.body = Body::Records(records);
        }
        match &mut self.body {
            Body::Records(records) => Ok(records),
            Body::Packet(_) => Err(WireError::Short),
        }
    }

    /// A copy of the sections, whatever form the body has.
    pub fn records(&self) -> Result<Cow<'_, Records>, WireError> {
        match &self.body {
            Body::Records(records) => Ok(Cow::Borrowed(records)),
            Body::Packet(packet) => {
                let mut records = Message::parse(packet.bytes())?.into_records();
                packet.age_records(&mut records);
                Ok(Cow::Owned(records))
            }
        }
    }

    /// Whether the authority section is part of what is said: all but answers with data, and answers that have nothing.
    pub fn needs_authority(&self) -> bool {
        let [mut data, mut authority] = [false; 2];
        let mut see = |section: u8, kind: RecordType| match section {
            0 => data = true,
            1 => authority |= matches!(kind, RecordType::SOA | RecordType::NS),
            _ => {}
        };
        match &self.body {
            Body::Records(records) => {
                records.answer.iter().for_each(|record| see(0, record.data.record_type()));
                records.authority.iter().for_each(|record| see(1, record.data.record_type()));
            }
            Body::Packet(packet) => packet.entries().iter().for_each(|entry| see(entry.section, entry.record_type)),
        }
        self.rcode != Rcode::NOERROR || !data && authority
    }

    /// Leaves out the authority and additional sections.
    pub fn keep_answer_only(&mut self) {
        match &mut self.body {
            Body::Records(records) => {
                records.authority.clear();
                records.additional.clear();
            }
            Body::Packet(packet) => packet.keep_answer_only(),
        }
    }

    /// What kind of answer this is for the question, as `log` and `cache` tell them apart (RFC 2308).
    pub fn kind(&self, question: &Question) -> Kind {
        match self.rcode {
            Rcode::NXDOMAIN => Kind::Denial,
            Rcode::NOERROR => match &self.body {
                Body::Records(records) => {
                    let soa = records.authority.iter().any(|record| record.data.record_type() == RecordType::SOA);
                    Kind::of_noerror(records.answer.iter().any(|r| answers(question, r.data.record_type())), soa)
                }
                Body::Packet(packet) => packet.noerror_kind(question),
            },
            _ => Kind::Error,
        }
    }
}

fn answers(question: &Question, kind: RecordType) -> bool {
    question.record_type == RecordType::ANY || question.record_type == kind
}

/// The three classes of answers that `log` and `cache` know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// NOERROR with data, or a referral.
    Success,
    /// NXDOMAIN or NODATA.
    Denial,
    /// Everything else.
    Error,
}

impl Kind {
    pub(super) const fn of_noerror(has_type: bool, has_soa: bool) -> Self {
        if !has_type && has_soa { Self::Denial } else { Self::Success }
    }

    /// As the `log` plugin writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denial => "denial",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
