//! What small directives do outside of answers: programs that run, readiness, sockets that cannot send.

use std::{net::UdpSocket, thread, time::Duration};

use nix::sched::{CloneFlags, setns};

use crate::support::{
    message::query,
    namespaces::{ENDPOINT, Proxy, World},
    server::{Server, eventually, free_port, http, pause, subject},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// `on`: programs at the start, at a reload, and at the end, which waits for them.
#[test]
fn programs_run_at_the_start_and_before_the_end() {
    let corefile = ".:{port} {
        on startup sh -c 'echo one >> state; sleep 0.2; echo two >> state'
        on startup sh -c 'sleep 30; echo never >> state' &
        on startup /nowhere/to/be/found
        on STARTUP sh -c 'echo three >> state; exit 4'
        on shutdown sh -c 'sleep 0.3; echo four >> state'
        on shutdown sh -c \"echo five >> state\"
        on certrenew true
        whoami
    }";
    let mut server = Server::start(corefile);
    let state = server.directory.join("state");
    let written = || std::fs::read_to_string(&state).unwrap_or_default().replace('\n', " ");
    eventually("the programs of the start", PATIENCE, || written() == "one two three ");
    let log = server.log();
    for line in [
        "[INFO] Blocking Command \"sh -c echo one >> state; sleep 0.2; echo two >> state\"",
        "[INFO] Nonblocking Command \"sh -c sleep 30; echo never >> state\"",
        "[ERROR] plugin/on: \"/nowhere/to/be/found\" cannot be run: No such file or directory (os error 2)",
    ] {
        assert!(log.contains(line), "{line}");
    }
    eventually("the code is told", PATIENCE, || server.log().contains("has ended with exit status: 4"));
    server.signal("USR1");
    eventually("once more after a reload", PATIENCE, || written() == "one two three one two three ");
    server.signal("TERM");
    let status = server.wait(PATIENCE).expect("it ends");
    assert!(status.success());
    // In double quotes a word is cut like all others: `sh -c echo` writes nothing but a line to the log.
    assert_eq!(written(), "one two three one two three four ");
}

/// `erratic`: readiness comes and goes with the number of queries, and a zone is there to be transferred.
#[test]
fn an_erratic_server_is_ready_for_two_queries() {
    let ready = free_port();
    let corefile = format!(".:{{port}} {{\n ready 127.0.0.1:{ready}\n erratic {{\n  drop 0\n }}\n}}\n");
    // The question that the start waits for is the first one.
    let server = Server::start(&corefile);
    let status = || http(&format!("http://127.0.0.1:{ready}/ready"));
    let mut found = Vec::new();
    for _ in 1..=5 {
        found.push(status().0);
        server.ask("www.test. A");
    }
    assert_eq!(found, [503, 503, 200, 200, 503]);
    assert_eq!(status().1, "erratic");
    let zone = server.ask("zone.test. AXFR");
    let records = zone.text.lines().filter(|line| !line.is_empty() && !line.starts_with(';'));
    let kinds: Vec<&str> = records.filter_map(|record| record.split_whitespace().nth(3)).collect();
    assert_eq!(kinds, ["SOA", "NS", "NS", "AAAA", "AAAA", "SOA"], "{}", zone.text);
    let server = Server::start(".:{port} {\n erratic {\n  truncate 1\n }\n}\n");
    let without_end = server.ask("short.test. AXFR +time=1");
    assert!(
        without_end.text.contains("Transfer failed") || without_end.text.contains("timed out"),
        "{}",
        without_end.text
    );
}

/// `shed`: a link that takes a hundredth of the answers. The process holds a thousand of them and no more, leaves queries
/// alone meanwhile, and answers as before when the link is free.
#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn a_socket_that_cannot_send_lets_queries_go() {
    let mut world = World::build(Proxy::Absent);
    let path = world.directory.join("Corefile");
    let corefile = "test:53 {\n bind 10.244.9.9\n prometheus 127.0.0.1:9153\n shed\n erratic {\n  drop 0\n }\n}\n";
    std::fs::write(&path, corefile).expect("a Corefile");
    let link = world.link(&subject(), "shed", "coredns");
    world.start("dns", "dns", &format!("{} -conf {}", link.display(), path.display()), &[]);
    eventually("an answer", PATIENCE, || world.ask("node", ENDPOINT, "www.test") == "192.0.2.53");
    let count = |series: &str| {
        let text = world.shell("dns", "curl -s http://127.0.0.1:9153/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(series)).map(str::to_owned);
        line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    let [queries, responses] = ["query", "response"]
        .map(|reason| format!("coredns_shed_dropped_total{{reason=\"{reason}\",server=\"dns://10.244.9.9:53\"}}"));
    assert_eq!((count(&queries), count(&responses)), (0, 0));
    // 25 KB a second, and room for all that waits: it is the socket that is full, not the link.
    world.shell("dns", "tc qdisc add dev eth0 root tbf rate 200kbit burst 2000 limit 10000000");
    let network = world.network("node");
    let sent = thread::spawn(move || {
        setns(network, CloneFlags::CLONE_NEWNET).expect("root is needed");
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for id in 0..20_000_u16 {
            _ = socket.send_to(&query(id, "www.test.", "A"), (ENDPOINT, 53));
            if id % 200 == 0 {
                pause(1);
            }
        }
    });
    sent.join().expect("the sender");
    eventually("queries are let go", PATIENCE, || count(&queries) > 1_000);
    world.shell("dns", "tc qdisc del dev eth0 root");
    eventually("an answer", PATIENCE, || world.ask("node", ENDPOINT, "www.test") == "192.0.2.53");
    println!("let go: {} queries, {} answers", count(&queries), count(&responses));
}
