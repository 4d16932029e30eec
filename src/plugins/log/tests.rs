use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::rule::Classes;
use crate::{
    chain::{Context, Format, Labels, Sent, Transport, ZoneSet},
    wire::{Edns, Flags, Kind, Name, Query, Question, Rcode, RecordType, Response},
};

fn rendered(format: &str, peer: &str, transport: Transport, edns: Option<Edns>) -> String {
    let question = Question::new(Name::parse("WWW.example.org.").unwrap(), RecordType::AAAA);
    let query = Query { id: 4711, size: 33, edns, ..Query::internal(question) };
    let start = Instant::now();
    let peer: SocketAddr = peer.parse().unwrap();
    let mut cx = Context::new(query, peer, "127.0.0.1:53".parse().unwrap(), transport, start);
    let response = Response::new(Rcode::NXDOMAIN);
    let flags = Flags(Flags::QR | Flags::AA | Flags::RD);
    let sent = Sent { response: &response, size: 99, flags, now: start + Duration::from_millis(12) };
    let labels = Labels::default();
    labels.enable(ZoneSet::new(vec![Name::root()]));
    cx.note("test/colour", "red".to_owned());
    Format::parse(format).render(&cx, Some(&sent), &labels)
}

#[test]
fn lines_look_as_corednss() {
    let common =
        "192.0.2.1:5353 - 4711 \"AAAA IN www.example.org. udp 33 false 512\" NXDOMAIN qr,aa,rd 99 0.012000000s";
    let udp = Transport::Udp;
    for (format, line) in [
        ("{common}", common.to_owned()),
        ("{combined}", format!("{common} \"0\"")),
        ("{remote} {local}", "192.0.2.1 127.0.0.1".to_owned()),
        ("{type}{unknown}{>id}", "AAAA{unknown}4711".to_owned()),
        ("{/kubernetes/service} {", "- {".to_owned()),
        ("{/test/colour}{/}", "red-".to_owned()),
    ] {
        assert_eq!(rendered(format, "192.0.2.1:5353", udp, None), line, "{format}");
    }
    assert_eq!(rendered("{remote}", "[2001:db8::1]:1", udp, None), "[2001:db8::1]");
    assert_eq!(rendered("{remote}", "[::ffff:192.0.2.1]:1", udp, None), "192.0.2.1");
    assert_eq!(rendered("{>bufsize} {>do}", "1.2.3.4:1", udp, Some(Edns::new(1232, true))), "1232 true");
    assert_eq!(rendered("{>bufsize} {proto}", "1.2.3.4:1", Transport::Tcp, None), "65535 tcp");
}

#[test]
fn classes_add_up() {
    let both = Classes::parse("denial").unwrap().and(Classes::parse("error").unwrap());
    for (kind, taken) in [(Kind::Success, false), (Kind::Denial, true), (Kind::Error, true)] {
        assert_eq!(both.take(kind), taken, "{kind}");
        assert!(Classes::parse("all").unwrap().take(kind));
    }
    assert_eq!(Classes::parse("other"), None);
}
