//! Many questions and few answers. What takes long, or needs a quick program, is run by `make e2e`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{
    client::{self, FAILED, GOOD},
    message::{Reply, query},
    nameserver::{Act, Manner, NameServer},
    quick::Quick,
    server::{Background as _, Server, directory, eventually, free_port, http, metric, pause, program, resident},
};

#[test]

fn a_thousand_equal_questions_are_one() {
    let upstream = NameServer::start();
    let good = Act::Answer(Reply::parse("answer @ 60 A 192.0.2.53"));
    upstream.set("same.test.", Manner::both([Act::Wait(200), good]));
    let server = Server::start(&format!(".:{{port}} {{\n cache\n forward . {}\n}}\n", upstream.address));
    let sockets: Vec<_> =
        (0..1000 / OF_ONE_SOCKET).map(|_| client::socket(server.port, Duration::from_secs(3))).collect();
    for id in 0..1000 {
        sockets[usize::from(id) % sockets.len()].send(&query(id, "same.test.", "A")).expect("sent");
    }
    let mut reply = [0; 512];
    let mut read = |socket: &std::net::UdpSocket| {
        (0..OF_ONE_SOCKET).take_while(|_| socket.recv(&mut reply).is_ok_and(|_| reply[3] & 0xF == GOOD)).count()
    };
    let answers: usize = sockets.iter().map(&mut read).sum();
    assert_eq!(answers, 1000);
    let count = upstream.count();
    assert_eq!(count.udp + count.tcp, 1);
}

const FLOOD: usize = 50_000;
/// Questions of one socket: their answers fit into its buffer, so that they can be read later.
const OF_ONE_SOCKET: usize = 100;

#[test]
#[ignore = "make e2e"]
fn fifty_thousand_questions_in_flight_are_all_answered() {
    let mut upstream = NameServer::start();
    for name in ["*.flood.test.", "*.", "."] {
        upstream.set(name, Manner::default());
    }
    let (metrics, health) = (free_port(), free_port());
    let server = Server::start(&format!(
        ".:{{port}} {{\n prometheus 127.0.0.1:{metrics}\n health 127.0.0.1:{health}\n forward . {}\n}}\n\
         local:{{port}} {{\n whoami\n}}\n",
        upstream.address
    ));
    let before = resident(&server);
    let start = Instant::now();
    let (mut most, mut largest, mut slowest) = (0., before, Duration::ZERO);
    // Meanwhile it answers what it knows itself, and says that it is well.
    let mut watch = || {
        let (code, taken) = client::time(server.port, "x.local.").expect("an answer");
        assert_eq!(code, GOOD);
        slowest = slowest.max(taken);
        largest = resident(&server).max(largest);
        assert_eq!(http(&format!("http://127.0.0.1:{health}/health")).0, 200);
        most = metric(metrics, "seamark_waiting_queries").max(most);
    };
    let sockets: Vec<_> = (0..FLOOD / OF_ONE_SOCKET)
        .map(|number| {
            let socket = client::socket(server.port, Duration::from_millis(200));
            for id in 0..OF_ONE_SOCKET {
                let name = format!("n{}.flood.test.", number * OF_ONE_SOCKET + id);
                socket.send(&query(id as u16, &name, "A")).expect("sent");
            }
            pause(6);
            if number % 50 == 0 {
                watch();
            }
            socket
        })
        .collect();
    let sent = start.elapsed();
    while start.elapsed() < sent + Duration::from_secs(6) {
        watch();
    }
    let mut failed = 0;
    for socket in &sockets {
        let mut reply = [0; 512];
        while let Ok(length) = socket.recv(&mut reply) {
            assert!(length > 12 && reply[3] & 0xF == FAILED, "a silent upstream gives SERVFAIL");
            failed += 1;
            if failed % OF_ONE_SOCKET == 0 {
                break;
            }
        }
    }
    println!(
        "{FLOOD} sent in {sent:?}, {failed} SERVFAIL, {} of them shed, {most} waiting at once; \
         {before} KiB before, {largest} KiB at most; local names within {slowest:?}",
        metric(metrics, "seamark_shed_queries_total")
    );
    upstream.clear();
    upstream.set("back.test.", Manner::both([Act::Answer(Reply::parse("answer @ 60 A 192.0.2.53"))]));
    eventually("it recovers", Duration::from_secs(5), || {
        client::time(server.port, "back.test.").is_some_and(|(code, _)| code == GOOD)
    });
    assert_eq!(failed, FLOOD, "every question has an answer");
    // Some 6 KiB for each question that waits: its query, its place in the walk, the timers.
    assert!(largest < 304 << 10, "{largest} KiB");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    upstream.stop();
}

/// seamark, started with a limit of descriptors: what `ulimit` takes.
fn limited(limit: &str, corefile: &str) -> Server {
    let path = directory();
    let script = path.join("limited");
    let text = format!("#!/bin/sh\nulimit {limit}\nexec {} serve \"$@\"\n", program().display());
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a script");
    let server = Server::start_program(&script, corefile);
    _ = fs::remove_dir_all(path);
    server
}

