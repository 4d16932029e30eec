//! Encrypted listeners, asked by `dig`, by `curl`, and by clients that misbehave.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::io::AsyncReadExt as _;

use crate::support::{
    callers::{Caller, call, call_with, framed, over_http2, over_http3, over_quic, post, put, run, take},
    cast::Cast,
    certificates::Authority,
    dig::{self, Reply},
    message,
    server::{Server, directory, eventually, free_port, http, metric, subject},
};

/// A server with a port for each scheme, and the authority that has signed its certificate.
struct World {
    authority: Authority,
    home: PathBuf,
    tls: u16,
    https: u16,
    quic: u16,
    grpc: u16,
    metrics: u16,
}

/// What every block of these tests begins with: `{keys}` for all schemes, the certificate, metrics.
const HEAD: &str = "{keys} {\n bind 127.0.0.1\n prometheus 127.0.0.1:{metrics}\n errors\n";

impl World {
    fn new() -> Self {
        let (authority, home) = (Authority::new("the authority of this test"), directory());
        // `https3://` has the port of `https://`.
        Self {
            authority,
            home,
            tls: free_port(),
            https: free_port(),
            quic: free_port(),
            grpc: free_port(),
            metrics: free_port(),
        }
    }

    fn fill_in(&self, text: &str) -> String {
        let Self { tls, https, quic, grpc, metrics, .. } = self;
        let keys = "tls://.:{tls} https://.:{https} https3://.:{https} quic://.:{quic} grpc://.:{grpc}";
        let mut text = text.replace("{keys}", keys);
        for (word, port) in [("tls", tls), ("https", https), ("quic", quic), ("grpc", grpc), ("metrics", metrics)] {
            text = text.replace(&format!("{{{word}}}"), &port.to_string());
        }
        text + "\nprobe.invalid:{port} {\n whoami\n}\n"
    }

    /// Starts a server with these directives behind all keys, `tls` among them if there is no other.
    fn serve(&self, directives: &str) -> Server {
        let tls = if directives.contains(" tls ") { "" } else { " tls dns.pem dns.key\n" };
        self.serve_file(&format!("{HEAD}{tls}{directives}\n}}"))
    }

    fn serve_file(&self, corefile: &str) -> Server {
        let server = self.launch(&self.fill_in(corefile), free_port());
        server.wait_until_it_answers();
        server
    }

    /// Starts a server in a directory with the certificates of `dns.test` and `other.test`. It takes them with it.
    fn launch(&self, corefile: &str, port: u16) -> Server {
        fs::create_dir_all(&self.home).expect("a directory");
        self.authority.write(&self.home.join("ca.pem"));
        self.authority.certify(&["dns.test", "127.0.0.1"]).write(&self.home, "dns");
        self.authority.certify(&["other.test"]).write(&self.home, "other");
        Server::launch(&subject(), corefile, self.home.clone(), port)
    }

    fn dig(&self, words: &str) -> Reply {
        let port = if words.contains("+https") { self.https } else { self.tls };
        dig::ask(port, &words.split(' ').collect::<Vec<_>>())
    }

    fn caller(&self, port: u16) -> Caller {
        Caller::new(&self.authority, port)
    }

    /// Writes another certificate of the same authority in the place of the first.
    fn renew(&self, name: &str) {
        self.authority.certify(&[name, "127.0.0.1"]).write(&self.home, "dns");
    }

    fn metric(&self, series: &str) -> f64 {
        let (_, text) = http(&format!("http://127.0.0.1:{}/metrics", self.metrics));
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }
}

const HOSTS: &str = " hosts {\n 192.0.2.1 www.test\n ttl 77\n fallthrough\n }\n whoami";

fn query(name: &str) -> Vec<u8> {
    message::query(0, name, "A")
}

/// Whether an answer is that to `www.test.`.
fn is_right(answer: &[u8]) -> bool {
    answer[3] & 0xF == 0 && answer[6..8] == [0, 1] && answer.windows(4).any(|octets| octets == [192, 0, 2, 1])
}

