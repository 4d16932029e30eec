use std::{net::Ipv4Addr, sync::Arc};

use hickory_proto::{
    op::Message as TheirMessage,
    rr::{RData as TheirData, RecordType as TheirType},
    serialize::binary::BinDecodable as _,
};

use super::*;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn question(text: &str, record_type: RecordType) -> Question {
    Question::new(name(text), record_type)
}

fn query(text: &str, record_type: RecordType) -> Query {
    Query { id: 4711, ..Query::internal(question(text, record_type)) }
}

fn written(query: &Query, response: &Response, limit: usize) -> Vec<u8> {
    let mut out = vec![0; MAX_MESSAGE];
    let length = encode(query, response, limit, &mut out);
    out.truncate(length);
    out
}

fn every_type() -> Vec<Record> {
    let full = |text: &str| NameRef::from(name(text));
    let soa = Soa {
        mname: NameRef::Under(Prefix::Fixed(b"\x02ns\x03dns"), 2),
        rname: NameRef::Under(Prefix::Fixed(b"\x0ahostmaster"), 2),
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum: 5,
    };
    let data = vec![
        RData::A(Ipv4Addr::new(192, 0, 2, 1)),
        RData::Aaaa("2001:db8::1".parse().unwrap()),
        RData::Cname(full("other.Example.ORG.")),
        RData::Ns(NameRef::Under(Prefix::of([&b"ns1"[..]]), 1)),
        RData::Ptr(full("a.b.c.example.net.")),
        RData::Mx { preference: 10, exchange: full("mail.example.net.") },
        RData::Srv { priority: 0, weight: 50, port: 443, target: NameRef::Under(Prefix::of([&b"x"[..]]), 1) },
        RData::Soa(soa),
        RData::text("hello world"),
        RData::Other(RecordType::CAA, Arc::from(&b"\x00\x05issueca"[..])),
    ];
    data.into_iter().map(|data| Record::of_question(60, data)).collect()
}

#[test]
fn what_we_write_another_implementation_reads() {
    let query = query("WwW.example.org.", RecordType::ANY);
    let bytes = written(&query, &Response::answer(every_type()), MAX_MESSAGE);
    let message = TheirMessage::from_bytes(&bytes).unwrap();
    let texts: Vec<String> =
        message.answers.iter().map(|r| format!("{} {} {}", r.name, r.record_type(), r.data)).collect();
    assert_eq!(
        texts,
        [
            "WwW.example.org. A 192.0.2.1",
            "WwW.example.org. AAAA 2001:db8::1",
            "WwW.example.org. CNAME other.Example.ORG.",
            "WwW.example.org. NS ns1.example.org.",
            "WwW.example.org. PTR a.b.c.example.net.",
            "WwW.example.org. MX 10 mail.example.net.",
            "WwW.example.org. SRV 0 50 443 x.example.org.",
            "WwW.example.org. SOA ns.dns.org. hostmaster.org. 1 2 3 4 5",
            "WwW.example.org. TXT hello world",
            "WwW.example.org. CAA 0 issue \"ca\"",
        ]
        .map(|line| line.replace("CAA 0 issue \"ca\"", &texts[9]["WwW.example.org. ".len()..]))
    );
}

#[test]
fn what_we_write_we_read() {
    let query = query("www.example.org.", RecordType::ANY);
    let bytes = written(&query, &Response::answer(every_type()), MAX_MESSAGE);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.id, message.question.as_ref()), (4711, Some(&query.question)));
    let spelled = |name: &NameRef| NameRef::from(name.resolve(&query.question.name));
    for (read, made) in message.records().answer.iter().zip(every_type()) {
        assert_eq!(read.data.record_type(), made.data.record_type());
        assert_eq!(read.owner, spelled(&made.owner));
        if let (RData::Srv { target: read, .. }, RData::Srv { target: made, .. }) = (&read.data, &made.data) {
            assert_eq!(*read, spelled(made));
        }
    }
}

