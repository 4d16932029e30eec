//! What is answered from a copy, without etcd.

use std::time::{Duration, Instant};

use super::{
    Bounds, Mirror, Root,
    answer::{Answer, Item, Policy, answer},
    message::{Event, KeyValue},
};
use crate::wire::{Name, RData, RecordType};

/// `KEY VALUE` lines below `/skydns/test/a`.
fn mirror(lines: &str) -> Mirror {
    let mirror = Mirror::new(Root::new("skydns"));
    let put = |line: &str| {
        let (key, value) = line.trim().split_once(' ').unwrap();
        Event::Put(KeyValue { key: format!("/skydns/test/a{key}"), value: value.into(), lease: 0 })
    };
    mirror.apply(lines.lines().filter(|line| !line.trim().is_empty()).map(put).collect());
    mirror
}

/// The answer as words: owner if it is not the question, type, data.
fn asked(mirror: &Mirror, name: &str, kind: RecordType) -> Vec<String> {
    let (zone, name) = (Name::parse("a.test").unwrap(), Name::parse(name).unwrap());
    match answer(mirror, &Policy::default(), &zone, &name, kind, Instant::now()) {
        Answer::Nowhere => vec!["NXDOMAIN".to_owned()],
        Answer::Broken(text) => vec![text],
        Answer::Here { answer, additional } => {
            answer.iter().chain(&additional).map(|item| words(item, &name)).collect()
        }
    }
}

fn words(item: &Item, question: &Name) -> String {
    let record = match item {
        Item::Elsewhere { name, kind, aliases } => {
            return format!("? {name} {kind}{}", if *aliases { "" } else { " alone" });
        }
        Item::Record(record) => record,
    };
    let data = match &record.data {
        RData::A(address) => address.to_string(),
        RData::Cname(target) => target.resolve(question).to_string(),
        RData::Txt(strings) => strings.iter().map(|part| format!("{}+", part.len())).collect(),
        RData::Srv { priority, weight, port, target } => {
            format!("{priority} {weight} {port} {}", target.resolve(question))
        }
        other => format!("{other:?}"),
    };
    let owner = record.owner.resolve(question);
    let owner = if owner == *question { String::new() } else { format!("{owner} ") };
    format!("{owner}{} {data}", record.data.record_type())
}

#[test]
fn names_find_what_stands_below_them() {
    let mirror = mirror(
        r#"
        /www/1 {"host":"192.0.2.1"}
        /www/2 {"host":"b.test"}
        /www {"host":"192.0.2.9"}
        /wwww {"host":"192.0.2.8"}
        /bad no json
        "#,
    );
    for (name, kind, expected) in [
        ("www.a.test", RecordType::A, &["A 192.0.2.1", "CNAME b.test.", "? b.test. A"][..]),
        ("1.WWW.a.test", RecordType::A, &["A 192.0.2.1"]),
        ("ww.a.test", RecordType::A, &["NXDOMAIN"]),
        ("www.a.test", RecordType::MX, &[]),
        ("www.a.test", RecordType::CAA, &[]),
        ("x.www.a.test", RecordType::CAA, &["NXDOMAIN"]),
        ("bad.a.test", RecordType::A, &["what etcd holds at /skydns/test/a/bad is no service"]),
        (
            "www.a.test",
            RecordType::SRV,
            &[
                "SRV 10 50 0 1.www.a.test.",
                "SRV 10 50 0 b.test.",
                "1.www.a.test. A 192.0.2.1",
                "? b.test. A",
                "? b.test. AAAA alone",
            ],
        ),
    ] {
        assert_eq!(asked(&mirror, name, kind), expected, "{name} {kind}");
    }
}

#[test]
fn aliases_end_whatever_they_lead_to() {
    let mut lines = String::new();
    for step in 0..20 {
        lines += &format!("/s{step} {{\"host\":\"s{}.a.test\"}}\n", step + 1);
        // Each leads to all: without bounds there would be more ways than can be counted.
        for target in 0..20 {
            lines += &format!("/all/n{step}/{target} {{\"host\":\"n{target}.all.a.test\"}}\n");
        }
    }
    let mirror = mirror(&(lines + "/s20 {\"host\":\"192.0.2.1\"}\n/all/n7/x {\"host\":\"192.0.2.2\"}\n"));
    assert_eq!(asked(&mirror, "s0.a.test", RecordType::A), [""; 0], "longer than a chain may be");
    let near: Vec<String> = (11..=20).map(|step| format!("s{step}.a.test.")).collect();
    let found = asked(&mirror, "s10.a.test", RecordType::A);
    assert_eq!((found.len(), found[0].as_str()), (11, format!("CNAME {}", near[0]).as_str()));
    let start = Instant::now();
    assert!(!asked(&mirror, "n0.all.a.test", RecordType::A).is_empty());
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn texts_are_cut_into_strings() {
    let text = |length| format!("/t {{\"text\":\"{}\"}}", "x".repeat(length));
    for (length, expected) in [(1, "TXT 1+"), (255, "TXT 255+"), (256, "TXT 255+1+"), (600, "TXT 255+255+90+")] {
        assert_eq!(asked(&mirror(&text(length)), "t.a.test", RecordType::TXT), [expected]);
    }
    assert_eq!(asked(&mirror(r#"/t {"text":"\\065\\\\\\\""}"#), "t.a.test", RecordType::TXT), ["TXT 3+"]);
}

#[test]
fn weights_are_parts_of_a_hundred() {
    let mirror = mirror(
        r#"
        /s/1 {"host":"b.test","weight":1}
        /s/2 {"host":"c.test","weight":1000}
        /s/3 {"host":"d.test"}
        /s/4 {"host":"e.test","priority":5,"weight":-3}
        "#,
    );
    let found = asked(&mirror, "s.a.test", RecordType::SRV);
    assert_eq!(found[..4], ["SRV 10 1 0 b.test.", "SRV 10 90 0 c.test.", "SRV 10 9 0 d.test.", "SRV 5 100 0 e.test."]);
}

#[test]
fn leases_bound_ttls() {
    let mirror = Mirror::new(Root::new("skydns"));
    let now = Instant::now();
    let put = |key: &str, value: &str, lease| {
        Event::Put(KeyValue { key: format!("/skydns/test/a/{key}"), value: value.into(), lease })
    };
    mirror.apply(vec![put("own", r#"{"host":"192.0.2.1","ttl":50}"#, 7), put("none", r#"{"host":"192.0.2.1"}"#, 7)]);
    let (zone, policy) =
        (Name::parse("a.test").unwrap(), Policy { leases: Bounds { least: 10, most: 500 }, ..Policy::default() });
    let ttl = |name: &str, seconds| {
        let name = Name::parse(&format!("{name}.a.test")).unwrap();
        match answer(&mirror, &policy, &zone, &name, RecordType::A, now + Duration::from_secs(seconds)) {
            Answer::Here { answer, .. } => match &answer[..] {
                [Item::Record(record)] => record.ttl,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((ttl("own", 0), ttl("none", 0)), (10, 10), "nobody has read the lease yet");
    mirror.note_lease(7, now, Some(600));
    assert_eq!((ttl("own", 0), ttl("none", 0)), (50, 500));
    assert_eq!((ttl("own", 570), ttl("none", 570)), (30, 30));
    mirror.note_lease(7, now, None);
    assert_eq!((ttl("own", 0), ttl("none", 0)), (50, 300), "a lease that nobody knows says nothing");
}