#[test]
fn every_transport_gives_the_same_answer() {
    let world = World::new();
    let server = world.serve(HOSTS);
    for words in ["+tls", "+https", "+https-get", "+tls +bufsize=512", "+https-post=/dns-query"] {
        let reply = world.dig(&format!("www.test {words}"));
        assert_eq!((reply.status.as_str(), reply.answer.len()), ("NOERROR", 1), "{words}: {}", reply.text);
        assert_eq!(reply.answer[0], "www.test. 77 A 192.0.2.1", "{words}");
    }
    run(async {
        let message = query("www.test.");
        let connection = world.caller(world.quic).quic(b"doq").await.expect("QUIC");
        let answers = over_quic(&connection, &framed(&message)).await.expect("an answer");
        assert!(answers.len() == 1 && is_right(&answers[0]), "{answers:?}");
        let line = world.caller(world.grpc).http2().await.expect("HTTP/2");
        assert!(is_right(&call(&line, &message).await.expect("an answer")));
        let connection = world.caller(world.https).quic(b"h3").await.expect("QUIC");
        let (status, age, answer) = over_http3(connection, &message).await;
        assert_eq!((status, age.as_str()), (200, "max-age=77"));
        assert!(is_right(&answer));
    });
    for (scheme, port, proto, count) in [
        ("tls", world.tls, "tcp", 2.0),
        ("https", world.https, "tcp", 3.0),
        ("quic", world.quic, "udp", 1.0),
        ("grpc", world.grpc, "tcp", 1.0),
        ("https3", world.https, "udp", 1.0),
    ] {
        let labels = format!("server=\"{scheme}://127.0.0.1:{port}\",type=\"A\",view=\"\",zone=\".\"");
        let series = format!("coredns_dns_requests_total{{family=\"1\",proto=\"{proto}\",{labels}}}");
        assert_eq!(world.metric(&series), count, "{series}");
        let line = format!("{scheme}://.:{port} on 127.0.0.1\n");
        assert!(server.log().contains(&line), "{line} is not in {}", server.log());
    }
    for (family, scheme, port, status, count) in [
        ("https", "https", world.https, "200", 3.0),
        ("https3", "https3", world.https, "200", 1.0),
        ("quic", "quic", world.quic, "0x0", 1.0),
    ] {
        let series = format!(
            "coredns_dns_{family}_responses_total{{server=\"{scheme}://127.0.0.1:{port}\",status=\"{status}\"}}"
        );
        assert_eq!(world.metric(&series), count, "{series}");
    }
}

/// Go's clients: quic-go, its HTTP/3, and CoreDNS's own for gRPC.
#[test]
#[ignore = "make e2e"]
fn clients_of_another_make_get_the_same_answer() {
    let world = World::new();
    let _server = world.serve(HOSTS);
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/e2e/callers");
    for (way, port) in [("doq", world.quic), ("h3", world.https), ("grpc", world.grpc)] {
        for (name, expected) in
            [("www.test", "NOERROR\nwww.test.\t77\tIN\tA\t192.0.2.1\n"), ("other.test", "NOERROR\n")]
        {
            let output = Command::new(&program)
                .args([way, &format!("127.0.0.1:{port}")])
                .arg(world.home.join("ca.pem"))
                .arg(name)
                .output()
                .expect("tests/e2e/run.sh builds it");
            let text = [output.stdout, output.stderr].concat();
            assert_eq!(String::from_utf8_lossy(&text), expected, "{way} {name}");
        }
    }
}

/// Status, headers and length of the body that `curl` gets.
fn curl(world: &World, words: &[&str], path: &str) -> (String, String) {
    let output = Command::new("curl")
        .args(["-s", "-m", "8", "-D", "-", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "--cacert"])
        .arg(world.home.join("ca.pem"))
        .args(words)
        .arg(format!("https://127.0.0.1:{}{path}", world.https))
        .current_dir(&world.home)
        .output()
        .expect("curl is needed");
    let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
    let (headers, outcome) = text.rsplit_once('\n').unwrap_or(("", &text));
    (outcome.to_owned(), headers.to_owned())
}

#[test]
fn requests_of_http_get_a_status_that_says_what_is_wrong() {
    let world = World::new();
    let _server = world.serve(HOSTS);
    // www.test. A, from elsewhere.
    let get = "/dns-query?dns=AAABAAABAAAAAAAAA3d3dwR0ZXN0AAABAAE";
    fs::write(world.home.join("query"), query("www.test.")).expect("a file");
    fs::write(world.home.join("large"), vec![0; 70_000]).expect("a file");
    fs::write(world.home.join("short"), [0; 11]).expect("a file");
    let dns = ["-H", "content-type: application/dns-message"];
    let posted = |file: &'static str| ["--data-binary", file].into_iter().chain(dns).collect::<Vec<_>>();
    for version in ["--http1.1", "--http2"] {
        for (words, path, outcome, header) in [
            (vec![], get, "200 42", "cache-control: max-age=77"),
            (vec![], get, "200 42", "content-type: application/dns-message"),
            (vec![], get, "200 42", "content-length: 42"),
            (posted("@query"), "/dns-query", "200 42", "cache-control: max-age=77"),
            (vec![], "/dns-query", "400", ""),
            (vec![], "/dns-query?dns=AAAB", "400", ""),
            (posted("@short"), "/dns-query", "400", ""),
            (vec![], "/", "404", ""),
            (vec!["-X", "PUT"], get, "405", "allow: get, post"),
            (vec!["-I"], get, "405", ""),
            (posted("@large"), "/dns-query", "413", ""),
            (vec!["--data-binary", "@query", "-H", "content-type: application/json"], "/dns-query", "415", ""),
        ] {
            let (found, headers) = curl(&world, &[&[version], words.as_slice()].concat(), path);
            assert!(found.starts_with(outcome), "{version} {words:?} {path}: {found}\n{headers}");
            assert!(headers.contains(header), "{version} {words:?} {path}: no {header} in\n{headers}");
        }
    }
    let status = |status: &str| {
        let server = format!("https://127.0.0.1:{}", world.https);
        world.metric(&format!("coredns_dns_https_responses_total{{server=\"{server}\",status=\"{status}\"}}"))
    };
    assert_eq!(["200", "400", "404", "405", "413", "415"].map(status), [8.0, 6.0, 2.0, 4.0, 2.0, 2.0]);
}