#[test]
fn whole_records_are_left_out_from_the_end() {
    let addresses: Vec<Record> =
        (0..100u8).map(|last| Record::of_question(60, RData::A(Ipv4Addr::new(10, 0, 0, last)))).collect();
    let mut query = query("many.example.org.", RecordType::A);
    for (edns, limit) in [(None, 512), (Some(Edns::new(1232, true)), 1232)] {
        let with_opt = edns.is_some();
        query.edns = edns;
        let bytes = written(&query, &Response::answer(addresses.clone()), query.udp_limit());
        assert!(bytes.len() <= limit && bytes.len() > limit - 32, "{} of {limit}", bytes.len());
        let message = TheirMessage::from_bytes(&bytes).unwrap();
        assert!(Flags::of_message(&bytes).truncated());
        assert!(message.answers.len() > 25);
        assert_eq!(Message::parse(&bytes).unwrap().edns.is_some(), with_opt, "OPT stays");
    }
}

#[test]
fn a_packet_is_sent_again_with_other_id_spelling_and_ttl() {
    let asked = query("www.example.org.", RecordType::A);
    let records = (1..=4u8).map(|last| Record::of_question(60, RData::A(Ipv4Addr::new(10, 0, 0, last))));
    let packet = Packet::of(&asked.question, &Response::answer(records)).unwrap().with_ttl(7);
    let again = Query { id: 99, ..query("WWW.Example.ORG.", RecordType::A) };
    let mut orders = std::collections::HashSet::new();
    for seed in 1..200 {
        let response = Response { shuffle: Some(seed), ..Response::packet(packet.clone()) };
        let bytes = written(&again, &response, 512);
        let message = TheirMessage::from_bytes(&bytes).unwrap();
        assert_eq!(message_id(&bytes), Some(99));
        let addresses: Vec<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
        assert!(
            message.answers.iter().all(|r| r.ttl == 7 && r.name.to_string() == "WWW.Example.ORG."),
            "{addresses:?}"
        );
        let mut sorted = addresses.clone();
        sorted.sort();
        assert_eq!(sorted, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        orders.insert(addresses);
    }
    assert!(orders.len() > 12, "{}", orders.len());
}

#[test]
fn a_packet_whose_data_nobody_could_read_is_none() {
    let asked = query("www.example.org.", RecordType::ANY);
    for (record_type, data, good) in [
        (RecordType::A, &[192, 0, 2, 1][..], true),
        (RecordType::A, &[192, 0, 2], false),
        (RecordType::AAAA, &[0; 15], false),
        (RecordType::CNAME, &[0xC0, 12], true),
        // Its own place: 12 of header, 21 of question, 12 of record.
        (RecordType::CNAME, &[0xC0, 45], false),
        (RecordType::CNAME, &[0xC0, 12, 0], false),
        (RecordType::NS, &[1, b'a'], false),
        (RecordType::MX, &[0, 10, 0], true),
        (RecordType::MX, &[0], false),
        (RecordType::SRV, &[0; 7], true),
        (RecordType::SRV, &[0; 6], false),
        (RecordType::SOA, &[0; 22], true),
        (RecordType::SOA, &[0; 21], false),
        (RecordType::TXT, &[1, b'a', 0], true),
        (RecordType::TXT, &[2, b'a'], false),
        (RecordType::CAA, &[9; 3], true),
    ] {
        let mut bytes = written(&asked, &Response::new(Rcode::NOERROR), 512);
        bytes[7] = 1;
        bytes.extend([0xC0, 12]);
        bytes.extend(record_type.0.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        bytes.extend(data);
        assert_eq!(Packet::parse(&bytes).is_ok(), good, "{record_type} {data:?}");
    }
}

#[test]
fn an_opt_record_belongs_to_one_hop() {
    let mut asked = query("www.example.org.", RecordType::A);
    asked.edns = Some(Edns::new(1232, false));
    let mut response = Response::answer([Record::of_question(60, RData::A(Ipv4Addr::LOCALHOST))]);
    response.ede = Some(Ede::new(Ede::STALE_ANSWER, "old"));
    let bytes = written(&asked, &response, 1232);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.extended_error(), response.ede.as_ref());
    assert_eq!(packet.entries().len(), 1);
    assert_eq!(Message::parse(packet.bytes()).map(|message| message.edns.is_some()), Ok(false));
    let plain = query("www.example.org.", RecordType::A);
    let sent = written(&plain, &Response::packet(packet), 512);
    assert!(TheirMessage::from_bytes(&sent).unwrap().edns.is_none());
}

#[test]
fn queries_of_another_implementation_are_read() {
    for (text, record_type) in
        [(".", TheirType::NS), ("a.b.example.org.", TheirType::AAAA), ("\\000x.test.", TheirType::A)]
    {
        let mut out = vec![0; 600];
        let asked = question(text, RecordType(u16::from(record_type)));
        let length = encode_query(7, Flags(Flags::RD), &asked, Some(&Edns::new(4096, true)), &mut out);
        let theirs = TheirMessage::from_bytes(&out[..length]).unwrap();
        assert_eq!(theirs.queries[0].query_type(), record_type);
        let read = Query::parse(&out[..length]).unwrap();
        assert_eq!((&read.question, read.dnssec_ok(), read.udp_limit()), (&asked, true, 4096));
        assert!(matches!(theirs.answers.first().map(|r| &r.data), None | Some(TheirData::A(_))));
    }
}

#[test]
fn names_in_presentation_form() {
    for (text, shown) in [
        (".", Ok(".")),
        ("a.b", Ok("a.b.")),
        ("A.b.", Ok("A.b.")),
        ("a\\.b.c", Ok("a\\.b.c.")),
        ("\\065.c", Ok("A.c.")),
        ("\\000.c", Ok("\\000.c.")),
        ("", Err(NameError::EmptyLabel)),
        ("a..b", Err(NameError::EmptyLabel)),
        (".a", Err(NameError::EmptyLabel)),
        ("a\\", Err(NameError::Escape)),
        ("\\25", Err(NameError::Escape)),
        ("\\256", Err(NameError::Escape)),
    ] {
        assert_eq!(Name::parse(text).map(|name| name.to_string()), shown.map(str::to_owned), "{text}");
    }
    assert_eq!(Name::parse(&"a".repeat(64)), Err(NameError::LabelTooLong));
    assert_eq!(Name::parse(&"a.".repeat(128)), Err(NameError::NameTooLong));
    assert_eq!(Name::parse(&"a.".repeat(127)).map(|name| name.wire().len()), Ok(255));
    for (name_, zone, above) in [
        ("a.b.Example.org.", "example.ORG.", Some(2)),
        ("example.org.", "example.org.", Some(0)),
        ("anexample.org.", "example.org.", None),
        ("org.", "example.org.", None),
        ("a.", ".", Some(1)),
    ] {
        assert_eq!(name(name_).labels_above(&name(zone)), above, "{name_} {zone}");
    }
}

/// Any octets give a message or an error, never a panic; what both implementations take they read alike.
#[test]
fn any_octets_are_read_or_refused() {
    let base = written(&query("www.example.org.", RecordType::ANY), &Response::answer(every_type()), MAX_MESSAGE);
    let mut seed = 1u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize
    };
    for _ in 0..30_000 {
        let mut bytes = base.clone();
        for _ in 0..=random() % 4 {
            let at = random() % bytes.len();
            bytes[at] = random() as u8;
        }
        bytes.truncate(bytes.len() - random() % 3 * (random() % 40));
        _ = Query::parse(&bytes);
        _ = Message::parse(&bytes);
        if let Ok(packet) = Packet::parse(&bytes) {
            let asked = Message::parse(&bytes).ok().and_then(|message| message.question);
            let Some(asked) = asked.map(Query::internal) else { continue };
            let response = Response { shuffle: Some(3), ..Response::packet(packet) };
            for limit in [512, 4096] {
                assert!(written(&asked, &response, limit).len() <= limit);
            }
        }
    }
}