#[test]
fn the_soft_limit_of_descriptors_is_raised() {
    let server = limited("-Sn 256", ".:{port} {\n whoami\n}\n");
    let text = fs::read_to_string(format!("/proc/{}/limits", server.id())).expect("a process");
    let line = text.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(words[3] == words[4] && words[3] != "256", "{line}");
}

#[test]
fn a_shortage_of_descriptors_is_not_taken_for_a_dead_upstream() {
    let upstream = NameServer::start();
    upstream.set("*.flood.test.", Manner::default());
    upstream.set("ok.test.", Manner::both([Act::Answer(Reply::parse("answer @ 60 A 192.0.2.53"))]));
    let metrics = free_port();
    let server = limited(
        "-n 150",
        &format!(
            ".:{{port}} {{\n prometheus 127.0.0.1:{metrics}\n forward . {} {{\n read_timeout 1s\n max_connect_attempts 1\n \
             max_fails 1\n health_check 100ms\n }}\n}}\nlocal:{{port}} {{\n whoami\n}}\n",
            upstream.address
        ),
    );
    let socket = client::socket(server.port, Duration::from_secs(3));
    for id in 0..250 {
        socket.send(&query(id, &format!("n{id}.flood.test."), "A")).expect("sent");
    }
    let (code, taken) = client::time(server.port, "x.local.").expect("an answer");
    assert!(code == GOOD && taken < Duration::from_millis(500), "{code} after {taken:?}");
    let mut reply = [0; 512];
    for _ in 0..250 {
        socket.recv(&mut reply).expect("each has an answer");
        assert_eq!(reply[3] & 0xF, FAILED);
    }
    assert_eq!(client::time(server.port, "ok.test.").map(|(code, _)| code), Some(GOOD));
    assert_eq!(metric(metrics, "coredns_proxy_healthcheck_failures_total"), 0.);
    let log = server.log();
    assert!(!log.contains("is down"), "{log}");
}

const NAMES: usize = 500_000;

/// What dnsperf has measured.
struct Measured {
    answered: usize,
    lost: usize,
    failed: usize,
    /// Longer than 300 ms.
    late: usize,
    longest: f64,
}

/// Reads the lines `> NOERROR name type seconds` and `> T name type` of `dnsperf -v`.
fn measured(text: &str) -> Measured {
    let mut measured = Measured { answered: 0, lost: 0, failed: 0, late: 0, longest: 0. };
    for words in text.lines().filter_map(|line| line.strip_prefix("> ")).map(|line| line.split(' ').collect::<Vec<_>>())
    {
        let seconds = words.last().and_then(|word| word.parse::<f64>().ok());
        match (words[0], seconds) {
            ("T", _) | (_, None) => measured.lost += 1,
            (code, Some(seconds)) => {
                measured.answered += 1;
                measured.failed += usize::from(code != "NOERROR");
                measured.late += usize::from(seconds > 0.3);
                measured.longest = measured.longest.max(seconds);
            }
        }
    }
    measured
}

/// Asks for 500,000 names; half-way one of two upstreams goes.
fn half_way(what: &str, kill: fn(&mut Quick)) {
    let (mut one, two) = (Quick::start(), Quick::start());
    let server = Server::start(&format!(
        ".:{{port}} {{\n cache 30\n forward . {} {} {{\n prefer_udp\n }}\n}}\n",
        one.address, two.address
    ));
    let file = server.directory.join("names");
    let names: String = (0..NAMES).map(|number| format!("n{number}.load.test A\n")).collect();
    fs::write(&file, names).expect("a file");
    // Lost is what is never answered: a machine that stands still for some seconds is no fault of the server.
    let load = Command::new("dnsperf")
        .args([
            "-s",
            "127.0.0.1",
            "-p",
            &server.port.to_string(),
            "-c",
            "8",
            "-q",
            "200",
            "-n",
            "1",
            "-t",
            "20",
            "-v",
            "-d",
        ])
        .arg(&file)
        .output_in_background();
    let done = || one.answered() + two.answered();
    eventually("half of it", Duration::from_secs(180), || done() >= NAMES / 2);
    kill(&mut one);
    let text = load.join().expect("dnsperf");
    let Measured { answered, lost, failed, late, longest } = measured(&text);
    let rate = text.lines().find(|line| line.contains("Queries per second")).unwrap_or_default().trim();
    println!(
        "{what}: {answered} answered, {lost} lost, {failed} failed, {late} above 300 ms, {longest} s at most; {rate}"
    );
    assert_eq!((answered, lost, failed), (NAMES, 0, 0));
    assert!(late <= NAMES / 100, "{late} answers took longer than 300 ms");
}

#[test]
#[ignore = "make e2e"]
fn no_question_is_lost_when_an_upstream_closes() {
    half_way("closed", Quick::close);
}

#[test]
#[ignore = "make e2e"]
fn no_question_is_lost_when_an_upstream_falls_silent() {
    half_way("silent", |upstream| upstream.fall_silent());
}