#[test]
fn calls_that_are_none_are_refused() {
    let world = World::new();
    let _server = world.serve(HOSTS);
    run(async {
        let line = world.caller(world.grpc).http2().await.expect("HTTP/2");
        for (what, path, body, status) in [
            ("another call", "/coredns.dns.DnsService/Watch", &b"\0\0\0\0\0"[..], "12"),
            ("compressed", "/coredns.dns.DnsService/Query", b"\x01\0\0\0\x03\x0A\x01x", "12"),
            ("no packet", "/coredns.dns.DnsService/Query", b"\0\0\0\0\x03\x0A\x09x", "3"),
            ("cut short", "/coredns.dns.DnsService/Query", b"\0\0\0\0\x09\x0A\x09x", "3"),
            ("too long", "/coredns.dns.DnsService/Query", &[0; 66_000], "8"),
            ("no query", "/coredns.dns.DnsService/Query", b"\0\0\0\0\x03\x0A\x01x", "13"),
        ] {
            assert_eq!(call_with(&line, path, body).await, Err(status.to_owned()), "{what}");
        }
        assert!(is_right(&call(&line, &query("www.test.")).await.expect("an answer")), "the connection goes on");
    });
}

#[test]
fn a_client_that_breaks_the_rules_of_dns_over_quic_is_told_so() {
    let world = World::new();
    let _server = world.serve(HOSTS);
    let good = query("www.test.");
    // An OPT record with the option of RFC 7828.
    let mut keepalive = good.clone();
    keepalive[11] = 1;
    keepalive.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 11, 0, 0]);
    run(async {
        for (what, octets) in [
            ("an id", framed(&message::query(7, "www.test.", "A"))),
            ("two queries on a stream", [framed(&good), framed(&good)].concat()),
            ("an end within the length", vec![0]),
            ("an end within the message", framed(&good)[..20].to_vec()),
            ("a time-out of TCP", framed(&keepalive)),
        ] {
            let connection = world.caller(world.quic).quic(b"doq").await.expect("QUIC");
            let answer = over_quic(&connection, &octets).await;
            assert_eq!(answer, Err("connection lost".to_owned()), "{what}");
            let reason = connection.close_reason().expect("an end").to_string();
            assert_eq!(reason, "closed by peer: 2", "{what}");
        }
        let connection = world.caller(world.quic).quic(b"doq").await.expect("QUIC");
        // A query that never becomes whole costs its stream, not the connection.
        let (mut to, mut from) = connection.open_bi().await.expect("a stream");
        to.write_all(&framed(&good)[..20]).await.expect("sent");
        assert!(is_right(&over_quic(&connection, &framed(&good)).await.expect("an answer")[0]), "others go on");
        let late = from.read_to_end(100).await.expect_err("no answer").to_string();
        assert!(late.contains("reset by peer: error 3"), "{late}");
        assert!(is_right(&over_quic(&connection, &framed(&good)).await.expect("an answer")[0]));
        assert!(connection.open_uni().now_or_never_opened().await, "no stream of the other kind");
    });
    let status = |status: &str| {
        let server = format!("quic://127.0.0.1:{}", world.quic);
        world.metric(&format!("coredns_dns_quic_responses_total{{server=\"{server}\",status=\"{status}\"}}"))
    };
    assert_eq!(["0x0", "0x2", "0x3"].map(status), [2.0, 5.0, 1.0]);
}

/// Whether a future is still not done after a moment.
trait NotOpened {
    async fn now_or_never_opened(self) -> bool;
}

impl<F: Future> NotOpened for F {
    async fn now_or_never_opened(self) -> bool {
        tokio::time::timeout(Duration::from_millis(200), self).await.is_err()
    }
}

