//! `grpc`: queries in calls of gRPC, to seamark, to CoreDNS, and to servers that behave badly.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    live::coredns,
    support::{
        certificates::Authority,
        grpc::GrpcServer,
        server::{Server, directory, eventually, free_port, http, metric, program, subject},
        upstream::Upstream,
    },
};

/// Certificates in a directory: `ca.pem`, `server.pem`, `client.pem`.
struct Trust(PathBuf);

impl Trust {
    fn new() -> Self {
        let home = directory();
        let authority = Authority::new("the authority of this test");
        authority.write(&home.join("ca.pem"));
        authority.certify(&["127.0.0.1", "dns.test"]).write(&home, "server");
        authority.certify(&["client"]).write(&home, "client");
        Self(home)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Trust {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that answers in calls of gRPC on a port of its own.
fn answerer(program: &Path, trust: Option<&Trust>, upstream: &Upstream) -> (Server, u16) {
    let port = free_port();
    let tls = trust.map_or_else(String::new, |trust| {
        let (certificate, key, ca) = (trust.file("server.pem"), trust.file("server.key"), trust.file("ca.pem"));
        format!("tls {certificate} {key} {ca} {{\n client_auth require_and_verify\n }}")
    });
    let corefile = format!(
        "grpc://.:{port} {{\n {tls}\n errors\n forward . {}\n}}\nprobe.invalid:{{port}} {{\n whoami\n}}\n",
        upstream.address
    );
    (Server::start_program(program, &corefile), port)
}

/// One program asks the other, over TLS with certificates on both sides, and without.
fn one_asks_another(asker: &Path, other: &Path, is_encrypted: bool) {
    let upstream = Upstream::start();
    let trust = is_encrypted.then(Trust::new);
    let (_other, port) = answerer(other, trust.as_ref(), &upstream);
    let tls = trust.as_ref().map_or_else(String::new, |trust| {
        let files = ["client.pem", "client.key", "ca.pem"].map(|name| trust.file(name));
        format!("tls {}\n tls_servername dns.test", files.join(" "))
    });
    let metrics = free_port();
    let corefile = format!(
        ".:{{port}} {{\n errors\n prometheus 127.0.0.1:{metrics}\n grpc . 127.0.0.1:{port} {{\n {tls}\n \
         except a.except.test\n fallthrough go.test\n }}\n whoami\n}}\n"
    );
    let server = Server::start_program(asker, &corefile);
    let has = |question: &str, answer: &str| {
        let reply = server.ask(question);
        assert!(
            reply.answer.iter().any(|record| record.ends_with(answer)),
            "{question}:\n{}\n{}",
            reply.text,
            server.log()
        );
    };
    has("ok.test A", " A 192.0.2.53");
    has("OK.Test A +tcp", " A 192.0.2.53");
    for (question, status) in [("nx.test A", "NXDOMAIN"), ("fail.test A", "SERVFAIL"), ("ok.test AAAA", "NOERROR")] {
        let reply = server.ask(question);
        assert_eq!(reply.status, status, "{}\n{}", reply.text, server.log());
    }
    // `whoami` answers what goes on: with two records in the additional section.
    for (question, goes_on) in
        [("ok.go.test A", false), ("nx.go.test A", true), ("fail.go.test A", false), ("ok.a.except.test A", true)]
    {
        let reply = server.ask(question);
        assert_eq!(reply.additional.len() >= 2, goes_on, "{question}:\n{}", reply.text);
    }
    let to = format!("to=\"127.0.0.1:{port}\"");
    let (_, text) = http(&format!("http://127.0.0.1:{metrics}/metrics"));
    for series in [
        format!("coredns_grpc_responses_total{{rcode=\"NXDOMAIN\",{to}}} 2\n"),
        format!("coredns_grpc_responses_total{{rcode=\"SERVFAIL\",{to}}} 2\n"),
    ] {
        assert!(text.contains(&series), "{series} is not in\n{text}");
    }
    // The first question is the one that the start waits for.
    let all = metric(metrics, "coredns_grpc_requests_total");
    assert!(all >= 8., "{text}");
    assert_eq!(metric(metrics, "coredns_grpc_request_duration_seconds_count"), all);
}

#[test]
fn seamark_asks_seamark() {
    one_asks_another(program(), program(), true);
}

#[test]
#[ignore = "make e2e"]
fn seamark_and_coredns_ask_each_other() {
    let coredns = coredns();
    one_asks_another(program(), &coredns, true);
    one_asks_another(program(), &coredns, false);
    one_asks_another(&coredns, program(), true);
    one_asks_another(&coredns, &coredns, true);
    one_asks_another(&coredns, &coredns, false);
}

/// A server that asks these, with a metric for each answer.
fn asking(to: &str, properties: &str) -> Server {
    let corefile = format!(
        ".:{{port}} {{\n errors\n grpc . {to} {{\n {properties}\n }}\n}}\nprobe.invalid:{{port}} {{\n whoami\n}}\n"
    );
    Server::start_program(&subject(), &corefile)
}

#[test]
fn what_servers_say_besides_answers() {
    let upstream = GrpcServer::start();
    let server = asking(&upstream.address.to_string(), "policy sequential");
    for (label, status) in [
        ("ok", "NOERROR"),
        ("fields", "NOERROR"),
        ("nx", "NXDOMAIN"),
        ("not-found", "NXDOMAIN"),
        ("unavailable", "SERVFAIL"),
        ("empty", "SERVFAIL"),
        ("nonsense", "SERVFAIL"),
        ("compressed", "SERVFAIL"),
        ("big", "SERVFAIL"),
        ("html", "SERVFAIL"),
        ("ok", "NOERROR"),
    ] {
        let reply = server.ask(&format!("{label}.test A"));
        assert_eq!(reply.status, status, "{label}: {}\n{}", reply.text, server.log());
    }
    let log = server.log();
    for reason in [
        "grpc: not now (status 14)",
        "malformed message",
        "the message is compressed",
        "a message of 70004 octets",
        "unexpected content type `text/html`",
    ] {
        assert!(log.contains(reason), "{reason} is not in\n{log}");
    }
    assert_eq!(upstream.connections(), 1, "one connection for all");
}

#[test]
fn another_server_is_asked_when_one_fails() {
    let (one, other) = (GrpcServer::start(), GrpcServer::start());
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address");
    let to = format!("{nobody} {} {}", one.address, other.address);
    let server = asking(&to, "policy sequential");
    for _ in 0..5 {
        assert_eq!(server.ask("ok.test A").status, "NOERROR");
    }
    assert_eq!((one.take_queries(), other.take_queries()), (5, 0));
    assert_eq!(server.ask("unavailable.test A").status, "SERVFAIL");
    assert_eq!((one.take_queries(), other.take_queries()), (1, 1));
    // One that says nothing has two seconds.
    let start = Instant::now();
    assert_eq!(server.ask("drop.test A").status, "SERVFAIL");
    assert!((4..=6).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert_eq!((one.take_queries(), other.take_queries()), (1, 1));
    for (policy, least) in [("round_robin", 2), ("random", 1)] {
        let server = asking(&format!("{} {}", one.address, other.address), &format!("policy {policy}"));
        eventually("both are asked", Duration::from_secs(10), || {
            for _ in 0..8 {
                assert_eq!(server.ask("ok.test A").status, "NOERROR");
            }
            let (one, other) = (one.take_queries(), other.take_queries());
            assert_eq!(one + other, 8);
            one >= least && other >= least
        });
    }
}
