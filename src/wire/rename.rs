use std::sync::Arc;

use super::{Name, NameRef, RData, Record, RecordType, message::Reader};

impl Record {
    /// Writes out all names that are said by the question's, so that the record can stand under another question.
    pub fn spell_out(&mut self, question: &Name) {
        let full = |name: &mut NameRef| {
            if !matches!(name, NameRef::Full(_)) {
                *name = name.resolve(question).into();
            }
        };
        full(&mut self.owner);
        if let RData::Soa(soa) = &mut self.data {
            full(&mut soa.rname);
        }
        if let Some(target) = self.data.target_mut() {
            full(target);
        }
    }
}

impl Record {
    /// The same record, its names no longer depending on the question that it answered.
    #[must_use]
    pub fn spelled_out(mut self, question: &Name) -> Self {
        self.spell_out(question);
        self
    }
}

impl RData {
    /// The name that the data leads to: of an alias, a delegation, a server, the primary of an SOA. `question` is what
    /// the record answers.
    pub fn target(&self, question: &Name) -> Option<Name> {
        match self {
            Self::Cname(name) | Self::Ns(name) | Self::Ptr(name) => Some(name.resolve(question)),
            Self::Mx { exchange, .. } => Some(exchange.resolve(question)),
            Self::Srv { target, .. } => Some(target.resolve(question)),
            Self::Soa(soa) => Some(soa.mname.resolve(question)),
            Self::Other(kind, data) => Name::from_wire(data.get(raw_target(*kind, data)?..)?).ok(),
            Self::A(_) | Self::Aaaa(_) | Self::Txt(_) => None,
        }
    }

    /// Puts another name in the place of [`RData::target`].
    pub fn set_target(&mut self, name: Name) {
        if let Some(target) = self.target_mut() {
            *target = name.into();
        } else if let Self::Other(kind, data) = self
            && let Some(start) = raw_target(*kind, data)
        {
            let octets = data.get(..start).unwrap_or_default().iter().chain(name.wire()).copied();
            *data = octets.collect::<Arc<[u8]>>();
        }
    }

    fn target_mut(&mut self) -> Option<&mut NameRef> {
        match self {
            Self::Cname(name) | Self::Ns(name) | Self::Ptr(name) => Some(name),
            Self::Mx { exchange, .. } => Some(exchange),
            Self::Srv { target, .. } => Some(target),
            Self::Soa(soa) => Some(&mut soa.mname),
            Self::A(_) | Self::Aaaa(_) | Self::Txt(_) | Self::Other(..) => None,
        }
    }
}

/// Where the name starts in data that is kept as it stood on the wire: it is the last field of DNAME and NAPTR.
fn raw_target(kind: RecordType, data: &[u8]) -> Option<usize> {
    match kind {
        RecordType::DNAME => Some(0),
        RecordType::NAPTR => {
            // RFC 3403 section 4.1: order and preference, then flags, services and a regular expression.
            let mut reader = Reader::at(data, 0);
            reader.array::<4>().ok()?;
            (0..3).try_for_each(|_| reader.skip_string()).ok()?;
            Some(reader.position())
        }
        _ => None,
    }
}