/// An upstream that takes a second for `slow.test.`, and none for `www.test.`.
fn slow_upstream() -> Cast {
    let mut cast = Cast::default();
    let slow = "slow.test. A\n    delay 1s\n    NOERROR\n    answer @ 60 A 192.0.2.1\n";
    cast.instruct(&["one"], &format!("{slow}www.test. A\n    NOERROR\n    answer @ 60 A 192.0.2.1\n"));
    cast
}

#[test]
fn queries_of_one_connection_are_answered_as_answers_come() {
    let (world, cast) = (World::new(), slow_upstream());
    let _server = world.serve(&cast.fill_in(" forward . {one}"));
    run(async {
        let mut stream = world.caller(world.tls).tls(b"dot").await.expect("TLS");
        for (id, name) in [(1, "slow.test."), (2, "www.test.")] {
            put(&mut stream, &message::query(id, name, "A")).await;
        }
        for id in [2, 1] {
            let answer = take(&mut stream).await.expect("an answer");
            assert_eq!(answer[..2], [0, id], "the quick one first");
            assert!(is_right(&answer));
        }
        let connection = world.caller(world.quic).quic(b"doq").await.expect("QUIC");
        let line = world.caller(world.https).http2().await.expect("HTTP/2");
        let start = Instant::now();
        let (slow, quick) = (query("slow.test."), query("www.test."));
        let late = async {
            _ = futures::future::join(
                async { over_quic(&connection, &framed(&slow)).await.expect("an answer") },
                async { over_http2(&line, post(), &slow).await.expect("an answer") },
            )
            .await;
            start.elapsed()
        };
        let early = async {
            over_quic(&connection, &framed(&quick)).await.expect("an answer");
            over_http2(&line, post(), &quick).await.expect("an answer");
            start.elapsed()
        };
        let (late, early) = futures::future::join(late, early).await;
        assert!(late >= Duration::from_secs(1) && early < Duration::from_millis(900), "{late:?} {early:?}");
    });
}

#[test]
fn a_listener_holds_as_many_connections_as_it_may() {
    let world = World::new();
    let limits =
        ["https", "https3", "grpc_server", "quic"].map(|word| format!(" {word} {{\n max_connections 2\n }}\n"));
    let _server = world.serve(&format!("{}{HOSTS}", limits.concat()));
    let refused = |scheme: &str, port: u16| {
        let server = format!("{scheme}://127.0.0.1:{port}");
        world.metric(&format!("seamark_listener_connections_refused_total{{server=\"{server}\"}}"))
    };
    run(async {
        for (scheme, port) in [("https", world.https), ("grpc", world.grpc)] {
            let kept = [world.caller(port).http2().await, world.caller(port).http2().await].map(Result::unwrap);
            assert!(world.caller(port).http2().await.is_err(), "a third one: {scheme}");
            assert_eq!(refused(scheme, port), 1.0, "{scheme}");
            drop(kept);
        }
        for (scheme, alpn, port) in [("quic", &b"doq"[..], world.quic), ("https3", b"h3", world.https)] {
            let kept = [world.caller(port).quic(alpn).await, world.caller(port).quic(alpn).await].map(Result::unwrap);
            let error = world.caller(port).quic(alpn).await.expect_err("a third one");
            assert!(error.contains("refused"), "{scheme}: {error}");
            assert_eq!(refused(scheme, port), 1.0, "{scheme}");
            kept[0].close(0u32.into(), b"");
            let series = format!("seamark_listener_connections{{server=\"{scheme}://127.0.0.1:{port}\"}}");
            let start = Instant::now();
            while world.metric(&series) > 1.0 {
                assert!(start.elapsed() < Duration::from_secs(3), "no place becomes free");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            world.caller(port).quic(alpn).await.expect("in the place of the one that has gone");
        }
    });
}

#[test]
fn who_takes_too_long_has_to_go() {
    let world = World::new();
    let limits = " timeouts {\n read 1s\n idle 2s\n write 1s\n }\n";
    let _server = world.serve(&format!("{limits}{HOSTS}"));
    let (short, long) = (Duration::from_millis(800), Duration::from_millis(4500));
    run(async {
        // Nobody shakes hands.
        for port in [world.tls, world.https, world.grpc] {
            let start = Instant::now();
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("TCP");
            assert_eq!(stream.read(&mut [0; 9]).await.unwrap_or(0), 0, "closed");
            assert!((short..long).contains(&start.elapsed()), "{:?}", start.elapsed());
        }
        // A message that never becomes whole.
        let mut stream = world.caller(world.tls).tls(b"dot").await.expect("TLS");
        let start = Instant::now();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &framed(&query("www.test."))[..9]).await.expect("sent");
        assert!(take(&mut stream).await.is_none(), "closed");
        assert!((short..long).contains(&start.elapsed()), "{:?}", start.elapsed());
        // Nobody speaks HTTP/2, or HTTP/1.1, behind the handshake.
        for alpn in [b"h2".as_slice(), b"http/1.1"] {
            let start = Instant::now();
            let mut stream = world.caller(world.https).tls(alpn).await.expect("TLS");
            let mut octets = [0; 99];
            while stream.read(&mut octets).await.unwrap_or(0) > 0 {}
            assert!((short..long).contains(&start.elapsed()), "{:?}", start.elapsed());
        }
        // A body that never becomes whole; the connection goes on.
        let line = world.caller(world.https).http2().await.expect("HTTP/2");
        let (response, mut to) = line.clone().ready().await.expect("HTTP/2").send_request(post(), false).expect("sent");
        to.send_data(bytes::Bytes::from_static(&[0; 20]), false).expect("sent");
        assert_eq!(response.await.expect("a reply").status().as_u16(), 408);
        assert!(over_http2(&line, post(), &query("www.test.")).await.is_ok());
        // Nothing at all for as long as a connection may rest.
        let start = Instant::now();
        let connection = world.caller(world.quic).quic(b"doq").await.expect("QUIC");
        _ = tokio::time::timeout(Duration::from_secs(9), connection.closed()).await.expect("an end");
        assert!(start.elapsed() < long, "{:?}", start.elapsed());
        eventually("the connection of HTTP/2 has ended as well", Duration::from_secs(5), || {
            metric(world.metrics, "seamark_listener_connections") == 0.0
        });
    });
    assert_eq!(metric(world.metrics, "seamark_tls_handshakes_failed_total"), 3.0);
    assert_eq!(metric(world.metrics, "seamark_tcp_connections"), 0.0);
}

