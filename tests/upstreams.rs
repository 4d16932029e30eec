//! Upstreams that are encrypted, and upstreams that are given by name.

use std::{
    fmt::Write as _,
    net::UdpSocket,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::support::{
    certificates::Authority,
    encrypted::{ALL, BATCH, Encrypted, Speech},
    hosts::HostServer,
    server::{Server, directory, eventually, free_port, http, pause, subject},
    upstream::Upstream,
};

/// Whom the certificate of a good server names.
const NAME: &str = "dns.test";

/// Certificates in a directory: `ca.pem`, whom the tests believe.
struct Trust {
    authority: Authority,
    directory: PathBuf,
}

impl Trust {
    fn new() -> Self {
        let (authority, directory) = (Authority::new("the authority of this test"), directory());
        authority.write(&directory.join("ca.pem"));
        Self { authority, directory }
    }

    /// A file of the directory, as a Corefile names it.
    fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn server(&self, speech: Speech) -> Encrypted {
        Encrypted::start(speech, &self.authority.certify(&[NAME, "127.0.0.1"]), None)
    }
}

impl Drop for Trust {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A server that forwards to these targets. SUBJECT names another program to look at.
fn forward(to: &str, properties: &str) -> Server {
    forward_in(to, properties, &[])
}

fn forward_in(to: &str, properties: &str, environment: &[(&str, &str)]) -> Server {
    let corefile = format!(
        ".:{{port}} {{\n errors\n prometheus 127.0.0.1:{{metrics}}\n forward . {to} {{\n {properties}\n }}\n}}\n\
         probe.invalid:{{port}} {{\n whoami\n}}\n"
    );
    let corefile = corefile.replace("{metrics}", &METRICS.with(|port| port.to_string()));
    Server::start_in(&subject(), &corefile, environment)
}

thread_local! {
    /// Each test has a thread of its own, and one server at a time.
    static METRICS: u16 = free_port();
}

fn metrics() -> String {
    http(&format!("http://127.0.0.1:{}/metrics", METRICS.with(|port| *port))).1
}

fn trusting(trust: &Trust) -> String {
    format!("tls {}\n tls_servername {NAME}", trust.file("ca.pem"))
}

#[test]
fn an_encrypted_upstream_answers_if_its_certificate_is_right() {
    let trust = Trust::new();
    let ca = trust.file("ca.pem");
    for speech in ALL {
        let upstream = trust.server(speech);
        let (scheme, address) = (speech.scheme(), upstream.address);
        let port = address.port();
        for (to, properties) in [
            (format!("{scheme}://{address}"), format!("tls {ca}\n tls_servername {NAME}")),
            (format!("{scheme}://127.0.0.1%{NAME}:{port}"), format!("tls {ca}")),
            // The certificate names the address as well.
            (format!("{scheme}://{address}"), format!("tls {ca}")),
            // Neither changes what an encrypted upstream is asked over.
            (format!("{scheme}://{address}"), format!("tls {ca}\n force_tcp\n prefer_udp")),
        ] {
            let server = forward(&to, &properties);
            let reply = server.ask("ok.example.test A");
            assert_eq!((reply.status.as_str(), reply.answer.len()), ("NOERROR", 1), "{to}: {}", reply.text);
            assert!(reply.answer[0].ends_with("A 192.0.2.53"), "{}", reply.text);
            assert_eq!(server.ask("nx.example.test A +tcp").status, "NXDOMAIN", "{to}");
            let metrics = metrics();
            let series = format!(
                "coredns_proxy_conn_cache_misses_total{{proto=\"{}\",proxy_name=\"forward\",to=\"{address}\"}} 1",
                speech.proto()
            );
            assert!(metrics.contains(&series), "{series} is not in\n{metrics}");
            let series = series.replace("misses", "hits");
            assert!(metrics.contains(&series), "{series} is not in\n{metrics}");
        }
    }
}

#[test]
fn a_wrong_certificate_is_refused_and_the_log_says_why() {
    let trust = Trust::new();
    let stranger = Authority::new("another authority");
    for (what, certified, words) in [
        (
            "another name",
            trust.authority.certify(&["other.test"]),
            "x509: certificate is valid for other.test, not dns.test",
        ),
        (
            "expired",
            trust.authority.certify_of_yesterday(&[NAME]),
            "x509: certificate has expired or is not yet valid: current time 20",
        ),
        ("unknown authority", stranger.certify(&[NAME]), "x509: certificate signed by unknown authority"),
    ] {
        for speech in ALL {
            let upstream = Encrypted::start(speech, &certified, None);
            let server = forward(&upstream.target(speech), &trusting(&trust));
            assert_eq!(server.ask("ok.example.test A").status, "SERVFAIL", "{what} over {speech:?}");
            let words = format!("tls: failed to verify certificate: {words}");
            assert!(server.log().contains(&words), "{what} over {speech:?}: no `{words}` in the log");
            assert_eq!(upstream.seen.queries(), 0, "{what} over {speech:?}");
        }
    }
}

#[test]
fn the_systems_authorities_are_believed_or_those_of_mozilla() {
    let trust = Trust::new();
    let (ca, nothing) = (trust.file("ca.pem"), trust.file("nothing"));
    for speech in ALL {
        let upstream = trust.server(speech);
        for (authorities, status) in [(&ca, "NOERROR"), (&nothing, "SERVFAIL")] {
            let environment = [("SSL_CERT_FILE", authorities.as_str()), ("SSL_CERT_DIR", nothing.as_str())];
            let server = forward_in(&upstream.target(speech), &format!("tls_servername {NAME}"), &environment);
            assert_eq!(server.ask("ok.example.test A").status, status, "{speech:?} with {authorities}");
            let unknown = server.log().contains("x509: certificate signed by unknown authority");
            assert_eq!(unknown, status == "SERVFAIL", "{speech:?} with {authorities}");
        }
    }
}

#[test]
fn a_certificate_that_is_its_own_authority_is_believed_if_it_is_named() {
    let trust = Trust::new();
    for (names, is_old, words) in [
        (NAME, false, None),
        (NAME, true, Some("x509: certificate has expired or is not yet valid")),
        ("other.test", false, Some("x509: certificate is valid for other.test, not dns.test")),
    ] {
        let own = Authority::nobody(&[names], is_old);
        own.write(&trust.directory, "own");
        for speech in ALL {
            let upstream = Encrypted::start(speech, &own, None);
            let properties = format!("tls {}\n tls_servername {NAME}", trust.file("own.pem"));
            let server = forward(&upstream.target(speech), &properties);
            let expected = if words.is_some() { "SERVFAIL" } else { "NOERROR" };
            assert_eq!(server.ask("ok.example.test A").status, expected, "{speech:?} {words:?}");
            assert!(words.is_none_or(|words| server.log().contains(words)), "{speech:?} {words:?}");
            drop(server);
            let server = forward(&upstream.target(speech), &trusting(&trust));
            assert_eq!(server.ask("ok.example.test A").status, "SERVFAIL", "{speech:?}: not named");
        }
    }
}

#[test]
fn a_client_certificate_is_shown_to_those_who_ask_for_it() {
    let trust = Trust::new();
    let clients = Authority::new("who signs clients");
    clients.certify(&["client.test"]).write(&trust.directory, "client");
    let identity = format!("{} {}", trust.file("client.pem"), trust.file("client.key"));
    for speech in ALL {
        let upstream = Encrypted::start(speech, &trust.authority.certify(&[NAME]), Some(&clients));
        let to = upstream.target(speech);
        let with = forward(&to, &format!("tls {identity} {}\n tls_servername {NAME}", trust.file("ca.pem")));
        assert_eq!(with.ask("ok.example.test A").status, "NOERROR", "{speech:?}");
        drop(with);
        let without = forward(&to, &trusting(&trust));
        assert_eq!(without.ask("ok.example.test A").status, "SERVFAIL", "{speech:?}");
        if speech == Speech::Tls {
            let log = without.log();
            assert!(log.contains("remote error: tls: certificate required"), "{log}");
        }
    }
}

/// A query as a message, and a socket for it.
fn query(id: u16, labels: &[&str], kind: u8) -> Vec<u8> {
    let mut query = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in labels {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, kind, 0, 1]);
    query
}

fn socket(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(("127.0.0.1", server.port)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
    socket
}

/// Names that differ, all at once; how many are answered well.
fn ask_at_once(server: &Server, label: &str, count: usize) -> usize {
    let socket = socket(server);
    for number in 0..count {
        socket.send(&query(number as u16, &[label, &format!("n{number}"), "test"], 1)).expect("sent");
    }
    let mut buffer = [0; 512];
    let good = |buffer: &[u8]| buffer[3] & 15 == 0 && buffer[7] == 1;
    (0..count).filter(|_| socket.recv(&mut buffer).is_ok() && good(&buffer)).count()
}

#[test]
fn a_hundred_queries_share_a_connection() {
    let trust = Trust::new();
    for speech in ALL {
        let upstream = trust.server(speech);
        let server = forward(&upstream.target(speech), &trusting(&trust));
        // The upstream answers when all of them wait on one connection.
        assert_eq!(ask_at_once(&server, "batch", BATCH), BATCH, "{speech:?}");
        assert_eq!(upstream.seen.connections(), 1, "{speech:?}");
        assert_eq!(upstream.seen.queries(), BATCH, "{speech:?}");
    }
}

/// Whether SERVFAIL comes in time, at least once of five times: the machine may have other things to do.
fn fails_within(time: Duration, server: &Server, question: &str) -> bool {
    (0..5).any(|_| {
        let start = Instant::now();
        assert_eq!(server.ask(question).status, "SERVFAIL");
        start.elapsed() < time
    })
}

#[test]
fn a_connection_that_dies_is_replaced() {
    let trust = Trust::new();
    for speech in ALL {
        let upstream = trust.server(speech);
        let server = forward(&upstream.target(speech), &trusting(&trust));
        assert_eq!(server.ask("ok.example.test A").status, "NOERROR", "{speech:?}");
        // The query that it was closed upon is asked again over another one.
        assert_eq!(server.ask("close-once.example.test A").status, "NOERROR", "{speech:?}");
        assert_eq!(upstream.seen.connections(), 2, "{speech:?}");
        assert!(fails_within(Duration::from_secs(2), &server, "close.example.test A"), "{speech:?}");
        assert_eq!(server.ask("ok.example.test A").status, "NOERROR", "{speech:?}");
    }
}

#[test]
fn silence_ends_in_time_and_spoils_nothing() {
    let trust = Trust::new();
    for speech in ALL {
        let upstream = trust.server(speech);
        let properties = format!("{}\n read_timeout 300ms\n max_connect_attempts 2", trusting(&trust));
        let server = forward(&upstream.target(speech), &properties);
        assert!(fails_within(Duration::from_secs(2), &server, "drop.example.test A"), "{speech:?}");
        assert_eq!(server.ask("ok.example.test A").status, "NOERROR", "{speech:?}");
    }
}

#[test]
fn what_a_web_server_may_say_wrong() {
    let trust = Trust::new();
    let upstream = trust.server(Speech::Https);
    let server = forward(&upstream.target(Speech::Https), &trusting(&trust));
    assert_eq!(server.ask("ok.example.test A").status, "NOERROR");
    for (name, words) in [
        ("status", "unexpected HTTP status 500 Internal Server Error"),
        ("type", "unexpected content type `text/html`"),
        ("big", "the reply is longer than a message"),
        ("wrong-question", "the reply is no answer to the query"),
    ] {
        assert_eq!(server.ask(&format!("{name}.example.test A")).status, "SERVFAIL", "{name}");
        assert!(server.log().contains(words), "{name}: no `{words}` in the log");
    }
    assert_eq!(server.ask("ok.example.test A").status, "NOERROR");
    assert_eq!(upstream.seen.connections(), 1, "all this is no reason for another connection");
}

#[test]
fn requests_are_posted_or_got() {
    let trust = Trust::new();
    let upstream = trust.server(Speech::Https);
    let port = upstream.address.port();
    let start = format!("https://{NAME}:{port}/dns-query");
    let server = forward(&upstream.target(Speech::Https), &trusting(&trust));
    assert_eq!(server.ask("ok.example.test A").status, "NOERROR");
    assert_eq!(upstream.seen.requests(), [format!("POST {start}")]);
    drop(server);
    let server = forward(&upstream.target(Speech::Https), &format!("{}\n doh_method GET", trusting(&trust)));
    assert_eq!(server.ask("ok.example.test A +noedns +noadflag").status, "NOERROR");
    // The message has the id zero: header, then `ok.example.test` A IN.
    let message = "AAAAAAABAAAAAAAAAm9rB2V4YW1wbGUEdGVzdAAAAQAB";
    assert_eq!(upstream.seen.requests()[1], format!("GET {start}?dns={message}"));
}

#[test]
fn a_reset_stream_fails_one_query_and_transfers_are_refused() {
    let trust = Trust::new();
    let upstream = trust.server(Speech::Quic);
    let server = forward(&upstream.target(Speech::Quic), &trusting(&trust));
    assert_eq!(server.ask("ok.example.test A").status, "NOERROR");
    assert_eq!(server.ask("reset.example.test A").status, "SERVFAIL");
    assert!(server.log().contains("stream canceled by remote with error code 1"));
    assert_eq!(server.ask("ok.example.test A").status, "NOERROR");
    assert_eq!(upstream.seen.connections(), 1);
    let asked = upstream.seen.queries();
    for (kind, name) in [(251, "IXFR"), (252, "AXFR")] {
        let (socket, mut reply) = (socket(&server), [0; 512]);
        socket.send(&query(1, &["example", "test"], kind)).expect("sent");
        socket.recv(&mut reply).expect("a reply");
        assert_eq!(reply[3] & 15, 4, "{name} is NOTIMP");
    }
    assert_eq!(upstream.seen.queries(), asked, "nobody was asked");
}

#[test]
fn sessions_are_resumed_and_connections_age() {
    let trust = Trust::new();
    // Those that rest for too long, and those that are too old.
    let ends = [("expire 1500ms", 2500), ("expire 1s\n max_age 1500ms", 1600)];
    std::thread::scope(|scope| {
        for (speech, (properties, last_pause)) in ALL.into_iter().flat_map(|speech| ends.map(|end| (speech, end))) {
            let trust = &trust;
            scope.spawn(move || {
                let upstream = trust.server(speech);
                let server = forward(&upstream.target(speech), &format!("{}\n {properties}", trusting(trust)));
                let mut connections = Vec::new();
                for milliseconds in [100, 100, last_pause, 0] {
                    assert_eq!(server.ask("ok.example.test A").status, "NOERROR", "{speech:?}");
                    connections.push(upstream.seen.connections());
                    pause(milliseconds);
                }
                assert_eq!(connections, [1, 1, 1, 2], "{speech:?} {properties}");
                if speech != Speech::Quic {
                    assert_eq!(upstream.seen.resumed(), 1, "{speech:?} {properties}");
                }
            });
        }
    });
}

#[test]
fn probes_go_the_same_way_as_queries() {
    let trust = Trust::new();
    for speech in ALL {
        let port = free_port();
        let properties = format!("{}\n health_check 100ms\n max_connect_attempts 1", trusting(&trust));
        let server = forward(&format!("{}://127.0.0.1:{port}", speech.scheme()), &properties);
        assert_eq!(server.ask("ok.example.test A").status, "SERVFAIL", "{speech:?}");
        let failures =
            format!("coredns_proxy_healthcheck_failures_total{{proxy_name=\"forward\",to=\"127.0.0.1:{port}\"}} ");
        eventually("failed probes", Duration::from_secs(8), || metrics().contains(&failures));
        let upstream = Encrypted::start_on(port, speech, &trust.authority.certify(&[NAME]), None);
        eventually("a probe that arrives", Duration::from_secs(8), || upstream.seen.queries() > 0);
        assert_eq!(server.ask("ok.example.test A").status, "NOERROR", "{speech:?}");
    }
}

#[test]
fn encrypted_and_plain_upstreams_stand_in_for_each_other() {
    let trust = Trust::new();
    let plain = Upstream::start();
    let encrypted = ALL.map(|speech| (speech, trust.server(speech)));
    let mut to = format!("127.0.0.1:{}", free_port());
    for (speech, upstream) in &encrypted {
        _ = write!(to, " {}", upstream.target(*speech));
    }
    _ = write!(to, " {}", plain.address);
    let server = forward(&to, &format!("{}\n policy round_robin", trusting(&trust)));
    for _ in 0..10 {
        assert_eq!(server.ask("ok.example.test A").status, "NOERROR");
    }
    for (speech, upstream) in &encrypted {
        assert!(upstream.seen.queries() > 0, "{speech:?}");
    }
    assert!(plain.asked() > 0);
}

#[test]
fn a_host_is_resolved_at_the_start_and_followed() {
    let trust = Trust::new();
    let hosts = HostServer::start(&[(NAME, "127.0.0.1")]);
    for speech in ALL {
        let upstream = trust.server(speech);
        let (scheme, port) = (speech.scheme(), upstream.address.port());
        let properties = format!("tls {}\n resolver {}", trust.file("ca.pem"), hosts.address);
        let server = forward(&format!("{scheme}://{NAME}:{port}"), &properties);
        assert_eq!(server.ask("ok.example.test A").status, "NOERROR", "{speech:?}");
        if speech == Speech::Https {
            assert_eq!(upstream.seen.requests(), [format!("POST https://{NAME}:{port}/dns-query")]);
        }
    }
    // From one address to another, while the server runs.
    let upstream = Upstream::start();
    hosts.set(&[("plain.test", "127.0.0.9")]);
    let properties = format!("resolver {}\n max_connect_attempts 1", hosts.address);
    let server = forward(&format!("plain.test:{}", upstream.address.port()), &properties);
    assert_eq!(server.ask("ok.example.test A").status, "SERVFAIL");
    hosts.set(&[("plain.test", "127.0.0.1")]);
    eventually("the new address", Duration::from_secs(15), || server.ask("ok.example.test A").status == "NOERROR");
    // What nobody knows any more stays as it was.
    hosts.set(&[]);
    eventually("a warning", Duration::from_secs(15), || server.log().contains("its last addresses stay in use"));
    assert_eq!(server.ask("ok.example.test A").status, "NOERROR");
}

#[test]
fn a_host_without_an_address_is_no_start() {
    let hosts = HostServer::start(&[]);
    let closed = free_port();
    for (resolver, words) in [
        (hosts.address.port(), "failed to resolve \"unknown.test\": the name has no address"),
        (closed, "failed to resolve \"unknown.test\": read udp 127.0.0.1:"),
    ] {
        let corefile = format!(
            ".:{{port}} {{\n    forward . 127.0.0.1 tls://unknown.test {{\n        resolver 127.0.0.1:{resolver}\n    }}\n}}\n"
        );
        let mut server = Server::launch(&subject(), &corefile, directory(), free_port());
        let status = server.wait(Duration::from_secs(12)).expect("an end");
        assert_eq!(status.code(), Some(1));
        let log = server.log();
        assert!(log.contains("Corefile:2 - Error during parsing: forward: ") && log.contains(words), "{log}");
    }
}

#[test]
fn a_reload_keeps_encrypted_connections() {
    let trust = Trust::new();
    let hosts = HostServer::start(&[(NAME, "127.0.0.1")]);
    for speech in ALL {
        let upstream = trust.server(speech);
        let port = upstream.address.port();
        let properties = format!("tls {}\n resolver {}", trust.file("ca.pem"), hosts.address);
        let server = forward(&format!("{}://{NAME}:{port}", speech.scheme()), &properties);
        assert_eq!(server.ask("ok.example.test A").status, "NOERROR", "{speech:?}");
        server.signal("USR1");
        eventually("a reload", Duration::from_secs(5), || server.log().contains("Reloading complete"));
        assert_eq!(server.ask("ok.example.test A").status, "NOERROR", "{speech:?}");
        assert_eq!(upstream.seen.connections(), 1, "{speech:?}");
    }
}

#[test]
fn a_reload_with_an_unknown_host_changes_nothing() {
    let upstream = Upstream::start();
    let hosts = HostServer::start(&[("plain.test", "127.0.0.1")]);
    let properties = format!("resolver {}", hosts.address);
    let server = forward(&format!("plain.test:{}", upstream.address.port()), &properties);
    hosts.set(&[]);
    server.signal("USR1");
    let words = "reload failed, the old configuration keeps serving: Corefile:4 - Error during parsing: forward: \
                 failed to resolve \"plain.test\": the name has no address";
    eventually("a refusal", Duration::from_secs(5), || server.log().contains(words));
    assert_eq!(server.ask("ok.example.test A").status, "NOERROR");
}
