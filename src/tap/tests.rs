use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc,
};

use super::{frames::Frames, *};

/// Fields of a protobuf message: number and value, numbers as octets in the order of the machine's reading.
fn fields(mut rest: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(rest: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (octet, behind) = rest.split_first().unwrap();
            *rest = behind;
            value |= u64::from(octet & 0x7F) << shift;
            if octet & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let length = match key & 7 {
            0 => {
                let value = varint(&mut rest);
                found.push((key >> 3, value.to_string().into_bytes()));
                continue;
            }
            5 => 4,
            _ => varint(&mut rest) as usize,
        };
        let (value, behind) = rest.split_at(length);
        found.push((key >> 3, value.to_vec()));
        rest = behind;
    }
    found
}

fn shown(fields: &[(u64, Vec<u8>)]) -> String {
    let one = |(number, value): &(u64, Vec<u8>)| format!("{number}={}", value.escape_ascii());
    fields.iter().map(one).collect::<Vec<_>>().join(" ")
}

const MESSAGE: Message<'_> = Message {
    kind: Kind::ForwarderResponse,
    family: Family::Tcp,
    asker: SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 300),
    asked: None,
    query_time: Duration::new(1_700_000_000, 5),
    response_time: Some(Duration::new(1_700_000_001, 0x0102_0304)),
    query: None,
    response: Some(b"answer"),
};

#[test]
fn messages_as_dnstap_proto_has_them() {
    let origin = Origin { identity: b"me", version: b"v", extra: b"" };
    let whole = fields(&MESSAGE.encode(&origin));
    let [identity, version, (14, message), (15, kind)] = whole.as_slice() else { panic!("{}", shown(&whole)) };
    assert_eq!(shown(&[identity.clone(), version.clone()]), "1=me 2=v");
    assert_eq!(kind, b"1");
    assert_eq!(
        shown(&fields(message)),
        r"1=8 2=1 3=2 4=\xc0\x00\x02\x01 6=300 8=1700000000 9=\x05\x00\x00\x00 12=1700000001 13=\x04\x03\x02\x01 14=answer"
    );
    let mapped = Message {
        kind: Kind::ClientQuery,
        family: Family::Udp,
        asker: "[::ffff:192.0.2.1]:1".parse().unwrap(),
        asked: Some("[2001:db8::1]:53".parse().unwrap()),
        response_time: None,
        query: Some(b"q"),
        response: None,
        ..MESSAGE
    };
    let origin = Origin { extra: b"x", ..Origin::default() };
    let whole = fields(&mapped.encode(&origin));
    assert_eq!(whole[0], (3, b"x".to_vec()));
    let start = r"1=5 2=1 3=1 4=\xc0\x00\x02\x01 5= \x01\r\xb8";
    assert!(shown(&fields(&whole[1].1)).starts_with(start), "{}", shown(&fields(&whole[1].1)));
    assert!(shown(&fields(&whole[1].1)).ends_with("6=1 7=53 8=1700000000 9=\\x05\\x00\\x00\\x00 10=q"));
}

async fn octets(line: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut found = vec![0; count];
    line.read_exact(&mut found).await.unwrap();
    found
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// A control frame without the content type, and with it.
fn control(kind: u8, named: bool) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, 0, 0, 0, 0, if named { 34 } else { 4 }, 0, 0, 0, kind];
    if named {
        frame.extend([0, 0, 0, 1, 0, 0, 0, 22]);
        frame.extend(b"protobuf:dnstap.Dnstap");
    }
    frame
}

#[test]
fn a_connection_from_its_greeting_to_its_end() {
    run(async {
        let (ours, mut theirs) = duplex(4096);
        let collector = async {
            assert_eq!(octets(&mut theirs, 42).await, control(4, true), "READY");
            theirs.write_all(&control(1, true)).await.unwrap();
            assert_eq!(octets(&mut theirs, 42).await, control(2, true), "START");
            assert_eq!(octets(&mut theirs, 14).await, b"\0\0\0\x03one\0\0\0\x03two");
            assert_eq!(octets(&mut theirs, 12).await, control(3, false), "STOP");
            theirs.write_all(&control(5, false)).await.unwrap();
        };
        let (sender, messages) = mpsc::channel(4);
        sender.try_send(b"one".as_slice().into()).unwrap();
        sender.try_send(b"two".as_slice().into()).unwrap();
        drop(sender);
        let counts = Counts::register(&Place::Tcp("x:1".to_owned()), &Registry::new());
        let writing = async {
            let frames = Frames::begin(Box::new(ours)).await.unwrap();
            let (_end, ended) = watch::channel(false);
            outward::write(frames, &mut Messages { messages, ended }, &counts).await.unwrap();
        };
        tokio::join!(collector, writing);
        assert_eq!((counts.sent.get(), counts.dropped.get()), (2, 0));
    });
}

#[test]
fn whoever_does_not_greet_properly_gets_nothing() {
    run(async {
        for (answer, reason) in [
            (control(3, false), "the collector did not accept"),
            (b"HTTP/1.1 400 Bad".to_vec(), "the collector does not speak Frame Streams"),
            (
                [control(1, true)[..41].to_vec(), vec![b'x']].concat(),
                "the collector does not take protobuf:dnstap.Dnstap",
            ),
        ] {
            let (ours, mut theirs) = duplex(4096);
            theirs.write_all(&answer).await.unwrap();
            let error = Frames::begin(Box::new(ours)).await.err().unwrap();
            assert_eq!(error.to_string(), reason);
        }
    });
}

#[test]
fn what_does_not_fit_the_queue_is_dropped_and_counted() {
    run(async {
        let registry = Registry::new();
        let place = Place::Unix("/nowhere/at/all".into());
        let way = Way { place, listen: false, queue: 3, buffer: None, skip_verify: false, credentials: None };
        let outlet = Outlet::open(&way, &registry).unwrap();
        assert!(outlet.is_open());
        (0..5).for_each(|number| outlet.send(vec![number]));
        assert_eq!(outlet.dropped(), 2);
    });
}