/// The end of the names that the server's certificate has, as a client sees it.
fn names(world: &World) -> String {
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "openssl s_client -connect 127.0.0.1:{} -alpn dot </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName",
            world.tls
        ))
        .output()
        .expect("openssl is needed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Tells clients to stop, also when the test has failed.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn certificates_are_renewed_while_clients_come_and_go() {
    let world = Arc::new(World::new());
    let server = world.serve(HOSTS);
    assert!(names(&world).contains("DNS:dns.test"));
    let end = Arc::new(AtomicBool::new(false));
    let stop = Stop(Arc::clone(&end));
    // Each of these begins a new connection for each query.
    let load: Vec<_> = ["tls", "quic", "https"]
        .map(|scheme| {
            let (world, end) = (Arc::clone(&world), Arc::clone(&end));
            thread::spawn(move || {
                run(async {
                    let (mut good, mut lost) = (0, Vec::new());
                    while !end.load(Relaxed) {
                        match ask_anew(&world, scheme).await {
                            Ok(answer) if is_right(&answer) => good += 1,
                            other => lost.push(format!("{scheme}: {other:?}")),
                        }
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    (good, lost)
                })
            })
        })
        .into_iter()
        .collect();
    run(async {
        let mut kept = world.caller(world.tls).tls(b"dot").await.expect("TLS");
        let renewals = |result: &str| {
            let labels = format!("certificate=\"dns.pem\",result=\"{result}\"");
            world.metric(&format!("seamark_tls_renewals_total{{{labels}}}"))
        };
        for name in ["second.test", "third.test"] {
            world.renew(name);
            eventually("new connections see the new certificate", Duration::from_secs(8), || {
                names(&world).contains(name)
            });
            put(&mut kept, &query("www.test.")).await;
            assert!(is_right(&take(&mut kept).await.expect("an answer")), "an open connection goes on");
        }
        assert_eq!([renewals("success"), renewals("failure")], [2.0, 0.0]);
        // A key that belongs to somebody else.
        let key = fs::read(world.home.join("dns.key")).expect("a file");
        fs::copy(world.home.join("other.key"), world.home.join("dns.key")).expect("a file");
        eventually("the wrong key is told", Duration::from_secs(9), || renewals("failure") == 1.0);
        let words = "dns.key: this key is not that of the certificate dns.pem";
        assert!(server.log().contains(words), "{}", server.log());
        assert!(names(&world).contains("third.test"), "the last good pair goes on");
        // No file at all is told as well, and once.
        fs::remove_file(world.home.join("dns.key")).expect("a file");
        eventually("the missing key is told", Duration::from_secs(9), || renewals("failure") == 2.0);
        assert!(server.log().contains("dns.key: no such file"), "{}", server.log());
        fs::write(world.home.join("dns.key"), key).expect("a file");
        world.renew("fourth.test");
        eventually("the next good pair serves", Duration::from_secs(9), || names(&world).contains("fourth.test"));
        assert_eq!([renewals("success"), renewals("failure")], [3.0, 2.0]);
    });
    drop(stop);
    for thread in load {
        let (good, lost) = thread.join().expect("a client");
        assert!(lost.is_empty() && good > 50, "{good} answers, lost: {lost:?}");
    }
}

/// The answer to `www.test.` on a connection of its own.
async fn ask_anew(world: &World, scheme: &str) -> Result<Vec<u8>, String> {
    let message = query("www.test.");
    match scheme {
        "tls" => {
            let mut stream = world.caller(world.tls).tls(b"dot").await.map_err(|error| error.to_string())?;
            put(&mut stream, &message).await;
            take(&mut stream).await.ok_or_else(|| "closed".to_owned())
        }
        "quic" => {
            let connection = world.caller(world.quic).quic(b"doq").await?;
            let answers = over_quic(&connection, &framed(&message)).await;
            connection.close(0u32.into(), b"");
            answers?.pop().ok_or_else(|| "nothing".to_owned())
        }
        _ => {
            let line = world.caller(world.https).http2().await?;
            over_http2(&line, post(), &message).await.map(|(_, body, _)| body)
        }
    }
}

#[test]
fn clients_show_who_they_are_if_they_must() {
    let world = World::new();
    let (ours, strangers) = (world.authority.certify(&["client.test"]), Authority::new("another authority"));
    let stranger = strangers.certify(&["client.test"]);
    // Who comes in: without a certificate, with one of ours, with somebody else's.
    for (mode, expected) in [
        ("nocert", [true, true, true]),
        ("request", [true, true, true]),
        ("require", [false, true, true]),
        ("verify_if_given", [true, true, false]),
        ("require_and_verify", [false, true, false]),
    ] {
        let _server = world.serve(&format!(" tls dns.pem dns.key ca.pem {{\n client_auth {mode}\n }}\n{HOSTS}"));
        let found = [None, Some(&ours), Some(&stranger)].map(|who| {
            run(async {
                let caller = |port| Caller::known_as(&world.authority, who, port);
                // With TLS 1.3 the server's refusal may come after the handshake.
                let over_tls = async {
                    let mut stream = caller(world.tls).tls(b"dot").await.ok()?;
                    put(&mut stream, &query("www.test.")).await;
                    take(&mut stream).await.filter(|answer| is_right(answer))
                };
                let over_quic = async {
                    let connection = caller(world.quic).quic(b"doq").await.ok()?;
                    over_quic(&connection, &framed(&query("www.test."))).await.ok()
                };
                let found = [over_tls.await.is_some(), over_quic.await.is_some()];
                assert_eq!(found[0], found[1], "{mode}: both transports alike");
                found[0]
            })
        });
        assert_eq!(found, expected, "{mode}");
    }
}

#[test]
fn a_reload_keeps_connections_and_changes_answers() {
    let world = World::new();
    let tls = " tls dns.pem dns.key\n";
    let server = world.serve(&format!("{tls}{HOSTS}"));
    run(async {
        let mut stream = world.caller(world.tls).tls(b"dot").await.expect("TLS");
        let connection = world.caller(world.quic).quic(b"doq").await.expect("QUIC");
        let line = world.caller(world.https).http2().await.expect("HTTP/2");
        let calls = world.caller(world.grpc).http2().await.expect("HTTP/2");
        let message = query("www.test.");
        for address in [[192, 0, 2, 1], [192, 0, 2, 9]] {
            put(&mut stream, &message).await;
            for (what, answer) in [
                ("tls", take(&mut stream).await.expect("an answer")),
                ("quic", over_quic(&connection, &framed(&message)).await.expect("an answer").remove(0)),
                ("https", over_http2(&line, post(), &message).await.expect("a reply").1),
                ("grpc", call(&calls, &message).await.expect("an answer")),
            ] {
                assert!(answer.ends_with(&address), "{what}: {answer:?} and not {address:?}");
            }
            server.rewrite(&world.fill_in(&format!("{HEAD}{tls}{}\n}}", HOSTS.replace("192.0.2.1", "192.0.2.9"))));
            server.signal("USR1");
            eventually("the reload", Duration::from_secs(5), || server.log().contains("Reloading complete"));
        }
        // Another limit and another block on the same addresses.
        let more = "\nquic://other.test:{quic} {\n bind 127.0.0.1\n tls dns.pem dns.key\n whoami\n}";
        server.rewrite(&world.fill_in(&format!("{HEAD}{tls} quic {{\n max_streams 1\n }}\n{HOSTS}\n}}{more}")));
        server.signal("USR1");
        eventually("the reload", Duration::from_secs(5), || server.log().matches("Reloading complete").count() == 3);
        assert!(is_right(&over_quic(&connection, &framed(&message)).await.expect("an answer")[0]));
        let new = world.caller(world.quic).quic(b"doq").await.expect("QUIC");
        assert!(is_right(&over_quic(&new, &framed(&message)).await.expect("an answer")[0]));
        let other = over_quic(&new, &framed(&query("other.test."))).await.expect("an answer");
        assert_eq!(other[0][6..12], [0, 0, 0, 0, 0, 2], "whoami's two records");
    });
}

#[test]
fn a_reload_may_speak_something_else_on_the_same_port() {
    let world = World::new();
    let block = |scheme| format!("{scheme}://.:{{tls}} {{\n bind 127.0.0.1\n tls dns.pem dns.key\n{HOSTS}\n}}");
    let server = world.serve_file(&block("tls"));
    for (scheme, words) in [("https", "+https"), ("tls", "+tls")] {
        server.rewrite(&world.fill_in(&block(scheme)));
        server.signal("USR1");
        let asked = || dig::ask(world.tls, &["www.test", words, "+time=1"]).status == "NOERROR";
        eventually(scheme, Duration::from_secs(8), asked);
    }
}

#[test]
fn queries_in_work_are_answered_before_the_end() {
    let (world, cast) = (World::new(), slow_upstream());
    let mut server = world.serve(&cast.fill_in(" forward . {one}"));
    run(async {
        let mut stream = world.caller(world.tls).tls(b"dot").await.expect("TLS");
        let connection = world.caller(world.quic).quic(b"doq").await.expect("QUIC");
        let line = world.caller(world.https).http2().await.expect("HTTP/2");
        let third = world.caller(world.https).quic(b"h3").await.expect("QUIC");
        let message = query("slow.test.");
        put(&mut stream, &message).await;
        let framed = framed(&message);
        let ending = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            server.signal("TERM");
        };
        let (over_tls, over_quic, over_http2, over_http3, ()) = tokio::join!(
            take(&mut stream),
            over_quic(&connection, &framed),
            over_http2(&line, post(), &message),
            over_http3(third, &message),
            ending
        );
        assert!(is_right(&over_tls.expect("over TLS")));
        assert!(is_right(&over_quic.expect("over QUIC")[0]));
        assert!(is_right(&over_http2.expect("over HTTP/2").1));
        assert!(is_right(&over_http3.2));
        assert!(take(&mut stream).await.is_none(), "and then it ends");
    });
    let status = server.wait(Duration::from_secs(6)).expect("an end");
    assert!(status.success(), "{status}");
}

