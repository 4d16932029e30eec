//! The server from outside: what a scenario file cannot say.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use crate::support::{
    server::{Server, directory, eventually, free_port, http, pause, program},
    upstream::Upstream,
};

fn command() -> Command {
    Command::new(program())
}

/// A query for `name` (labels without dots inside) of type A.
fn query(id: u16, name: &[&str]) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

fn exchange(port: u16, message: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    socket.send_to(message, ("127.0.0.1", port)).expect("sent");
    let mut reply = vec![0; 65_535];
    let length = socket.recv(&mut reply).ok()?;
    reply.truncate(length);
    Some(reply)
}

#[test]
fn malformed_messages_are_refused_or_passed_over() {
    let server = Server::start(".:{port} {\n whoami\n}\n");
    let good = || query(7, &["a", "test"]);
    let with = |at: usize, octets: &[u8]| {
        let mut message = good();
        message[at..at + octets.len()].copy_from_slice(octets);
        message
    };
    let opt = |tail: &[u8]| {
        let mut message = with(10, &[0, 1]);
        message.extend(tail);
        message
    };
    let long_label = {
        let mut message = good()[..12].to_vec();
        message.push(64);
        message.extend([b'a'; 70]);
        message
    };
    let long_name = query(7, &["a".repeat(63).as_str(); 4]);
    // What is sent, and the response code; None = no answer.
    let cases: Vec<(&str, Vec<u8>, Option<u8>)> = vec![
        ("a good query", good(), Some(0)),
        ("nothing", vec![], None),
        ("eleven octets", good()[..11].to_vec(), None),
        ("a header alone", good()[..12].to_vec(), Some(1)),
        ("a response", with(2, &[0x81]), None),
        ("opcode STATUS", with(2, &[0x11]), Some(4)),
        ("opcode UPDATE", with(2, &[0x29]), Some(4)),
        ("no question", with(4, &[0, 0]), Some(1)),
        ("two questions", with(4, &[0, 2]), Some(1)),
        ("two answers", with(6, &[0, 2]), Some(1)),
        ("half a name", good()[..14].to_vec(), Some(1)),
        ("no type", good()[..good().len() - 4].to_vec(), Some(1)),
        ("no class", good()[..good().len() - 2].to_vec(), Some(5)),
        ("bytes behind the end", [good(), vec![1, 2, 3]].concat(), Some(0)),
        ("more records announced than there are", with(10, &[0, 1]), Some(0)),
        ("half a record", opt(&[0, 0, 41, 4]), Some(1)),
        ("an OPT record whose data is cut", opt(&[0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 9, 1]), Some(1)),
        ("EDNS version 1", opt(&[0, 0, 41, 4, 0, 0, 1, 0, 0, 0, 0]), Some(0)),
        ("a pointer to itself", [&good()[..12], &[0xC0, 12, 0, 1, 0, 1]].concat(), Some(1)),
        ("a pointer forward", [&good()[..12], &[0xC0, 40, 0, 1, 0, 1]].concat(), Some(1)),
        ("a label type of long ago", [&good()[..12], &[0x41, 1, 0, 0, 1, 0, 1]].concat(), Some(1)),
        ("a label of 64 octets", long_label, Some(1)),
        ("a name of 257 octets", long_name, Some(1)),
        ("only 0xFF", vec![0xFF; 64], None),
        ("only zeros", vec![0; 64], Some(1)),
    ];
    for (what, message, rcode) in cases {
        let reply = exchange(server.port, &message);
        assert_eq!(reply.as_ref().map(|reply| reply[3] & 0xF), rcode, "{what}");
        if let Some(reply) = reply {
            assert_eq!(reply[..2], message[..2], "{what}: the id");
            assert!(reply[2] & 0x80 != 0, "{what}: QR");
        }
    }
    // Any octets at all: the server goes on.
    let mut seed = 9u32;
    for _ in 0..3000 {
        let mut message = good();
        for _ in 0..4 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (seed >> 8) as usize % message.len();
            message[at] = seed as u8;
        }
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.send_to(&message, ("127.0.0.1", server.port)).expect("sent");
    }
    eventually("it still answers", Duration::from_secs(5), || exchange(server.port, &good()).is_some());
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn long_queries_are_read_and_counted_when_refused() {
    let metrics = free_port();
    let server = Server::start(&format!(".:{{port}} {{\n whoami\n prometheus 127.0.0.1:{metrics}\n}}\n"));
    let mut message = query(7, &["a", "test"]);
    message[11] = 1;
    // Padding (RFC 7830) of 1,400 octets.
    message.extend([0, 0, 41, 16, 0, 0, 0, 0, 0, 5, 124, 0, 12, 5, 120]);
    message.extend(vec![0; 1400]);
    let reply = exchange(server.port, &message).expect("an answer");
    assert_eq!(reply[3] & 0xF, 0);
    exchange(server.port, &query(7, &["a"])[..13]);
    let (_, text) = http(&format!("http://127.0.0.1:{metrics}/metrics"));
    assert!(text.contains("seamark_rejected_messages_total{reason=\"malformed\"} 1"), "{text}");
}

