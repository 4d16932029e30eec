use super::*;
use crate::wire::{Body, Name, NameRef, Query, Question, RData, Record, RecordType, Records, Response, Soa};

const LIMITS: Limits = Limits {
    success: (Duration::from_secs(5), Duration::from_secs(3600)),
    denial: (Duration::from_secs(5), Duration::from_secs(1800)),
    failure: Duration::from_secs(5),
};

fn question() -> Question {
    Question::new(Name::parse("www.example.org.").unwrap(), RecordType::A)
}

fn a(ttl: u32) -> Record {
    Record::of_question(ttl, RData::A([192, 0, 2, 1].into()))
}

fn cname(ttl: u32) -> Record {
    Record::of_question(ttl, RData::Cname(NameRef::from(Name::parse("other.example.net.").unwrap())))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    let name = NameRef::from(Name::parse("ns.example.org.").unwrap());
    let soa = Soa { mname: name.clone(), rname: name, serial: 1, refresh: 1, retry: 1, expire: 1, minimum };
    Record::new(NameRef::Tail(1), ttl, RData::Soa(soa))
}

fn packet(rcode: Rcode, answer: &[Record], authority: &[Record]) -> Packet {
    let records = Records {
        answer: answer.iter().cloned().collect(),
        authority: authority.iter().cloned().collect(),
        ..Records::default()
    };
    Packet::of(&question(), &Response { body: Body::Records(records), ..Response::new(rcode) }).unwrap()
}

#[test]
fn what_is_kept_and_for_how_long() {
    use {Class::*, Half as In};
    for (what, rcode, answer, authority, class, kept) in [
        ("an address", Rcode::NOERROR, vec![a(60)], vec![], Success, Some((In::Success, 60))),
        ("the least TTL counts", Rcode::NOERROR, vec![cname(90), a(30)], vec![], Success, Some((In::Success, 30))),
        ("TTL 0 becomes the least", Rcode::NOERROR, vec![a(0)], vec![], Success, Some((In::Success, 5))),
        ("a day becomes the most", Rcode::NOERROR, vec![a(86400)], vec![], Success, Some((In::Success, 3600))),
        ("NXDOMAIN, MINIMUM smaller", Rcode::NXDOMAIN, vec![], vec![soa(900, 60)], Denial, Some((In::Denial, 60))),
        ("NXDOMAIN, TTL smaller", Rcode::NXDOMAIN, vec![], vec![soa(30, 900)], Denial, Some((In::Denial, 30))),
        ("NXDOMAIN without SOA", Rcode::NXDOMAIN, vec![], vec![], Other, None),
        (
            "an alias to a name that does not exist",
            Rcode::NXDOMAIN,
            vec![cname(60)],
            vec![soa(60, 60)],
            Denial,
            Some((In::Denial, 60)),
        ),
        ("NODATA", Rcode::NOERROR, vec![], vec![soa(60, 60)], Denial, Some((In::Denial, 60))),
        ("an alias without data", Rcode::NOERROR, vec![cname(60)], vec![soa(60, 60)], Denial, Some((In::Denial, 60))),
        ("nothing at all", Rcode::NOERROR, vec![], vec![], Success, Some((In::Success, 5))),
        ("SERVFAIL", Rcode::SERVFAIL, vec![], vec![], Failure, Some((In::Denial, 5))),
        ("REFUSED", Rcode::REFUSED, vec![], vec![], Other, None),
    ] {
        let found = classify(&packet(rcode, &answer, &authority), &question(), &LIMITS);
        let kept = kept.map(|(half, seconds)| Storable { half, ttl: Duration::from_secs(seconds) });
        assert_eq!(found, (class, kept), "{what}");
    }
}

#[test]
fn an_entry_ages_and_ends() {
    let cache = AnswerCache::new(10, 10);
    let query = Query::internal(question());
    let key = Key::of(&question(), &query);
    let born = Instant::now();
    cache.keep(Half::Success, &key, packet(Rcode::NOERROR, &[a(60)], &[]), Duration::from_secs(30), born);
    let entry = cache.find(Half::Success, &key).unwrap();
    for (milliseconds, ttl) in [(0, Some(30)), (900, Some(30)), (1000, Some(29)), (29_500, Some(1)), (30_000, None)] {
        let packet = entry.fresh(born + Duration::from_millis(milliseconds), false);
        assert_eq!(packet.map(|packet| packet.ttl_of(&packet.entries()[0])), ttl, "after {milliseconds} ms");
    }
    assert!(cache.find(Half::Denial, &key).is_none());
    let upper = Question { name: Name::parse("WWW.Example.Org.").unwrap(), ..question() };
    assert!(cache.find(Half::Success, &Key::of(&upper, &query)).is_some());
    let other = Question { record_type: RecordType::AAAA, ..question() };
    assert!(cache.find(Half::Success, &Key::of(&other, &query)).is_none());
}