#[test]
fn padded_queries_get_padded_answers() {
    let world = World::new();
    let server = world.serve(HOSTS);
    for (words, length) in [
        ("www.test +tls +padding=128", 468),
        ("www.test +https +padding=128", 468),
        // Once more, from memory.
        ("www.test +tls +padding=128", 468),
        ("www.test +tls +padding=128", 468),
        ("www.test +tls +noedns", 42),
        ("www.test +tls", 53),
    ] {
        let reply = world.dig(words);
        assert!(reply.text.contains(&format!("MSG SIZE  rcvd: {length}")), "{words}: {}", reply.text);
    }
    let plain = server.ask("probe.invalid A +padding=128");
    assert!(!plain.text.contains("PAD"), "nothing is padded where everybody can read it: {}", plain.text);
}

#[test]
fn a_zone_is_transferred_where_there_is_room_for_several_messages() {
    let world = World::new();
    let names: String =
        (0..5000).map(|number| format!("h{number} A 10.0.{}.{}\n", number / 250, number % 250)).collect();
    let zone = format!("$TTL 60\n@ SOA ns host 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n{names}");
    fs::create_dir_all(&world.home).expect("a directory");
    fs::write(world.home.join("db"), zone).expect("a zone");
    let file = " tls dns.pem dns.key\n file db\n transfer {\n to *\n }";
    let _server = world.serve_file(&format!("{}{file}\n}}", HEAD.replace("{keys}", &world.keys("example.org"))));
    let reply = world.dig("example.org AXFR +tls");
    assert_eq!(reply.text.lines().filter(|line| line.starts_with(['h', 'n', 'e'])).count(), 5004, "over TLS");
    let mut axfr = query("example.org.");
    let kind = axfr.len() - 3;
    axfr[kind] = 252;
    run(async {
        let connection = world.caller(world.quic).quic(b"doq").await.expect("QUIC");
        let messages = over_quic(&connection, &framed(&axfr)).await.expect("a zone");
        let records = messages.iter().map(|message| usize::from(u16::from_be_bytes([message[6], message[7]])));
        assert!(messages.len() > 1 && records.sum::<usize>() == 5004, "over QUIC: {} messages", messages.len());
        let line = world.caller(world.https).http2().await.expect("HTTP/2");
        let (_, answer, _) = over_http2(&line, post(), &axfr).await.expect("a reply");
        assert_eq!(answer[3] & 0xF, 5, "REFUSED over HTTPS");
    });
}

