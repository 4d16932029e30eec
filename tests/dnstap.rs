//! `dnstap`: what a collector gets, from seamark by `make test` and from CoreDNS by `make e2e`.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustls::{ClientConnection, ServerConnection, StreamOwned};

use crate::support::{
    callers::Caller,
    certificates::{Authority, Certified},
    message::asked,
    server::{Server, directory, eventually, free_port, http, metric, program},
};

const PATIENCE: Duration = Duration::from_secs(10);
const KINDS: [(u64, &str); 4] =
    [(5, "CLIENT_QUERY"), (6, "CLIENT_RESPONSE"), (7, "FORWARDER_QUERY"), (8, "FORWARDER_RESPONSE")];

/// What a collector has got: a line for each message, for each control frame its name.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }

    /// Messages without those about other names.
    fn about(&self, name: &str) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains(name)).collect()
    }
}

enum Value {
    Number(u64),
    Octets(Vec<u8>),
}

/// The fields of a protobuf message; each of dnstap's stands once.
fn fields(mut rest: &[u8]) -> BTreeMap<u64, Value> {
    fn varint(rest: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (octet, behind) = rest.split_first().expect("an octet");
            *rest = behind;
            value |= u64::from(octet & 0x7F) << shift;
            if octet & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = BTreeMap::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut rest)),
            form => {
                let length = if form == 5 { 4 } else { varint(&mut rest) as usize };
                let (value, behind) = rest.split_at(length);
                rest = behind;
                Value::Octets(value.to_vec())
            }
        };
        assert!(found.insert(key >> 3, value).is_none(), "field {} twice", key >> 3);
    }
    found
}

