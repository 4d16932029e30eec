use std::time::Instant;

use super::*;
use crate::{
    chain::{Chain, Outcome, Transport},
    metrics::Registry,
    wire::{Body, Name, Query, Question},
};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// What becomes of a question: `next`, or the response code with the data.
fn ask(chain: &Arc<Chain>, asked: &str, kind: RecordType) -> String {
    let client = "192.0.2.9:1234".parse().unwrap();
    let query = Query::internal(Question::new(name(asked), kind));
    let mut cx = Context::new(query, client, client, Transport::Udp, Instant::now());
    let Outcome::Answered(response) = chain.walk(&mut cx) else { panic!("no answer") };
    if response.plugin != "hosts" {
        return "next".to_owned();
    }
    let Body::Records(records) = &response.body else { panic!("no records") };
    let data = records.answer.iter().map(|record| match &record.data {
        RData::A(address) => address.to_string(),
        RData::Aaaa(address) => address.to_string(),
        RData::Ptr(target) => target.resolve(&name(asked)).to_string(),
        other => format!("{other:?}"),
    });
    std::iter::once(response.rcode.to_string()).chain(data).collect::<Vec<_>>().join(" ")
}

fn chain(fallthrough: &[&str], fallthrough_unsupported: bool) -> Arc<Chain> {
    let zones = ZoneSet::new(vec![name("example.org")]);
    let mut table = Table::default();
    table.add("192.0.2.1 www.example.org web.example.org\n2001:db8::1 www.example.org\n", &zones, true);
    let hosts = Hosts {
        zones,
        table: Arc::new(RwLock::new(Arc::new(table))),
        ttl: 60,
        fallthrough: ZoneSet::new(fallthrough.iter().map(|zone| name(zone)).collect()),
        fallthrough_unsupported,
    };
    let panics = Registry::new().counter("panics", "-", &[]).with_label_values::<&str>(&[]);
    Arc::new(Chain::new(vec![Box::new(hosts)], panics, false))
}

#[test]
fn known_names_are_answered_and_unknown_ones_fail() {
    let chain = chain(&[], false);
    for (asked, kind, expected) in [
        ("www.example.org", RecordType::A, "NOERROR 192.0.2.1"),
        ("WWW.Example.Org", RecordType::AAAA, "NOERROR 2001:db8::1"),
        ("web.example.org", RecordType::AAAA, "NOERROR"),
        ("www.example.org", RecordType::MX, "NOERROR"),
        ("none.example.org", RecordType::A, "SERVFAIL"),
        ("www.example.net", RecordType::A, "next"),
        ("1.2.0.192.in-addr.arpa", RecordType::PTR, "NOERROR www.example.org. web.example.org."),
        ("2.2.0.192.in-addr.arpa", RecordType::PTR, "next"),
    ] {
        assert_eq!(ask(&chain, asked, kind), expected, "{asked} {kind}");
    }
}

#[test]
fn fallthrough_goes_by_zone() {
    let chain = chain(&["sub.example.org"], true);
    assert_eq!(ask(&chain, "a.sub.example.org", RecordType::A), "next");
    assert_eq!(ask(&chain, "none.example.org", RecordType::A), "SERVFAIL");
    assert_eq!(ask(&chain, "www.example.org", RecordType::MX), "NOERROR");
    assert_eq!(ask(&self::chain(&["."], true), "www.example.org", RecordType::MX), "next");
    assert_eq!(ask(&self::chain(&["."], false), "www.example.org", RecordType::MX), "NOERROR");
}