impl World {
    /// The keys of all schemes for a zone.
    fn keys(&self, zone: &str) -> String {
        let Self { tls, https, quic, grpc, .. } = self;
        format!("tls://{zone}:{tls} https://{zone}:{https} quic://{zone}:{quic} grpc://{zone}:{grpc}")
    }
}

#[test]
fn a_certificate_that_has_ended_serves_with_a_warning_until_it_is_renewed() {
    let world = World::new();
    fs::create_dir_all(&world.home).expect("a directory");
    let old = " tls old.pem old.key\n hosts {\n 192.0.2.1 www.test\n }";
    world.authority.certify_of_yesterday(&["dns.test", "127.0.0.1"]).write(&world.home, "old");
    let server = world.serve(old);
    let words = "[WARNING] plugin/tls: old.pem: the certificate ended on 2021-01-01 00:00:00 UTC and is refused by whoever \
                 checks it";
    let told = || server.log().matches(words).count();
    assert_eq!(told(), 1, "{}", server.log());
    let end = "seamark_tls_certificate_end_timestamp_seconds{certificate=\"old.pem\"}";
    assert_eq!(world.metric(end), 1_609_459_200.0);
    assert_eq!(world.dig("www.test A +tls").status, "NOERROR", "who does not check is answered");
    assert_eq!(world.dig("www.test A +tls +tls-ca=ca.pem").status, "TIMEOUT");
    world.authority.certify(&["dns.test", "127.0.0.1"]).write(&world.home, "old");
    eventually("the new one shows", Duration::from_secs(8), || world.metric(end) > 1_609_459_200.0);
    assert_eq!(told(), 1, "said once");
}