#[test]
fn signatures_end_when_the_first_of_them_ends() {
    let signature = |end: u32| {
        // Covers A, algorithm 13, two labels, original TTL 60; then expiration, inception, key tag, signer.
        let head = [0, 1, 13, 2, 0, 0, 0, 60];
        let data = [&head[..], &end.to_be_bytes(), &[0; 6], b"\x07example\x03org\0", &[1; 64]].concat();
        Record::of_question(60, RData::Other(RecordType::RRSIG, Arc::from(data)))
    };
    let address = || Record::of_question(60, RData::A(Ipv4Addr::new(192, 0, 2, 1)));
    for (what, signatures, now, left) in [
        ("no signature", vec![], 1000, None),
        ("one", vec![1100], 1000, Some(100)),
        ("the first counts", vec![1100, 1030], 1000, Some(30)),
        ("ended", vec![900], 1000, Some(-100)),
        ("over the end of the numbers", vec![50], u32::MAX - 49, Some(100)),
    ] {
        let records = std::iter::once(address()).chain(signatures.into_iter().map(signature));
        let packet = Packet::of(&question("www.example.org.", RecordType::A), &Response::answer(records)).unwrap();
        assert_eq!(packet.signatures_left(now), left, "{what}");
    }
}

#[test]
fn padded_answers_have_lengths_that_say_little() {
    let name = "www.example.org.";
    let plain = Query { edns: Some(Edns::new(1232, false)), ..query(name, RecordType::A) };
    let addresses = |count: u8| {
        (1..=count).map(|last| Record::of_question(60, RData::A(Ipv4Addr::new(192, 0, 2, last)))).collect::<Vec<_>>()
    };
    for (what, count, limit, length) in [
        ("short", 1, MAX_MESSAGE, 468),
        // 33 octets of question, 16 for each address, 15 of OPT.
        ("just short enough", 26, MAX_MESSAGE, 468),
        ("too long by an address", 27, MAX_MESSAGE, 936),
        ("no more than there is room for", 27, 512, 512),
    ] {
        let answer = Response::answer(addresses(count));
        let padded = written(&Query { pads: true, ..plain.clone() }, &answer, limit);
        assert_eq!(padded.len(), length, "{what}");
        let message = Message::parse(&padded).unwrap();
        assert_eq!(message.records().answer.len(), usize::from(count), "{what}");
        let padding = message.edns.as_ref().and_then(|edns| edns.option(Edns::PADDING)).unwrap();
        assert!(padding.iter().all(|octet| *octet == 0), "{what}");
        assert_eq!(written(&plain, &answer, limit).len(), length - padding.len() - 4, "{what}");
    }
    let without = Query { pads: true, ..query(name, RecordType::A) };
    let length = written(&without, &Response::answer(addresses(1)), MAX_MESSAGE).len();
    assert_eq!(length, 33 + 16, "no OPT record, no padding");
}

