use std::net::Ipv6Addr;

use crate::wire::{Name, NameRef, Prefix, RData, Record, Soa};

/// A zone of six records, of five if its end is to be missing. Its names are the question's and two below it.
pub(super) fn records(without_end: bool) -> Vec<Record> {
    let below = |label: &'static [u8]| NameRef::Under(Prefix::Fixed(label), 0);
    let full = |name: &str| NameRef::from(Name::parse(name).unwrap_or_else(|_| Name::root()));
    let soa = Record::of_question(
        0,
        RData::Soa(Soa {
            mname: full("sns.dns.icann.org."),
            rname: full("noc.dns.icann.org."),
            serial: 2_018_050_825,
            refresh: 7_200,
            retry: 3_600,
            expire: 1_209_600,
            minimum: 3_600,
        }),
    );
    let (one, two): (&'static [u8], &'static [u8]) = (b"\x01a", b"\x01b");
    let mut records = vec![
        soa.clone(),
        Record::of_question(0, RData::Ns(below(two))),
        Record::of_question(0, RData::Ns(below(one))),
        Record::new(below(one), 0, RData::Aaaa(Ipv6Addr::new(0x2001, 0xbd8, 0, 0, 0, 0, 0, 0x53))),
        Record::new(below(two), 0, RData::Aaaa(Ipv6Addr::new(0x2001, 0x500, 0, 0, 0, 0, 0, 0x54))),
    ];
    records.extend((!without_end).then_some(soa));
    records
}