/// The other direction: who we are to upstreams.
#[test]
fn certificates_for_upstreams_are_checked_with_their_keys() {
    let world = World::new();
    let forward = |words: &str| format!(".:{{port}} {{\n forward . tls://192.0.2.1 {{\n tls {words}\n }}\n}}\n");
    let mut server = world.launch(&forward("dns.pem other.key"), free_port());
    assert_eq!(server.wait(Duration::from_secs(8)).expect("it does not start").code(), Some(1));
    let words = "forward: tls: other.key: this key is not that of the certificate dns.pem";
    assert!(server.log().contains(words), "{}", server.log());
    drop(server);
    fs::create_dir_all(&world.home).expect("a directory");
    world.authority.certify_of_yesterday(&["client"]).write(&world.home, "old");
    let server = world.launch(&forward("old.pem old.key"), free_port());
    server.wait_until_it_answers();
    let words = "[WARNING] plugin/forward: tls: old.pem: the certificate ended on 2021-01-01 00:00:00 UTC";
    assert!(server.log().contains(words), "{}", server.log());
}

#[test]
fn what_cannot_be_listened_on_is_an_error_at_its_place() {
    let world = World::new();
    let port = world.tls;
    let tls = "tls dns.pem dns.key";
    for (corefile, words) in [
        (
            format!("tls://.:{port} {{\n tls dns.pem other.key\n whoami\n}}"),
            "Corefile:2 - Error during parsing: tls: other.key: this key is not that of the certificate dns.pem",
        ),
        (
            format!("tls://.:{port} {{\n tls dns.key dns.key\n whoami\n}}"),
            "Corefile:2 - Error during parsing: tls: dns.key: no certificate in it",
        ),
        (
            format!(
                "tls://a.:{port} {{\n {tls}\n whoami\n}}\ntls://b.:{port} {{\n tls other.pem other.key\n whoami\n}}"
            ),
            "Corefile:5 - Error during parsing: another block has other words behind `tls` for tls://:",
        ),
        (
            format!("tls://.:{port} {{\n {tls}\n whoami\n}}\nhttps://.:{port} {{\n {tls}\n whoami\n}}"),
            "Corefile:5 - Error during parsing: https://:",
        ),
        (
            format!(".:{port} {{\n whoami\n}}\nquic://.:{port} {{\n {tls}\n whoami\n}}"),
            "Corefile:4 - Error during parsing: quic://:",
        ),
    ] {
        let mut server = world.launch(&corefile, port);
        let status = server.wait(Duration::from_secs(8)).expect("it does not start");
        assert_eq!(status.code(), Some(1), "{corefile}");
        assert!(server.log().contains(words), "{corefile}\n{}", server.log());
    }
}