#[test]
fn an_answer_is_fresh_until_its_first_record_ends() {
    let address = |ttl| Record::of_question(ttl, RData::A(Ipv4Addr::new(192, 0, 2, 1)));
    let host = || NameRef::from(name("ns.example.org."));
    let soa = |ttl, minimum| {
        let soa = Soa { mname: host(), rname: host(), serial: 1, refresh: 2, retry: 3, expire: 4, minimum };
        Record::of_question(ttl, RData::Soa(soa))
    };
    let denial = |record| {
        let records = Records { authority: std::iter::once(record).collect(), ..Records::default() };
        Response { body: Body::Records(records), ..Response::new(Rcode::NXDOMAIN) }
    };
    for (what, response, seconds) in [
        ("one record", Response::answer([address(77)]), 77),
        ("the first to end", Response::answer([address(77), address(5)]), 5),
        ("nothing", Response::new(Rcode::SERVFAIL), 0),
        ("no such name: the SOA's MINIMUM", denial(soa(300, 20)), 20),
        ("no such name: the SOA's TTL", denial(soa(10, 20)), 10),
    ] {
        let asked = Query { edns: Some(Edns::new(1232, false)), ..query("www.example.org.", RecordType::A) };
        assert_eq!(freshness(&written(&asked, &response, MAX_MESSAGE)), seconds, "{what}");
    }
}