#[test]
fn replies_leave_from_the_address_that_was_asked() {
    let server = Server::start(".:{port} {\n whoami\n}\n");
    for address in ["127.0.0.1", "127.0.0.2", "127.9.8.7"] {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        // A connected socket hears only whom it asked.
        socket.connect((address, server.port)).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time-out");
        socket.send(&query(9, &["x"])).expect("sent");
        assert!(socket.recv(&mut [0; 512]).is_ok(), "{address}");
    }
}

#[test]
fn tcp_answers_as_answers_come() {
    let upstream = Upstream::start();
    let server = Server::start(&format!(
        ". {{\n}}\n.:{{port}} {{\n forward . {} {{\n prefer_udp\n read_timeout 1s\n max_connect_attempts 1\n }}\n}}\n",
        upstream.address
    ).replacen(". {\n}\n", "", 1));
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
    let mut bytes = Vec::new();
    // The first gets no answer from upstream; the second must not wait for it.
    for (id, first) in [(1, "drop"), (2, "ok"), (3, "ok")] {
        let message = query(id, &[first, "test"]);
        bytes.extend((message.len() as u16).to_be_bytes());
        bytes.extend(message);
    }
    // A frame that is too short for a header is passed over.
    bytes.extend([0, 3, 1, 2, 3]);
    stream.write_all(&bytes).expect("written");
    let mut order = Vec::new();
    for _ in 0..3 {
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a length");
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).expect("an answer");
        order.push((reply[1], reply[3] & 0xF));
    }
    assert_eq!(order.last(), Some(&(1, 2)), "the one that waits comes last, SERVFAIL: {order:?}");
}

#[test]
fn upstream_answers_that_are_none_are_passed_over() {
    let upstream = Upstream::start();
    let metrics = free_port();
    let server = Server::start(&format!(
        ".:{{port}} {{\n errors\n prometheus 127.0.0.1:{metrics}\n forward . {} {{\n max_concurrent 1000\n }}\n}}\n",
        upstream.address
    ));
    for (name, status, count) in [
        ("ok.test.", "NOERROR", 1),
        ("wrong-id.test.", "NOERROR", 1),
        ("wrong-question.test.", "NOERROR", 1),
        ("garbage.test.", "NOERROR", 1),
        ("nx.test.", "NXDOMAIN", 0),
        ("fail.test.", "SERVFAIL", 0),
        ("drop.test.", "SERVFAIL", 0),
    ] {
        let reply = server.ask(&format!("{name} A"));
        assert_eq!((reply.status.as_str(), reply.answer.len()), (status, count), "{name}: {}", reply.text);
    }
    let whole = server.ask("cut.test. A +ignore");
    assert_eq!((whole.has("tc"), whole.answer.len()), (false, 2), "what was cut is asked again over TCP");
    assert!(server.log().contains("2 drop.test. A: read udp 127.0.0.1:"), "{}", server.log());
    let spelled = server.ask("oK.TeSt. A");
    assert!(spelled.answer[0].starts_with("oK.TeSt. "), "{}", spelled.text);
    let (_, text) = http(&format!("http://127.0.0.1:{metrics}/metrics"));
    for family in ["coredns_proxy_request_duration_seconds_bucket{", "coredns_proxy_conn_cache_misses_total{"] {
        assert!(text.contains(family), "{family}\n{text}");
    }
    assert!(text.contains("plugin=\"forward\",rcode=\"NXDOMAIN\""), "the label names who answered:\n{text}");
}

