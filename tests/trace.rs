//! `trace`: what a collector of spans gets, from seamark by `make test` and from CoreDNS by `make e2e`.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustls::{ServerConnection, StreamOwned};
use serde_json::Value;

use crate::support::{
    certificates::Authority,
    server::{Server, directory, eventually, free_port, metric, program},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A collector that takes spans, or says that it does not.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Value>>>,
    /// Path and size of each post.
    posts: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Collector {
    fn start(port: u16) -> Self {
        Self::start_with(port, |stream| stream)
    }

    /// What goes over a connection is what `open` makes of it.
    fn start_with<T: Read + Write>(port: u16, open: impl Fn(TcpStream) -> T + Send + 'static) -> Self {
        let collector = Self::default();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
        let taking = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(open(stream));
                let mut first = String::new();
                let mut length = 0;
                _ = reader.read_line(&mut first);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or_default() <= 2 {
                        break;
                    }
                    let (name, value) = line.split_once(':').unwrap_or_default();
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.trim().parse().expect("a number");
                    }
                }
                // Somebody who did not like our certificate, say.
                if length == 0 {
                    continue;
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                let Ok(Value::Array(spans)) = serde_json::from_slice(&body) else { panic!("no list") };
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                taking.posts.lock().expect("no panic").push((path, spans.len()));
                taking.spans.lock().expect("no panic").extend(spans);
                _ = reader
                    .get_mut()
                    .write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        collector
    }

    fn spans(&self, name: &str) -> Vec<Value> {
        let all = self.spans.lock().expect("no panic");
        all.iter().filter(|span| span["name"] == name).cloned().collect()
    }
}

fn is_traced(program: &Path) {
    let (port, upstream) = (free_port(), free_port());
    let collector = Collector::start(port);
    let server = Server::start_program(
        program,
        &format!(
            ".:{{port}} {{
                bind 127.0.0.1
                metadata
                log . \"{{name}} has {{/trace/traceid}}.\"
                trace 127.0.0.1:{port} {{
                    service names
                    zipkin_max_batch_interval 100ms
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
        ),
    );
    server.ask("WWW.one.test. A");
    server.ask("www.one.test. A +tcp");
    let about = |name: &str| {
        let mut spans = collector.spans("servedns");
        spans.retain(|span| span["tags"]["coredns.io/name"] == name);
        spans
    };
    eventually("both spans", PATIENCE, || about("www.one.test.").len() == 2);
    let spans = about("www.one.test.");
    let of = |proto: &str| {
        let span = spans.iter().find(|span| span["tags"]["coredns.io/proto"] == proto);
        span.unwrap_or_else(|| panic!("no span of {proto}"))
    };
    let missed = of("udp");
    for (field, value) in [("rcode", "NOERROR"), ("type", "A"), ("remote", "127.0.0.1")] {
        assert_eq!(missed["tags"][format!("coredns.io/{field}")], value);
    }
    assert_eq!(missed["kind"], "SERVER");
    assert_eq!(missed["localEndpoint"]["serviceName"], "names");
    assert_eq!(missed["localEndpoint"]["ipv4"], "127.0.0.1");
    assert_eq!(missed["localEndpoint"]["port"], server.port);
    let trace = missed["traceId"].as_str().expect("a text").to_owned();
    assert_eq!(trace.len(), 16);
    assert!(missed["timestamp"].as_u64() > Some(1_700_000_000_000_000) && missed["duration"].as_u64() > Some(0));
    eventually("the span of the upstream", PATIENCE, || {
        collector.spans("connect").iter().any(|span| {
            span["traceId"] == trace.as_str()
                && span["parentId"].is_string()
                && span["tags"]["peer.address"] == format!("127.0.0.1:{upstream}")
        })
    });
    // From the cache: nobody else was asked.
    let hit = of("tcp")["traceId"].clone();
    assert!(hit != trace.as_str() && collector.spans("connect").iter().all(|span| span["traceId"] != hit));
    assert!(server.log().contains(&format!("www.one.test. has {trace}.")));
    let posts = collector.posts.lock().expect("no panic").clone();
    assert!(posts.iter().all(|(path, _)| path == "/api/v2/spans"), "{posts:?}");
}

#[test]
fn queries_and_upstreams_have_spans() {
    is_traced(program());
}

#[test]
#[ignore = "make e2e"]
fn queries_and_upstreams_have_spans_with_coredns() {
    is_traced(&crate::live::coredns());
}

/// One of ten, and a collector that is away for a while.
#[test]
fn some_queries_are_traced_and_none_waits_for_a_collector() {
    let (port, metrics) = (free_port(), free_port());
    let server = Server::start(&format!(
        ".:{{port}} {{
            prometheus 127.0.0.1:{metrics}
            trace http://127.0.0.1:{port}/somewhere/else {{
                every 10
                zipkin_max_batch_size 2
                zipkin_max_batch_interval 50ms
            }}
            whoami
        }}
        "
    ));
    let lost = || metric(metrics, "seamark_trace_spans_dropped_total");
    eventually("the first one is lost", PATIENCE, || lost() == 1.0);
    let line = format!("[ERROR] plugin/trace: spans cannot be posted to http://127.0.0.1:{port}/somewhere/else: ");
    assert!(server.log().contains(&line));
    let collector = Collector::start(port);
    // The question that the start waits for was the first.
    (0..49).for_each(|_| _ = server.ask("www.test. A"));
    let sent = || metric(metrics, "seamark_trace_spans_sent_total");
    eventually("four of the next forty-nine", PATIENCE, || sent() == 4.0);
    assert_eq!(collector.spans("servedns").len(), 4);
    assert_eq!(lost(), 1.0);
    assert!(server.log().contains("takes spans again"));
    let posts = collector.posts.lock().expect("no panic").clone();
    assert!(posts.iter().all(|(path, size)| path == "/somewhere/else" && *size <= 2), "{posts:?}");
}

