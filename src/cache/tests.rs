use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    metrics::{Counter, Registry},
    wire::{
        Body, Edns, Flags, Name, NameRef, Packet, Query, Question, RData, Rcode, Record, RecordType, Records, Response,
        Soa,
    },
};

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

fn ns(ttl: u32) -> Record {
    Record::new(NameRef::Tail(1), ttl, RData::Ns(NameRef::from(Name::parse("ns.example.org.").unwrap())))
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
    let name_error = || (vec![], vec![soa(60, 60)]);
    for (what, rcode, (answer, authority), kept) in [
        ("an address", Rcode::NOERROR, (vec![a(60)], vec![]), Some((Success, In::Success, 60))),
        ("the least TTL counts", Rcode::NOERROR, (vec![cname(90), a(30)], vec![]), Some((Success, In::Success, 30))),
        ("TTL 0 becomes the least", Rcode::NOERROR, (vec![a(0)], vec![]), Some((Success, In::Success, 5))),
        ("a day becomes the most", Rcode::NOERROR, (vec![a(86400)], vec![]), Some((Success, In::Success, 3600))),
        ("an alias alone", Rcode::NOERROR, (vec![cname(60)], vec![]), Some((Success, In::Success, 60))),
        ("NXDOMAIN, MINIMUM smaller", Rcode::NXDOMAIN, (vec![], vec![soa(900, 60)]), Some((Denial, In::Denial, 60))),
        ("NXDOMAIN, TTL smaller", Rcode::NXDOMAIN, (vec![], vec![soa(30, 900)]), Some((Denial, In::Denial, 30))),
        ("NXDOMAIN without SOA", Rcode::NXDOMAIN, (vec![], vec![]), None),
        ("an alias to no name", Rcode::NXDOMAIN, (vec![cname(60)], vec![soa(60, 60)]), Some((Denial, In::Denial, 60))),
        ("NODATA", Rcode::NOERROR, name_error(), Some((Denial, In::Denial, 60))),
        ("an alias without data", Rcode::NOERROR, (vec![cname(60)], vec![soa(60, 60)]), Some((Denial, In::Denial, 60))),
        ("nothing at all", Rcode::NOERROR, (vec![], vec![]), Some((Empty, In::Success, 5))),
        ("a referral", Rcode::NOERROR, (vec![], vec![ns(900)]), Some((Empty, In::Success, 5))),
        ("SERVFAIL", Rcode::SERVFAIL, (vec![], vec![]), Some((Failure, In::Denial, 5))),
        ("REFUSED", Rcode::REFUSED, (vec![], vec![]), None),
    ] {
        let found = classify(&packet(rcode, &answer, &authority), &question(), &LIMITS);
        let kept = kept.map(|(class, half, seconds)| Storable { class, half, ttl: Duration::from_secs(seconds) });
        assert_eq!(found, kept, "{what}");
    }
}

#[test]
fn a_truncated_answer_and_a_transfer_are_not_kept() {
    let records = Records { answer: [a(60)].into_iter().collect(), ..Records::default() };
    let whole = Response { body: Body::Records(records), ..Response::new(Rcode::NOERROR) };
    let cut = Response { truncated: true, ..whole.clone() };
    assert!(classify(&Packet::of(&question(), &whole).unwrap(), &question(), &LIMITS).is_some());
    assert!(classify(&Packet::of(&question(), &cut).unwrap(), &question(), &LIMITS).is_none());
    let transfer = Question { record_type: RecordType::AXFR, ..question() };
    assert!(classify(&Packet::of(&transfer, &whole).unwrap(), &transfer, &LIMITS).is_none());
}

fn store(success: u64) -> AnswerCache {
    counting_store(success).0
}

/// With the number of answers with data that had to go.
fn counting_store(success: u64) -> (AnswerCache, Counter) {
    let counter = Registry::new().counter("evicted", "-", &["half"]);
    let [of_success, of_denial] = ["success", "denial"].map(|half| counter.with_label_values(&[half]));
    let bounds = Bounds { success, denial: 10, stale: Duration::from_secs(60) };
    (AnswerCache::new(bounds, [of_success.clone(), of_denial]), of_success)
}

fn address_for(seconds: u64) -> (Packet, Storable) {
    let storable = Storable { class: Class::Success, half: Half::Success, ttl: Duration::from_secs(seconds) };
    (packet(Rcode::NOERROR, &[a(60)], &[]), storable)
}

#[test]
fn a_newer_answer_sends_nobody_away() {
    let (cache, gone) = counting_store(16);
    let keep = |name: &str| {
        let question = Question::new(Name::parse(name).unwrap(), RecordType::A);
        let query = Query::internal(question.clone());
        let (packet, storable) = address_for(30);
        cache.keep(&Key::of(&question, &query), packet, storable, Instant::now(), None);
    };
    (0..100).for_each(|_| keep("a.test"));
    assert_eq!((cache.len(Half::Success), gone.get()), (1, 0));
    (0..100).for_each(|number| keep(&format!("n{number}.test")));
    assert_eq!(cache.len(Half::Success) + gone.get(), 101);
}

#[test]
fn an_entry_ages_and_ends() {
    let cache = store(10);
    let key = Key::of(&question(), &Query::internal(question()));
    let born = Instant::now();
    let (packet, storable) = address_for(30);
    cache.keep(&key, packet, storable, born, None);
    let entry = cache.find(&key).success.unwrap();
    for (milliseconds, ttl) in [(0, Some(30)), (900, Some(30)), (1000, Some(29)), (29_500, Some(1)), (30_000, None)] {
        let shown = match entry.age(born + Duration::from_millis(milliseconds)) {
            Age::Fresh(left) => {
                let packet = entry.packet(left);
                Some(packet.ttl_of(&packet.entries()[0]))
            }
            Age::Ended(_) => None,
        };
        assert_eq!(shown, ttl, "after {milliseconds} ms");
    }
    assert_eq!(entry.age(born + Duration::from_secs(40)), Age::Ended(Duration::from_secs(10)));
}