#[test]
fn an_upstream_that_is_not_there_is_noticed_at_once() {
    let dead = free_port();
    let server =
        Server::start(&format!(".:{{port}} {{\n forward . 127.0.0.1:{dead} {{\n max_connect_attempts 1\n }}\n}}\n"));
    let start = std::time::Instant::now();
    assert_eq!(server.ask("a.test. A").status, "SERVFAIL");
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn the_cache_answers_ages_and_survives_a_reload() {
    let upstream = Upstream::start();
    let corefile = format!(
        ".:{{port}} {{\n cache 30 {{\n disable success no.test\n }}\n forward . {}\n reload 2s 0s\n}}\n",
        upstream.address
    );
    let server = Server::start(&corefile);
    let ttl = |name: &str| -> u32 {
        let reply = server.ask(&format!("{name} A"));
        reply.answer.first().and_then(|record| record.split(' ').nth(1)).and_then(|ttl| ttl.parse().ok()).unwrap_or(0)
    };
    let before = upstream.asked();
    assert_eq!(ttl("ok.test."), 30);
    pause(1100);
    assert!(ttl("OK.test.") < 30);
    assert_eq!(upstream.asked(), before + 1);
    server.rewrite(&corefile.replace("reload 2s 0s", "reload 2s 0s\n log"));
    eventually("reloaded", Duration::from_secs(10), || server.log().contains("Reloading complete"));
    assert!(ttl("ok.test.") < 30);
    assert_eq!(upstream.asked(), before + 1, "the cache is the same one");
    for _ in 0..2 {
        server.ask("x.no.test. A");
    }
    assert_eq!(upstream.asked(), before + 3, "answers below no.test are not kept");
}

#[test]
fn a_broken_corefile_keeps_the_old_one_and_counts() {
    let metrics = free_port();
    let corefile = format!(".:{{port}} {{\n whoami\n prometheus 127.0.0.1:{metrics}\n reload 2s 0s\n}}\n");
    let server = Server::start(&corefile);
    server.rewrite(&corefile.replace("whoami", "whoamy"));
    let failed = || http(&format!("http://127.0.0.1:{metrics}/metrics")).1.contains("coredns_reload_failed_total 1");
    eventually("the failure is counted", Duration::from_secs(10), failed);
    assert_eq!(server.ask("x.test. A").status, "NOERROR");
    assert!(server.log().contains("Corefile:2 - Error during parsing: Unknown directive 'whoamy'"), "{}", server.log());
    server.rewrite(&corefile.replace("whoami", "errors\n whoami"));
    eventually("the next one is taken", Duration::from_secs(10), || server.log().contains("Reloading complete"));
    let (_, text) = http(&format!("http://127.0.0.1:{metrics}/metrics"));
    assert!(text.contains("name=\"errors\",server=\"dns://:"), "{text}");
    assert!(text.contains("coredns_reload_version_info{hash=\"sha512\",value=\""), "{text}");
}

#[test]
fn a_port_that_another_program_serves_is_not_stolen() {
    let first = Server::start(".:{port} {\n whoami\n}\n");
    let path = directory();
    fs::write(path.join("Corefile"), format!(".:{} {{\n whoami\n}}\n", first.port)).expect("a Corefile");
    let output = command().args(["serve", "-conf", "Corefile"]).current_dir(&path).output().expect("the program");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("dns://:{}", first.port)) && text.contains("address already in use"), "{text}");
    _ = fs::remove_dir_all(path);
}