/// `KIND udp 127.0.0.1 [to PORT] identity|extra: NAME TYPE RCODE answers`.
fn described(dnstap: &[u8]) -> String {
    let whole = fields(dnstap);
    let text = |number| match whole.get(&number) {
        Some(Value::Octets(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => "-".to_owned(),
    };
    let Some(Value::Octets(message)) = whole.get(&14) else { panic!("no message") };
    let message = fields(message);
    let number = |field| match message.get(&field) {
        Some(Value::Number(number)) => *number,
        _ => 0,
    };
    let octets = |field| match message.get(&field) {
        Some(Value::Octets(octets)) => octets.as_slice(),
        _ => &[],
    };
    let kind = KINDS.iter().find(|(known, _)| *known == number(1)).map_or("OTHER", |(_, name)| name);
    let family = ["?", "udp", "tcp", "tls", "https"][number(3) as usize];
    assert_eq!((number(2), octets(4)), (1, &[127, 0, 0, 1][..]), "the client");
    assert!(kind.starts_with("FORWARDER") || number(6) > 0, "the client's port");
    assert!(number(8) > 1_700_000_000 && octets(9).len() == 4, "when it was asked");
    let is_response = kind.ends_with("RESPONSE");
    assert_eq!(number(12) > 1_700_000_000, is_response, "when it was answered");
    let to = if kind.starts_with("FORWARDER") { format!(" to {}", number(7)) } else { String::new() };
    let bytes = octets(if is_response { 14 } else { 10 });
    let what = asked(bytes).map_or_else(
        || "nothing".to_owned(),
        |asked| {
            let outcome =
                if is_response { format!(" rcode {} answers {}", bytes[3] & 0xF, bytes[7]) } else { String::new() };
            format!("{} {}{outcome}", asked.name, asked.kind)
        },
    );
    format!("{kind} {family}{to} {}|{}: {what}", text(1), text(3))
}

/// Reads what a server sends, from its greeting on.
fn collect(mut line: impl Read + Write, heard: &Heard) -> std::io::Result<()> {
    let take = |line: &mut dyn Read, length: usize| {
        let mut octets = vec![0; length];
        line.read_exact(&mut octets).map(|()| octets)
    };
    let number = |octets: Vec<u8>| octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    loop {
        let length = number(take(&mut line, 4)?);
        if length > 0 {
            let message = take(&mut line, length)?;
            heard.0.lock().expect("no panic").push(described(&message));
            continue;
        }
        let length = number(take(&mut line, 4)?);
        let control = take(&mut line, length)?;
        let kind = control[3];
        let names = ["?", "ACCEPT", "START", "STOP", "READY", "FINISH"];
        heard.0.lock().expect("no panic").push(names[usize::from(kind)].to_owned());
        let answer: &[u8] = match kind {
            4 => b"\0\0\0\0\0\0\0\x22\0\0\0\x01\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap",
            3 => b"\0\0\0\0\0\0\0\x04\0\0\0\x05",
            _ => &[],
        };
        line.write_all(answer)?;
    }
}

/// A collector at a socket file.
fn collector(path: &Path) -> Heard {
    let heard = Heard::default();
    let listener = UnixListener::bind(path).expect("a socket");
    let collected = heard.clone();
    thread::spawn(move || {
        for line in listener.incoming().flatten() {
            _ = collect(line, &collected);
        }
    });
    heard
}

/// What a collector hears of some questions.
fn hears(program: &Path) {
    let folder = directory();
    let (full, bare) = (folder.join("full.sock"), folder.join("bare.sock"));
    let (of_full, of_bare) = (collector(&full), collector(&bare));
    let upstream = free_port();
    let (full, bare) = (full.display(), bare.display());
    let corefile = format!(
        ".:{{port}} {{
            metadata
            dnstap {full} full {{
                identity me
                extra \"{{type}} {{/forward/upstream}} {{nope}}\"
            }}
            dnstap unix://{bare} {{
                identity bare
            }}
            cache
            forward . 127.0.0.1:{upstream}
        }}
        .:{upstream} {{
            erratic {{
                drop 0
            }}
        }}
        "
    );
    let server = Server::start_program(program, &corefile);
    // The second time from the cache: nobody else is asked.
    for question in ["www.one.test. A", "www.one.test. A +tcp", "www.two.test. MX +tcp"] {
        server.ask(question);
    }
    eventually("everything has arrived", PATIENCE, || of_full.about("two.test").len() == 4);
    let about = |kind: &str, rest: &str| format!("{kind} me|{rest}");
    let to = format!("to {upstream}");
    let from = format!("127.0.0.1:{upstream}");
    let mut heard = of_full.about("one.test");
    // Threads of ours are none that keep an order among clients.
    heard.sort();
    assert_eq!(
        heard,
        [
            about("CLIENT_QUERY tcp", "A - {nope}: www.one.test. 1"),
            about("CLIENT_QUERY udp", "A - {nope}: www.one.test. 1"),
            about("CLIENT_RESPONSE tcp", "A - {nope}: www.one.test. 1 rcode 0 answers 1"),
            about("CLIENT_RESPONSE udp", &format!("A {from} {{nope}}: www.one.test. 1 rcode 0 answers 1")),
            about(&format!("FORWARDER_QUERY udp {to}"), &format!("A {from} {{nope}}: www.one.test. 1")),
            about(
                &format!("FORWARDER_RESPONSE udp {to}"),
                &format!("A {from} {{nope}}: www.one.test. 1 rcode 0 answers 1")
            ),
        ]
    );
    assert_eq!(of_full.lines()[..2], ["READY", "START"]);
    eventually("the other one as well", PATIENCE, || of_bare.lines().len() >= of_full.lines().len());
    assert!(of_bare.lines()[2..].iter().all(|line| line.ends_with("bare|-: nothing")), "{:?}", of_bare.lines());
    _ = std::fs::remove_dir_all(folder);
}

#[test]
fn a_collector_hears_of_clients_and_upstreams() {
    hears(program());
}

#[test]
#[ignore = "make e2e"]
fn a_collector_hears_the_same_of_coredns() {
    hears(&crate::live::coredns());
}

