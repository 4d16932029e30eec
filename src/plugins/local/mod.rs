#![doc = include_str!("README.md")]

mod config;

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::{
    chain::{Context, Directive, Plugin, Rest, Step},
    metrics::Counter,
    wire::{Body, Class, Name, NameRef, Prefix, Question, RData, Rcode, Record, RecordType, Records, Response, Soa},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "local", parse: config::parse };

/// A week.
const TTL: u32 = 604_800;

struct Local {
    /// Names whose first label is `localhost` are ours as well.
    prefix: bool,
    /// Names that are not `localhost` itself.
    odd: Counter,
}

impl Plugin for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        if question.class != Class::IN {
            return Step::Next;
        }
        match meaning(&question.name, self.prefix) {
            Meaning::Other => Step::Next,
            Meaning::Below => {
                self.odd.inc();
                answer(address(question.record_type), 0).into()
            }
            Meaning::Zone { above: 0, name: ZoneName::Localhost } => {
                answer(address(question.record_type).or_else(|| apex(question)), 0).into()
            }
            Meaning::Zone { above: 0, name: ZoneName::Reverse } => answer(apex(question), 0).into(),
            Meaning::Zone { above, .. } => {
                if !is_loopback(&question.name) {
                    return Response { rcode: Rcode::NXDOMAIN, ..answer(None, above) }.into();
                }
                let pointer = (question.record_type == RecordType::PTR).then(|| RData::Ptr(localhost()));
                answer(pointer, above).into()
            }
        }
    }
}

/// What a name is to us.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// Nothing.
    Other,
    /// `a.localhost`, or `localhost.a`.
    Below,
    /// A zone of ours, or a name so many labels below it.
    Zone { name: ZoneName, above: usize },
}

#[derive(Debug, PartialEq, Eq)]
enum ZoneName {
    Localhost,
    /// `0.in-addr.arpa`, `127.in-addr.arpa`, `255.in-addr.arpa`.
    Reverse,
}

fn meaning(name: &Name, prefix: bool) -> Meaning {
    let is = |label: &[u8], text: &str| label.eq_ignore_ascii_case(text.as_bytes());
    let count = name.label_count();
    // Most names are seen not to be ours by their last label.
    let Some(last) = name.labels().last() else { return Meaning::Other };
    if prefix && count > 1 && name.labels().next().is_some_and(|label| is(label, "localhost")) {
        return Meaning::Below;
    }
    if is(last, "localhost") {
        return if count > 1 { Meaning::Below } else { Meaning::Zone { name: ZoneName::Localhost, above: 0 } };
    }
    if count < 3 || !is(last, "arpa") {
        return Meaning::Other;
    }
    let mut labels = name.labels().skip(count - 3);
    let ours = labels.next().is_some_and(|label| matches!(label, b"0" | b"127" | b"255"))
        && labels.next().is_some_and(|label| is(label, "in-addr"));
    if ours { Meaning::Zone { name: ZoneName::Reverse, above: count - 3 } } else { Meaning::Other }
}

/// Whether it is the reverse name of 127.0.0.1.
fn is_loopback(name: &Name) -> bool {
    name.label_count() == 6 && name.labels().take(4).eq([b"1".as_slice(), b"0", b"0", b"127"])
}

const fn address(kind: RecordType) -> Option<RData> {
    match kind {
        RecordType::A => Some(RData::A(Ipv4Addr::LOCALHOST)),
        RecordType::AAAA => Some(RData::Aaaa(Ipv6Addr::LOCALHOST)),
        _ => None,
    }
}

fn apex(question: &Question) -> Option<RData> {
    match question.record_type {
        RecordType::SOA => Some(soa()),
        RecordType::NS => Some(RData::Ns(localhost())),
        _ => None,
    }
}

/// This data, or that there is none; the zone stands `above` labels above the question.
fn answer(data: Option<RData>, above: usize) -> Response {
    let mut records = Records::default();
    match data {
        Some(data) => records.answer.push(Record::of_question(TTL, data)),
        None => records.authority.push(Record::new(NameRef::Tail(above as u8), TTL, soa())),
    }
    Response { body: Body::Records(records), ..Response::new(Rcode::NOERROR) }
}

/// Names that do not depend on the question: all of its labels are left out.
fn localhost() -> NameRef {
    NameRef::Under(Prefix::Fixed(b"\x09localhost"), u8::MAX)
}

fn soa() -> RData {
    let rname = NameRef::Under(Prefix::Fixed(b"\x04root\x09localhost"), u8::MAX);
    RData::Soa(Soa { mname: localhost(), rname, serial: 1, refresh: 0, retry: 0, expire: 0, minimum: TTL })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_local() {
        let zone = |name, above| Meaning::Zone { name, above };
        for (name, expected) in [
            ("LocalHost.", zone(ZoneName::Localhost, 0)),
            ("a.localhost.", Meaning::Below),
            ("a.b.localhost.", Meaning::Below),
            ("localhost.example.org.", Meaning::Below),
            ("localhost.localhost.", Meaning::Below),
            ("localhosts.", Meaning::Other),
            ("a.localhost.org.", Meaning::Other),
            ("127.in-addr.arpa.", zone(ZoneName::Reverse, 0)),
            ("1.0.0.127.IN-addr.ARPA.", zone(ZoneName::Reverse, 3)),
            ("9.255.in-addr.arpa.", zone(ZoneName::Reverse, 1)),
            ("10.in-addr.arpa.", Meaning::Other),
            ("in-addr.arpa.", Meaning::Other),
            ("127.in-addr.arpa.example.", Meaning::Other),
            (".", Meaning::Other),
        ] {
            assert_eq!(meaning(&Name::parse(name).unwrap(), true), expected, "{name}");
        }
        let plain = Name::parse("localhost.example.org.").unwrap();
        assert_eq!(meaning(&plain, false), Meaning::Other, "`localhost_prefix off`");
    }
}