#[test]
fn the_key_is_blind_to_case_and_splits_by_type_do_and_cd() {
    let cache = store(10);
    let query = Query::internal(question());
    let (packet, storable) = address_for(30);
    cache.keep(&Key::of(&question(), &query), packet, storable, Instant::now(), None);
    let found = |question: &Question, query: &Query| cache.find(&Key::of(question, query)).success.is_some();
    assert!(cache.find(&Key::of(&question(), &query)).denial.is_none());
    assert!(found(&Question { name: Name::parse("WWW.Example.Org.").unwrap(), ..question() }, &query));
    assert!(!found(&Question { record_type: RecordType::AAAA, ..question() }, &query));
    assert!(!found(&question(), &Query { edns: Some(Edns::new(1232, true)), ..query.clone() }));
    assert!(found(&question(), &Query { edns: Some(Edns::new(1232, false)), ..query.clone() }));
    assert!(!found(&question(), &Query { flags: Flags(Flags::RD | Flags::CD), ..query.clone() }));
}

#[test]
fn a_full_store_lets_answers_go() {
    let cache = store(4);
    for number in 0..100 {
        let question = Question { name: Name::parse(&format!("n{number}.example.org")).unwrap(), ..question() };
        let (packet, storable) = address_for(30);
        cache.keep(&Key::of(&question, &Query::internal(question.clone())), packet, storable, Instant::now(), None);
    }
    assert!(cache.len(Half::Success) <= 4);
}

#[test]
fn hits_are_counted_until_there_is_a_gap_and_survive_a_refresh() {
    let now = Instant::now();
    let gap = Duration::from_secs(60);
    let (packet, storable) = address_for(30);
    let entry = Entry::new(packet.clone(), storable, now, None);
    assert_eq!([entry.hit(now, gap), entry.hit(now + gap / 2, gap)], [1, 2]);
    let next = Entry::new(packet, storable, now, Some(&entry));
    assert_eq!(next.hit(now + gap, gap), 3);
    assert_eq!(next.hit(now + gap * 2, gap), 1);
}

#[test]
fn one_refresh_at_a_time_and_a_pause_behind_a_failed_one() {
    let now = Instant::now();
    let pause = Duration::from_secs(5);
    let (packet, storable) = address_for(30);
    let entry = Arc::new(Entry::new(packet, storable, now, None));
    let first = Refresh::start(&entry, now, pause).unwrap();
    assert!(Refresh::start(&entry, now, pause).is_none());
    drop(first);
    Refresh::start(&entry, now, pause).unwrap().fail(now);
    assert!(Refresh::start(&entry, now + pause / 2, pause).is_none());
    assert!(Refresh::start(&entry, now + pause, pause).is_some());
}

#[test]
fn equal_questions_share_an_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let flights = Arc::new(Flights::<u32>::default());
    let key = || Key::of(&question(), &Query::internal(question()));
    let Boarding::Pilot(first) = flights.board(&key(), 0) else { panic!("the first asks") };
    let Boarding::Passenger(second) = flights.board(&key(), 0) else { panic!("the second waits") };
    let Boarding::Pilot(other) = flights.board(&key(), 1) else { panic!("another kind asks for itself") };
    first.land(&7);
    assert_eq!(runtime.block_on(second.arrive()), Some(7));
    let Boarding::Pilot(lost) = flights.board(&key(), 0) else { panic!("later ones ask anew") };
    let Boarding::Passenger(stranded) = flights.board(&key(), 0) else { panic!("and others wait for them") };
    drop((lost, other));
    assert_eq!(runtime.block_on(stranded.arrive()), None, "the pilot was lost");
    assert!(matches!(flights.board(&key(), 0), Boarding::Pilot(_)));
}

#[test]
fn what_another_thread_keeps_or_forgets_is_seen_at_once() {
    let cache = store(10);
    let key = || Key::of(&question(), &Query::internal(question()));
    let keep = |ttl| {
        let (packet, storable) = address_for(ttl);
        cache.keep(&key(), packet, storable, Instant::now(), None);
    };
    let ttl = || cache.find(&key()).success.map(|entry| entry.ttl().as_secs());
    let version = || cache.versions().of(key().hash());
    keep(30);
    assert_eq!([ttl(), ttl()], [Some(30); 2]);
    let before = version();
    std::thread::scope(|scope| scope.spawn(|| keep(60)).join()).unwrap();
    assert_ne!(version(), before, "there is a newer one");
    assert_eq!([ttl(), ttl()], [Some(60); 2]);
    let before = version();
    std::thread::scope(|scope| scope.spawn(|| cache.forget(Half::Success, &key())).join()).unwrap();
    assert_ne!(version(), before);
    assert_eq!(ttl(), None);
}

#[test]
fn what_is_of_no_use_is_swept_out_and_its_memory_counted() {
    let cache = store(10);
    let now = Instant::now();
    for (number, ttl) in [10, 60].into_iter().enumerate() {
        let question = Question { name: Name::parse(&format!("n{number}.example.org")).unwrap(), ..question() };
        let (packet, storable) = address_for(ttl);
        cache.keep(&Key::of(&question, &Query::internal(question.clone())), packet, storable, now, None);
    }
    let both = cache.bytes(Half::Success);
    // The store keeps answers for a minute behind their end.
    cache.sweep(now + Duration::from_secs(71));
    assert_eq!(cache.len(Half::Success), 1, "one is still good as a stale answer");
    assert!(cache.bytes(Half::Success) * 2 == both && both > 0, "{both} octets");
}
