use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use smallvec::SmallVec;

use super::{Class, Name, RecordType};

/// A name inside a response, said with as few bytes as can be: most names of an answer are the question's name
/// or end like it, and so keep the client's spelling for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameRef {
    /// The question's name without its first labels; `Tail(0)` is the question itself.
    Tail(u8),
    /// Labels put in front of a tail of the question's name.
    Under(Prefix, u8),
    /// Any other name.
    Full(Arc<Name>),
}

/// What stands in front of the question's tail in [`NameRef::Under`]: labels in wire form, without the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefix {
    /// Known when the program was written, such as `\x02ns\x03dns`.
    Fixed(&'static [u8]),
    /// Made for this answer.
    Made(SmallVec<[u8; 24]>),
}

/// Owner of a record.
pub type Owner = NameRef;

impl NameRef {
    /// The question's own name.
    pub const QUESTION: Self = Self::Tail(0);

    /// The labels that stand in front of a tail of the question's name, in wire form.
    pub fn labels(&self) -> &[u8] {
        match self {
            Self::Under(prefix, _) => prefix.wire(),
            Self::Tail(_) | Self::Full(_) => &[],
        }
    }

    /// The name written out, for a question of this name.
    pub fn resolve(&self, question: &Name) -> Name {
        match self {
            Self::Tail(skip) => question.parent(usize::from(*skip)),
            Self::Under(prefix, skip) => {
                let labels = prefix.labels();
                Name::under(labels, &question.parent(usize::from(*skip))).unwrap_or_else(|_| Name::root())
            }
            Self::Full(name) => **name,
        }
    }
}

impl From<Name> for NameRef {
    fn from(name: Name) -> Self {
        Self::Full(Arc::new(name))
    }
}

impl Prefix {
    /// A prefix of these labels. Labels longer than 63 octets are cut, as they cannot be written.
    pub fn of<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::Made(SmallVec::new()).and(labels)
    }

    /// These labels with others behind them.
    #[must_use]
    pub fn and<'a>(self, labels: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut wire = match self {
            Self::Made(wire) => wire,
            Self::Fixed(wire) => wire.into(),
        };
        for label in labels {
            let label = &label[..label.len().min(63)];
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        Self::Made(wire)
    }

    /// The labels in wire form, without the root.
    pub fn wire(&self) -> &[u8] {
        match self {
            Self::Fixed(wire) => wire,
            Self::Made(wire) => wire,
        }
    }

    fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.wire();
        std::iter::from_fn(move || {
            let (&length, behind) = rest.split_first()?;
            let (label, behind) = behind.split_at(usize::from(length));
            rest = behind;
            Some(label)
        })
    }
}

/// One resource record (RFC 1035 section 3.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose record it is.
    pub owner: Owner,
    /// Class, practically always `IN`.
    pub class: Class,
    /// Seconds for which it may be kept.
    pub ttl: u32,
    /// Type and data.
    pub data: RData,
}

/// The records of a section. One or two are kept without heap.
pub type Section = SmallVec<[Record; 1]>;

/// Record data: the types we make ourselves; everything else as it stood on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields bear the names of RFC 1035 and RFC 2782")]
pub enum RData {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(NameRef),
    Ns(NameRef),
    Ptr(NameRef),
    Mx {
        preference: u16,
        exchange: NameRef,
    },
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: NameRef,
    },
    Soa(Soa),
    /// Character strings, each at most 255 octets.
    Txt(Arc<[Box<[u8]>]>),
    /// Any other type: its data in uncompressed wire form (RFC 3597).
    Other(RecordType, Arc<[u8]>),
}

/// Start of authority (RFC 1035 section 3.3.13). Times in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields bear the names of RFC 1035")]
pub struct Soa {
    pub mname: NameRef,
    pub rname: NameRef,
    pub serial: u32,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
    pub minimum: u32,
}

impl RData {
    /// The TYPE that goes with this data.
    pub const fn record_type(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::AAAA,
            Self::Cname(_) => RecordType::CNAME,
            Self::Ns(_) => RecordType::NS,
            Self::Ptr(_) => RecordType::PTR,
            Self::Mx { .. } => RecordType::MX,
            Self::Srv { .. } => RecordType::SRV,
            Self::Soa(_) => RecordType::SOA,
            Self::Txt(_) => RecordType::TXT,
            Self::Other(kind, _) => *kind,
        }
    }

    /// An address record of the family that the address has.
    pub const fn address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::A(v4),
            IpAddr::V6(v6) => Self::Aaaa(v6),
        }
    }

    /// A TXT record of one string, cut at 255 octets.
    pub fn text(text: &str) -> Self {
        let octets = &text.as_bytes()[..text.len().min(255)];
        Self::Txt(Arc::from([Box::from(octets)]))
    }
}

impl Record {
    /// A record of class IN.
    pub const fn new(owner: Owner, ttl: u32, data: RData) -> Self {
        Self { owner, class: Class::IN, ttl, data }
    }

    /// A record of class IN that the question's name owns.
    pub const fn of_question(ttl: u32, data: RData) -> Self {
        Self::new(NameRef::QUESTION, ttl, data)
    }
}