#[test]
fn signals_end_as_coredns_ends() {
    for (signal, code) in [("TERM", 0), ("INT", 0), ("QUIT", 0)] {
        let mut server = Server::start(".:{port} {\n whoami\n}\n");
        server.signal("HUP");
        pause(50);
        assert_eq!(server.ask("x.test. A").status, "NOERROR", "SIGHUP changes nothing");
        server.signal(signal);
        let status = server.wait(Duration::from_secs(8));
        assert_eq!(status.and_then(|status| status.code()), Some(code), "SIG{signal}");
    }
}

#[test]
fn lameduck_answers_and_says_that_it_is_not_ready() {
    let (health, ready) = (free_port(), free_port());
    let mut server = Server::start(&format!(
        ".:{{port}} {{\n whoami\n health 127.0.0.1:{health} {{\n lameduck 2s\n }}\n ready 127.0.0.1:{ready}\n}}\n"
    ));
    assert_eq!(http(&format!("http://127.0.0.1:{ready}/ready")), (200, "OK".to_owned()));
    server.signal("TERM");
    pause(400);
    assert_eq!(server.ask("x.test. A").status, "NOERROR");
    assert_eq!(http(&format!("http://127.0.0.1:{health}/health")), (200, "OK".to_owned()));
    assert_eq!(http(&format!("http://127.0.0.1:{ready}/ready")).0, 503);
    assert_eq!(server.wait(Duration::from_secs(8)).and_then(|status| status.code()), Some(0));
}

#[test]
fn a_loop_ends_the_process_with_a_reason() {
    let port = free_port();
    let corefile = format!(".:{port} {{\n loop\n forward . 127.0.0.1:{port}\n}}\n");
    let mut server = Server::launch(program(), &corefile, directory(), port);
    assert_eq!(server.wait(Duration::from_secs(15)).and_then(|status| status.code()), Some(1));
    let log = server.log();
    assert!(log.contains("Loop (") && log.contains("detected for zone \".\"") && log.contains("HINFO"), "{log}");
}

#[test]
fn manifests_are_followed_and_a_broken_file_changes_nothing() {
    let objects = directory();
    let service = |address: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: one}}\nspec:\n  clusterIP: {address}\n  \
             clusterIPs: [{address}]\n  ports: [{{name: http, port: 80}}]\n"
        )
    };
    fs::write(objects.join("a.yaml"), service("10.96.0.5")).expect("a file");
    let server = Server::start(&format!(
        ".:{{port}} {{\n errors\n kubernetes cluster.local {{\n manifests {}\n }}\n}}\n",
        objects.display()
    ));
    let address = || server.ask("web.one.svc.cluster.local. A").answer.first().cloned().unwrap_or_default();
    assert!(address().ends_with(" 10.96.0.5"));
    fs::write(objects.join("a.yaml"), format!("{}---\nkind: Service\nmetadata: [\n", service("10.96.0.6")))
        .expect("a file");
    eventually("the error is logged", Duration::from_secs(5), || server.log().contains("a.yaml:"));
    assert!(address().ends_with(" 10.96.0.5"), "the last good state goes on");
    fs::write(objects.join("a.yaml"), service("10.96.0.7")).expect("a file");
    eventually("the change shows", Duration::from_secs(5), || address().ends_with(" 10.96.0.7"));
    fs::remove_file(objects.join("a.yaml")).expect("removed");
    let gone = || server.ask("web.one.svc.cluster.local. A").status == "NXDOMAIN";
    eventually("the service is gone", Duration::from_secs(5), gone);
    _ = fs::remove_dir_all(objects);
}