/// A collector that goes and comes back, a reload, and counts.
#[test]
fn a_collector_may_come_late_and_hears_the_end() {
    let folder = directory();
    let path = folder.join("late.sock");
    let metrics = free_port();
    let corefile = |rest: &str| {
        format!(
            ".:{{port}} {{\n dnstap {} full {{\n  identity me\n }}\n prometheus 127.0.0.1:{metrics}\n whoami\n{rest}}}\n",
            path.display()
        )
    };
    let server = Server::start(&corefile(""));
    server.ask("early.test. A");
    eventually("it is told", PATIENCE, || {
        server.log().contains("[ERROR] plugin/dnstap: No connection to dnstap endpoint: dial unix ")
    });
    let heard = collector(&path);
    eventually("what was said before", PATIENCE, || heard.about("early.test").len() == 2);
    let count = || metric(metrics, "seamark_dnstap_sent_total");
    eventually("it is counted", PATIENCE, || count() == (heard.lines().len() - 2) as f64);
    // The connection outlives a reload that leaves the directive as it is, and ends in order when it is gone.
    server.rewrite(&corefile(" nsid\n"));
    server.signal("USR1");
    eventually("the reload", PATIENCE, || server.log().contains("Reloading complete"));
    server.ask("late.test. A");
    eventually("the same connection", PATIENCE, || heard.about("late.test").len() == 2);
    assert_eq!(heard.lines().iter().filter(|line| *line == "READY").count(), 1);
    server.rewrite(&format!(".:{{port}} {{\n prometheus 127.0.0.1:{metrics}\n whoami\n}}\n"));
    server.signal("USR1");
    eventually("the reload", PATIENCE, || server.log().matches("Reloading complete").count() == 2);
    eventually("the end", PATIENCE, || heard.lines().last().is_some_and(|line| line == "STOP"));
    assert_eq!(metric(metrics, "seamark_dnstap_dropped_total"), 0.0);
    assert!(http(&format!("http://127.0.0.1:{metrics}/metrics")).1.contains("seamark_dnstap_dropped_total{socket="));
    _ = std::fs::remove_dir_all(folder);
}

/// The end of the process is told, with what came last. CoreDNS ends before it has written that, now and then.
#[test]
fn a_collector_hears_of_the_end() {
    let folder = directory();
    let (out, at) = (folder.join("out.sock"), folder.join("in.sock"));
    let heard = collector(&out);
    let corefile =
        format!(".:{{port}} {{\n dnstap {} full\n dnstap listen {} full\n whoami\n}}\n", out.display(), at.display());
    let mut server = Server::start(&corefile);
    eventually("a greeting", PATIENCE, || heard.lines().len() >= 2);
    let other = Heard::default();
    let (line, collected) = (UnixStream::connect(&at).expect("it listens"), other.clone());
    thread::spawn(move || collect(line, &collected));
    eventually("another greeting", PATIENCE, || other.lines().len() >= 2);
    server.ask("last.test. A");
    server.signal("TERM");
    assert!(server.wait(PATIENCE).is_some_and(|status| status.success()));
    for heard in [&heard, &other] {
        eventually("the end", PATIENCE, || heard.lines().last().is_some_and(|line| line == "STOP"));
        assert_eq!(heard.about("last.test").len(), 2);
    }
    _ = std::fs::remove_dir_all(folder);
}

/// A collector behind TLS, at which the server believes those whom it is told to believe.
fn tells_over_tls(program: &Path) {
    let (believed, other) = (Authority::new("the authority of this test"), Authority::new("another authority"));
    let home = directory();
    believed.write(&home.join("ca.pem"));
    let start = |certified: &Certified| {
        let config = certified.server();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let (port, heard) = (listener.local_addr().expect("an address").port(), Heard::default());
        let collected = heard.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(config.clone()).expect("a configuration");
                _ = collect(StreamOwned::new(connection, stream), &collected);
            }
        });
        (port, heard)
    };
    let (good, heard) = start(&believed.certify(&["127.0.0.1"]));
    let (bad, unheard) = start(&other.certify(&["127.0.0.1"]));
    let (any, heard_too) = start(&other.certify(&["elsewhere.test"]));
    let corefile = format!(
        ".:{{port}} {{\n dnstap tls://127.0.0.1:{good} full\n dnstap tls://127.0.0.1:{bad} full\n \
         dnstap tls://127.0.0.1:{any} full {{\n  skipverify\n }}\n whoami\n}}\n"
    );
    let ca = home.join("ca.pem");
    let server = Server::start_in(program, &corefile, &[("SSL_CERT_FILE", ca.to_str().expect("a path"))]);
    eventually("greetings", PATIENCE, || [&heard, &heard_too].iter().all(|heard| heard.lines().len() >= 2));
    server.ask("www.test. A");
    for heard in [&heard, &heard_too] {
        eventually("messages", PATIENCE, || heard.about("www.test").len() == 2);
    }
    assert!(unheard.lines().is_empty(), "{:?}", unheard.lines());
    _ = std::fs::remove_dir_all(home);
}

#[test]
fn a_collector_may_be_behind_tls() {
    tells_over_tls(program());
}

#[test]
#[ignore = "make e2e"]
fn a_collector_of_coredns_may_be_behind_tls() {
    tells_over_tls(&crate::live::coredns());
}

