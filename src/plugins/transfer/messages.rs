use crate::wire::{NameRef, RData, Record, Section};

/// How many octets of records are put into one message; names are counted as they stand, compressed they are shorter.
const FULL: usize = 60_000;

/// The records of a zone in portions that fit a message each, the SOA first and last (RFC 5936 section 2.2).
pub(super) struct Messages {
    records: Box<dyn Iterator<Item = Record> + Send>,
    soa: Option<Record>,
    /// What did not fit the message before.
    kept: Option<Record>,
    ended: bool,
}

impl Messages {
    /// All of a zone, or its SOA alone.
    pub(super) fn new(mut records: Box<dyn Iterator<Item = Record> + Send>, soa_alone: bool) -> Self {
        let soa = records.next();
        Self { records, kept: soa.clone(), soa: soa.filter(|_| !soa_alone), ended: soa_alone }
    }

    fn take(&mut self) -> Option<Record> {
        if let Some(record) = self.kept.take() {
            return Some(record);
        }
        if self.ended {
            return None;
        }
        self.records.next().or_else(|| {
            self.ended = true;
            self.soa.take()
        })
    }
}

impl Iterator for Messages {
    type Item = Section;

    fn next(&mut self) -> Option<Section> {
        let mut section = Section::new();
        let mut size = 0;
        while let Some(record) = self.take() {
            size += size_of(&record);
            if size > FULL && !section.is_empty() {
                self.kept = Some(record);
                break;
            }
            section.push(record);
        }
        (!section.is_empty()).then_some(section)
    }
}

/// The most octets that a record takes.
fn size_of(record: &Record) -> usize {
    let name = |name: &NameRef| match name {
        NameRef::Full(name) => name.wire().len(),
        _ => crate::wire::MAX_NAME,
    };
    let data = match &record.data {
        RData::A(_) => 4,
        RData::Aaaa(_) => 16,
        RData::Cname(target) | RData::Ns(target) | RData::Ptr(target) => name(target),
        RData::Mx { exchange, .. } => 2 + name(exchange),
        RData::Srv { target, .. } => 6 + name(target),
        RData::Soa(soa) => 20 + name(&soa.mname) + name(&soa.rname),
        RData::Txt(texts) => texts.iter().map(|text| 1 + text.len()).sum(),
        RData::Other(_, data) => data.len(),
    };
    name(&record.owner) + 10 + data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Name, RecordType};

    fn zone(texts: usize) -> Box<dyn Iterator<Item = Record> + Send> {
        let record = |text: String| crate::zone::text::record(&text).unwrap().unwrap();
        let soa = record("z.test. SOA n. h. 7 2 3 4 5".to_owned());
        let others = (0..texts).map(move |number| record(format!("t{number}.z.test. TXT {}", "x".repeat(200))));
        Box::new(std::iter::once(soa).chain(others))
    }

    #[test]
    fn soa_first_and_last_and_no_message_too_long() {
        for (texts, messages) in [(0, 1), (1, 1), (1000, 4)] {
            let sections: Vec<Section> = Messages::new(zone(texts), false).collect();
            assert_eq!(sections.len(), messages);
            let all: Vec<&Record> = sections.iter().flatten().collect();
            assert_eq!(all.len(), texts + 2);
            assert!([all[0], all[texts + 1]].iter().all(|record| record.data.record_type() == RecordType::SOA));
            assert_eq!(all[0].owner.resolve(&Name::root()).to_string(), "z.test.");
        }
        assert_eq!(Messages::new(zone(9), true).map(|section| section.len()).collect::<Vec<_>>(), [1]);
    }
}