#[test]
fn an_api_server_that_is_not_there_gives_servfail_and_not_ready() {
    let ready = free_port();
    let upstream = Upstream::start();
    let server = Server::start(&format!(
        ".:{{port}} {{\n errors\n ready 127.0.0.1:{ready}\n kubernetes cluster.local in-addr.arpa {{\n endpoint http://127.0.0.1:9\n \
         startup_timeout 500ms\n fallthrough\n }}\n forward . {}\n}}\n",
        upstream.address
    ));
    assert_eq!(http(&format!("http://127.0.0.1:{ready}/ready")), (503, "kubernetes".to_owned()));
    let reply = server.ask("a.b.svc.cluster.local. A");
    assert_eq!(reply.status, "SERVFAIL", "not to the upstream, whatever `fallthrough` says: {}", reply.text);
    assert!(reply.has("aa") && reply.authority.len() == 1, "{}", reply.text);
    assert_eq!(server.ask("ok.test. A").status, "NOERROR");
    assert!(server.log().contains("cannot watch services"), "{}", server.log());
}

#[test]
fn flags_and_the_working_directory() {
    let text = |args: &[&str]| {
        let output = command().args(args).output().expect("the program");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, version) = text(&["serve", "-version"]);
    assert!(code == Some(0) && version.starts_with("CoreDNS-1.15.0 (seamark-"), "{version}");
    let (code, plugins) = text(&["serve", "--plugins"]);
    assert!(code == Some(0) && plugins.contains("dns.kubernetes\n"), "{plugins}");
    assert_eq!(text(&["serve", "-nope"]).0, Some(2));
    assert_eq!(text(&["serve", "stray"]).0, Some(2));
    let (code, missing) = text(&["serve", "-conf", "/nonexistent/Corefile"]);
    assert!(code == Some(1) && missing.contains("/nonexistent/Corefile: cannot be read"), "{missing}");

    // Called `coredns`, with the flags of the stock manifest; without a Corefile it answers who asked.
    let path = directory();
    let link = path.join("coredns");
    std::os::unix::fs::symlink(program(), &link).expect("a link");
    for file in [None, Some(".:{port} {\n whoami\n}\n")] {
        let port = free_port();
        let mut command = Command::new(&link);
        command.current_dir(&path).args(["-dns.port", &port.to_string(), "-pidfile", "pid", "-quiet"]);
        if let Some(text) = file {
            fs::write(path.join("Corefile"), text.replace("{port}", &port.to_string())).expect("a Corefile");
        }
        let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("the program");
        eventually("it answers", Duration::from_secs(5), || exchange(port, &query(3, &["x"])).is_some());
        assert_eq!(fs::read_to_string(path.join("pid")).expect("a pidfile").trim(), child.id().to_string());
        _ = child.kill();
        _ = child.wait();
    }
    _ = fs::remove_dir_all(path);
}

#[test]
fn json_logs_are_a_record_a_line() {
    let path = directory();
    let port = free_port();
    fs::write(path.join("Corefile"), format!(".:{port} {{\n log\n whoami\n}}\n")).expect("a Corefile");
    let log = fs::File::create(path.join("log")).expect("a log");
    let mut child = command()
        .args(["serve", "-log-format=json", "-quiet", "-conf", "Corefile"])
        .current_dir(&path)
        .stdout(log)
        .spawn()
        .expect("the program");
    eventually("it answers", Duration::from_secs(5), || exchange(port, &query(3, &["x", "test"])).is_some());
    pause(100);
    _ = child.kill();
    _ = child.wait();
    let text = fs::read_to_string(path.join("log")).expect("a log");
    let record: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    for (field, value) in [
        ("qname", "x.test."),
        ("qtype", "A"),
        ("qclass", "IN"),
        ("protocol", "udp"),
        ("rcode", "NOERROR"),
        ("plugin", "log"),
    ] {
        assert_eq!(record[field], value, "{record}");
    }
    for field in [
        "time",
        "level",
        "msg",
        "client_ip",
        "client_port",
        "id",
        "opcode",
        "request_size",
        "dnssec_ok",
        "bufsize",
        "response_size",
        "duration_seconds",
    ] {
        assert!(!record[field].is_null(), "{field}: {record}");
    }
    _ = fs::remove_dir_all(path);
}