/// `listen tls://`: collectors see a certificate, and may have to show one.
fn listens_with_tls(program: &Path) {
    let authority = Authority::new("the authority of this test");
    let home = directory();
    authority.write(&home.join("ca.pem"));
    authority.certify(&["127.0.0.1"]).write(&home, "dns");
    let [open, strict, lax] = std::array::from_fn(|_| free_port());
    let listen = |port: u16, more: &str| format!(" dnstap listen tls://127.0.0.1:{port} full {{\n  {more}\n }}\n");
    let corefile = [
        ".:{port} {\n".to_owned(),
        listen(open, "tls dns.pem dns.key"),
        listen(strict, "tls dns.pem dns.key ca.pem"),
        listen(lax, "tls dns.pem dns.key ca.pem\n  skipverify"),
        " whoami\n}\n".to_owned(),
    ];
    let server = Server::launch(program, &corefile.concat(), home, free_port());
    server.wait_until_it_answers();
    let stranger = Authority::new("another authority").certify(&["me.test"]);
    let known = authority.certify(&["me.test"]);
    let come = |port: u16, who: Option<&Certified>| {
        let config = Caller::known_as(&authority, who, port).config();
        let connection = ClientConnection::new(config, "127.0.0.1".try_into().expect("a name")).expect("a client");
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let (line, heard) = (StreamOwned::new(connection, stream), Heard::default());
        let collected = heard.clone();
        thread::spawn(move || collect(line, &collected));
        heard
    };
    let welcome = [(open, None), (strict, Some(&known)), (lax, None), (lax, Some(&known))];
    let welcome: Vec<Heard> = welcome.into_iter().map(|(port, who)| come(port, who)).collect();
    let refused = [(strict, None), (strict, Some(&stranger)), (lax, Some(&stranger))];
    let refused: Vec<Heard> = refused.into_iter().map(|(port, who)| come(port, who)).collect();
    eventually("greetings", PATIENCE, || welcome.iter().all(|heard| heard.lines() == ["READY", "START"]));
    server.ask("www.test. A");
    eventually("messages", PATIENCE, || welcome.iter().all(|heard| heard.about("www.test").len() == 2));
    assert!(refused.iter().all(|heard| heard.lines().is_empty()));
}

#[test]
fn collectors_may_connect_with_tls() {
    listens_with_tls(program());
}

#[test]
#[ignore = "make e2e"]
fn collectors_may_connect_to_coredns_with_tls() {
    listens_with_tls(&crate::live::coredns());
}

/// `listen`: collectors come and go, at a socket file and over TCP.
#[test]
fn collectors_may_connect_themselves() {
    let folder = directory();
    let path = folder.join("listen.sock");
    // Left by somebody who was killed.
    drop(UnixListener::bind(&path).expect("a socket"));
    let tcp = free_port();
    let server = Server::start(&format!(
        ".:{{port}} {{\n dnstap listen {} full {{\n  identity me\n }}\n dnstap listen tcp://127.0.0.1:{tcp} full\n whoami\n}}\n",
        path.display()
    ));
    server.ask("nobody.test. A");
    let (one, two, three) = (Heard::default(), Heard::default(), Heard::default());
    let unix = UnixStream::connect(&path).expect("it listens");
    let (line, heard) = (unix.try_clone().expect("a socket"), one.clone());
    thread::spawn(move || collect(line, &heard));
    let (line, heard) = (UnixStream::connect(&path).expect("it listens"), two.clone());
    thread::spawn(move || collect(line, &heard));
    let (line, heard) = (TcpStream::connect(("127.0.0.1", tcp)).expect("it listens"), three.clone());
    thread::spawn(move || collect(line, &heard));
    eventually("greetings", PATIENCE, || [&one, &two, &three].iter().all(|heard| heard.lines() == ["READY", "START"]));
    eventually("all hear of it", PATIENCE, || {
        server.ask("all.test. A");
        [&one, &two, &three].iter().all(|heard| heard.about("all.test").len() >= 2)
    });
    unix.shutdown(std::net::Shutdown::Both).expect("a socket");
    server.ask("left.test. A");
    eventually("the others go on", PATIENCE, || [&two, &three].iter().all(|heard| heard.about("left.test").len() == 2));
    assert!(one.about("left.test").is_empty() && two.about("nobody.test").is_empty());
    _ = std::fs::remove_dir_all(folder);
}