/// Collectors over HTTPS: one with a certificate that is believed, one with another.
#[test]
fn a_collector_may_be_behind_https() {
    let (believed, other) = (Authority::new("the authority of this test"), Authority::new("another authority"));
    let home = directory();
    believed.write(&home.join("ca.pem"));
    let [good, bad, metrics] = std::array::from_fn(|_| free_port());
    let start = |port, authority: &Authority| {
        let config = authority.certify(&["127.0.0.1"]).server();
        Collector::start_with(port, move |stream| {
            StreamOwned::new(ServerConnection::new(config.clone()).expect("a configuration"), stream)
        })
    };
    let (collector, stranger) = (start(good, &believed), start(bad, &other));
    let block = |key: &str, port: u16| {
        format!(
            "{key} {{\n prometheus 127.0.0.1:{metrics}\n trace https://127.0.0.1:{port}/spans {{\n  zipkin_max_batch_interval \
             50ms\n }}\n whoami\n}}\n"
        )
    };
    let corefile = block(".:{port}", good) + &block("other.test.:{port}", bad);
    let ca = home.join("ca.pem");
    let server = Server::start_in(program(), &corefile, &[("SSL_CERT_FILE", ca.to_str().expect("a path"))]);
    server.ask("www.test. A");
    server.ask("www.other.test. A");
    let names = |collector: &Collector| {
        let spans = collector.spans("servedns");
        spans
            .iter()
            .map(|span| span["tags"]["coredns.io/name"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    eventually("the span", PATIENCE, || names(&collector).contains(&"www.test.".to_owned()));
    let line = format!("[ERROR] plugin/trace: spans cannot be posted to https://127.0.0.1:{bad}/spans: ");
    eventually("it is told", PATIENCE, || server.log().contains(&line));
    assert!(names(&stranger).is_empty());
    _ = std::fs::remove_dir_all(home);
}