#[test]
fn errors_are_logged_and_consolidated() {
    let dead = free_port();
    let server = Server::start(&format!(
        ".:{{port}} {{\n errors {{\n consolidate 1s \"connection refused$\" warning show_first\n }}\n forward . 127.0.0.1:{dead} \
         {{\n max_connect_attempts 1\n }}\n}}\n"
    ));
    for number in 0..5 {
        server.ask(&format!("a{number}.test. A"));
    }
    eventually("the summary", Duration::from_secs(5), || {
        server.log().contains("errors like 'connection refused$' occurred in last 1s")
    });
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("plugin/errors: 2 ")).count();
    assert!((1..5).contains(&lines), "the first of each second only:\n{log}");
    assert!(log.contains("[WARNING] plugin/errors: 2 "), "{log}");
}

#[test]
fn log_classes_and_formats() {
    let server = Server::start(
        ".:{port} {\n log b.test \"of b {name} {rcode}\"\n log . {\n class denial\n }\n hosts {\n 192.0.2.1 a.test b.test\n }\n}\n",
    );
    for name in ["a.test", "b.test", "c.test"] {
        server.ask(&format!("{name} A"));
    }
    pause(200);
    let log = server.log();
    assert!(log.contains("[INFO] of b b.test. NOERROR\n"), "{log}");
    assert!(!log.contains("a.test."), "a success is not in class denial:\n{log}");
}

#[test]
fn a_silent_connection_is_closed() {
    let server = Server::start(".:{port} {\n whoami\n}\n");
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(8))).expect("a time-out");
    let start = std::time::Instant::now();
    assert_eq!(stream.read(&mut [0; 1]).expect("closed, not timed out"), 0);
    let waited = start.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(&waited), "{waited:?}");
}

#[test]
fn an_upstream_that_is_ourselves_is_left_out() {
    let upstream = Upstream::start();
    let port = free_port();
    let others = [("alone", String::new(), "SERVFAIL"), ("with another", format!(" {}", upstream.address), "NOERROR")];
    for (what, other, status) in others {
        for cache in ["", " cache\n"] {
            let server = Server::launch(
                program(),
                &format!(
                    ".:{port} {{\n errors\n{cache} forward . 127.0.0.1:{port}{other} {{\n policy sequential\n }}\n}}\n"
                ),
                directory(),
                port,
            );
            eventually("it serves", Duration::from_secs(5), || server.ask("ok.test. A +time=1").status != "TIMEOUT");
            let start = std::time::Instant::now();
            for round in 0..3 {
                let reply = server.ask(&format!("n{round}.ok.test. A"));
                assert_eq!(reply.status, status, "{what}{cache}: {}", reply.text);
                assert_eq!(reply.text.contains("is this server itself"), status == "SERVFAIL", "{}", reply.text);
            }
            assert!(start.elapsed() < Duration::from_secs(2), "{what}: {:?}", start.elapsed());
            let text = format!("Loop: upstream 127.0.0.1:{port} is this server itself");
            assert_eq!(server.log().matches(&text).count(), 1, "{}", server.log());
        }
    }
}

#[test]
fn a_loop_over_another_server_is_found() {
    let [near, far] = [free_port(), free_port()];
    let seamark = program();
    let corefile = |own: u16, other: u16| format!(".:{own} {{\n errors\n forward . 127.0.0.1:{other}\n}}\n");
    let far_server = Server::launch(seamark, &corefile(far, near), directory(), far);
    let server = Server::launch(seamark, &corefile(near, far), directory(), near);
    eventually("the loop is named", Duration::from_secs(15), || {
        server.ask("ok.test. A +time=1");
        [&server, &far_server].iter().any(|server| server.log().contains("Loop: upstream 127.0.0.1:"))
    });
    let reply = server.ask("ok.test. A");
    assert_eq!(reply.status, "SERVFAIL", "{}", reply.text);
}

#[test]
fn a_loop_ends_the_process_also_behind_a_cache() {
    let port = free_port();
    let corefile = format!(".:{port} {{\n cache\n loop\n forward . 127.0.0.1:{port}\n}}\n");
    let mut server = Server::launch(program(), &corefile, directory(), port);
    assert_eq!(server.wait(Duration::from_secs(15)).and_then(|status| status.code()), Some(1));
}

#[test]
fn a_circle_of_aliases_over_two_zones_is_a_failure_and_no_hang() {
    let objects = directory();
    let alias = |name: &str, to: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: one}}\nspec:\n  type: ExternalName\n  \
             externalName: {to}\n"
        )
    };
    let text = alias("first", "second.one.svc.other.local") + &alias("second", "first.one.svc.cluster.local");
    fs::write(objects.join("a.yaml"), text).expect("a file");
    for cache in ["", " cache\n"] {
        let server = Server::start(&format!(
            ".:{{port}} {{\n{cache} kubernetes cluster.local other.local {{\n manifests {}\n }}\n forward . 127.0.0.1:9\n}}\n",
            objects.display()
        ));
        for round in 0..3 {
            let reply = server.ask("first.one.svc.cluster.local. A +time=4");
            assert_ne!(reply.status, "TIMEOUT", "round {round}{cache}: {}", reply.text);
        }
    }
}

#[test]
fn a_notify_changes_nothing_in_the_cache() {
    let upstream = Upstream::start();
    let server = Server::start(&format!(".:{{port}} {{\n cache\n forward . {}\n}}\n", upstream.address));
    let first = server.ask("fail.test. A +opcode=notify");
    assert_ne!(first.status, "TIMEOUT", "{}", first.text);
    for _ in 0..2 {
        let reply = server.ask("ok.test. A +opcode=notify");
        assert_ne!(reply.status, "TIMEOUT", "{}", reply.text);
    }
    let reply = server.ask("ok.test. A");
    assert_eq!((reply.status.as_str(), reply.answer.len()), ("NOERROR", 1), "{}", reply.text);
    let again = server.ask("ok.test. A +opcode=notify");
    assert!(!again.text.contains("opcode: QUERY"), "{}", again.text);
}

/// How long a connection stays open on which `sent` was written, and how many octets came on it.
fn time_of_connection(port: u16, sent: &[u8]) -> (Duration, usize) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(9))).expect("a time-out");
    stream.write_all(sent).expect("sent");
    let (start, mut answers) = (std::time::Instant::now(), Vec::new());
    stream.read_to_end(&mut answers).expect("the server closes the connection");
    (start.elapsed(), answers.len())
}

#[test]
fn connections_end_as_timeouts_says() {
    // The last word on each limit of the listener holds.
    let server = Server::start(
        "a.test:{port} {\n timeouts {\n read 20s\n idle 1\n }\n whoami\n}
         b.test:{port} {\n timeouts {\n read 2s\n maxtcpqueries 3\n }\n whoami\n}
         c.test:{port} {\n whoami\n}\n",
    );
    let framed = |name: &[&str]| {
        let query = query(7, name);
        [&(query.len() as u16).to_be_bytes()[..], &query].concat()
    };
    let (first, one) = (framed(&["x", "c", "test"]), framed(&["x", "c", "test"]).len());
    let about = |seconds: u64| Duration::from_millis(1000 * seconds - 100)..Duration::from_millis(1000 * seconds + 900);
    let (silent, _) = time_of_connection(server.port, &[]);
    assert!(about(2).contains(&silent), "read: {silent:?}");
    let (half, _) = time_of_connection(server.port, &first[..one / 2]);
    assert!(about(2).contains(&half), "a query that stops half way: {half:?}");
    let (idle, answer) = time_of_connection(server.port, &first);
    assert!(about(1).contains(&idle), "idle: {idle:?}");
    let (counted, answers) = time_of_connection(server.port, &first.repeat(3));
    assert!(counted < Duration::from_millis(500), "maxtcpqueries: {counted:?}");
    assert_eq!(answers, 3 * answer, "all three are answered");
}
