//! Files that are large, cut off, or changed while they are read.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use crate::support::{
    server::{Server, directory, eventually, free_port, pause, program, resident},
    upstream::Upstream,
};

/// How long large files may take to be read, by a program that was built to be debugged, on a machine with other work.
const READING: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(10);

const HEAD: &str = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns.other.test.\n";

fn start(corefile: &str, files: &[(&str, &str)]) -> Server {
    let home = directory();
    for (name, text) in files {
        fs::write(home.join(name), text).expect("a file");
    }
    Server::launch(program(), corefile, home, free_port())
}

fn address(server: &Server, name: &str) -> String {
    let reply = server.ask(&format!("{name} A"));
    reply.answer.first().map_or(reply.status, |record| record.rsplit(' ').next().unwrap_or_default().to_owned())
}

/// Writes a file as a whole, as a ConfigMap does.
fn replace(server: &Server, name: &str, text: &str) {
    let next = server.directory.join(".next");
    fs::write(&next, text).expect("a file");
    fs::rename(next, server.directory.join(name)).expect("a file");
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
}

/// Starts a server with a large file; says how long it took until it answered, and what memory it has.
fn measured(what: &str, corefile: &str, file: (&str, &str), lines: u32) -> Server {
    let begun = Instant::now();
    let server = start(corefile, &[file]);
    let last = format!("h{}.large.test A +time=1", lines - 1);
    eventually("the large file is read", READING, || server.ask(&last).status == "NOERROR");
    let megabytes = resident(&server) / 1024;
    println!("{what}, {lines} lines: {:.1} s, {megabytes} MiB", begun.elapsed().as_secs_f64());
    // 350 octets a line, and what the process has anyway.
    let most = 60 + u64::from(lines) * 350 / (1 << 20);
    assert!(megabytes < most, "{megabytes} MiB, more than {most}");
    for number in [0, lines / 2, lines - 1] {
        let [_, a, b, c] = number.to_be_bytes();
        assert_eq!(address(&server, &format!("h{number}.large.test")), format!("10.{a}.{b}.{c}"));
    }
    server
}

fn large_files_are_read(lines: u32) {
    let mut zone = HEAD.to_owned();
    let mut hosts = String::new();
    for number in 0..lines {
        let [_, a, b, c] = number.to_be_bytes();
        writeln!(zone, "h{number} A 10.{a}.{b}.{c}").expect("a text");
        writeln!(hosts, "10.{a}.{b}.{c} h{number}.large.test").expect("a text");
    }
    let server = measured("zone", "large.test:{port} {\n file db\n}\n", ("db", &zone), lines);
    assert_eq!(server.ask("none.large.test A").status, "NXDOMAIN");
    drop(server);
    let corefile = ".:{port} {\n hosts hosts large.test {\n reload 1s\n }\n}\n";
    let server = measured("hosts", corefile, ("hosts", &hosts), lines);
    let reply = server.ask("-x 10.0.1.2");
    assert_eq!(reply.answer, ["2.1.0.10.in-addr.arpa. 3600 PTR h258.large.test."], "{}", reply.text);
    // It is read again while it answers.
    hosts.push_str("192.0.2.1 last.large.test\n");
    let begun = Instant::now();
    replace(&server, "hosts", &hosts);
    let mut slowest = Duration::ZERO;
    while address(&server, "last.large.test") != "192.0.2.1" {
        let reply = server.ask("h7.large.test A");
        assert_eq!(reply.status, "NOERROR");
        slowest = slowest.max(reply.taken);
        assert!(begun.elapsed() < READING, "the change does not show");
    }
    println!("hosts again: {:.1} s, {} MiB", begun.elapsed().as_secs_f64(), resident(&server) / 1024);
    assert!(slowest < Duration::from_secs(1), "an answer took {slowest:?} while the file was read");
}

#[test]
fn large_zones_and_hosts_files_are_read() {
    large_files_are_read(100_000);
}

#[test]
#[ignore = "make e2e"]
fn zones_and_hosts_files_of_a_million_lines_are_read() {
    large_files_are_read(1_000_000);
}

#[test]
fn a_zone_file_that_is_cut_off_changes_nothing_and_is_named_with_its_line() {
    let zone = |serial: u32, rest: &str| HEAD.replace("host 1", &format!("host {serial}")) + rest;
    let server = start(
        "file.test:{port} {\n file db {\n reload 1s\n }\n}\nauto.test:{port} {\n auto {\n directory zones db\\.(.*) {1}\n reload \
         1s\n }\n}\n",
        &[("db", &zone(1, "www A 192.0.2.1\n"))],
    );
    fs::create_dir(server.directory.join("zones")).expect("a directory");
    replace(&server, "zones/db.auto.test", &zone(1, "www A 192.0.2.1\n"));
    server.wait_until_it_answers();
    eventually("the zone of the directory", PATIENCE, || address(&server, "www.auto.test") == "192.0.2.1");
    for (serial, rest, error) in [
        (2, "www A 192.0.2.2\nmore TXT ( \"a\"\n", "a parenthesis that is never closed"),
        (3, "www A 192.0.2.2\nmore TXT \"a", "a quote that is never closed"),
        (4, "www A 192.0.2.2\nmore A 192.0", "expected an IPv4 address, found `192.0`"),
        (5, "www A 192.0.2.2\nmore A", "expected"),
    ] {
        for name in ["db", "zones/db.auto.test"] {
            replace(&server, name, &zone(serial, rest));
            let place = format!("{name}:5:");
            let is_told = || server.log().lines().any(|line| line.contains(&place) && line.contains(error));
            eventually(&format!("{place} {error}"), PATIENCE, is_told);
        }
        assert_eq!(address(&server, "www.file.test"), "192.0.2.1");
        assert_eq!(address(&server, "www.auto.test"), "192.0.2.1");
    }
    for (name, asked) in [("db", "more.file.test"), ("zones/db.auto.test", "more.auto.test")] {
        replace(&server, name, &zone(6, "www A 192.0.2.2\nmore A 192.0.2.3\n"));
        eventually("the whole file", PATIENCE, || address(&server, asked) == "192.0.2.3");
    }
}

/// The first half of a file is a zone of its own, serial and all.
#[test]
fn a_zone_file_that_is_written_in_halves_is_read_to_its_end() {
    let server = start("half.test:{port} {\n file db {\n reload 1s\n }\n}\n", &[("db", HEAD)]);
    server.wait_until_it_answers();
    let path = server.directory.join("db");
    fs::write(&path, HEAD.replace("host 1", "host 2") + "www A 192.0.2.1\n").expect("a file");
    eventually("the first half", PATIENCE, || address(&server, "www.half.test") == "192.0.2.1");
    append(&path, "last A 192.0.2.2\n");
    eventually("the other half", PATIENCE, || address(&server, "last.half.test") == "192.0.2.2");
    // What changes without another serial is left alone, as everybody expects.
    replace(&server, "db", &(HEAD.replace("host 1", "host 2") + "www A 192.0.2.9\nlast A 192.0.2.9\n"));
    pause(2500);
    assert_eq!(address(&server, "www.half.test"), "192.0.2.1");
}

#[test]
fn a_hosts_file_that_somebody_writes_to_is_read_when_he_is_done() {
    let corefile = ".:{port} {\n hosts hosts {\n reload 1s\n fallthrough\n }\n whoami\n}\n";
    let server = start(corefile, &[("hosts", "192.0.2.1 first.test\n192.0.2.2 last.test\n")]);
    server.wait_until_it_answers();
    assert_eq!(address(&server, "last.test"), "192.0.2.2");
    let path = server.directory.join("hosts");
    // Two seconds of writing, over several looks of a server that looks each second.
    fs::write(&path, "192.0.2.3 first.test\n").expect("a file");
    for _ in 0..20 {
        append(&path, "# more\n");
        pause(100);
        assert_eq!(address(&server, "last.test"), "192.0.2.2", "the last whole file goes on");
    }
    append(&path, "192.0.2.4 last.test\nnonsense\n");
    eventually("the whole file", PATIENCE, || address(&server, "last.test") == "192.0.2.4");
    assert_eq!(address(&server, "first.test"), "192.0.2.3");
    eventually("the line that is none", PATIENCE, || {
        server.log().contains("hosts:23: `nonsense` is no address; it is left out")
    });
    // Gone for a moment, and there again.
    fs::remove_file(&path).expect("a file");
    pause(1500);
    assert_eq!(address(&server, "last.test"), "192.0.2.4", "a file that is gone takes nothing with it");
    replace(&server, "hosts", "192.0.2.5 last.test\n");
    eventually("the next file", PATIENCE, || address(&server, "last.test") == "192.0.2.5");
}

/// A file without an end of a line is no reason to wait for ever, or to take all memory.
#[test]
fn absurd_files_are_refused_with_their_name() {
    let upstream = Upstream::start();
    let line = "x".repeat(2 << 20);
    let corefile = format!(
        ".:{{port}} {{\n hosts hosts {{\n 192.0.2.1 own.test\n fallthrough\n }}\n forward . {}\n}}\n",
        upstream.address
    );
    let server = start(&corefile, &[("hosts", &format!("192.0.2.9 a.test\n{line}\n"))]);
    server.wait_until_it_answers();
    assert_eq!(address(&server, "own.test"), "192.0.2.1", "the lines of the Corefile count");
    assert!(server.log().contains("hosts:2: longer than a line of a hosts file can be"), "{}", server.log());
    for (name, text) in [("db.zero", "/dev/zero"), ("db.directory", "/")] {
        let mut server = start(&format!("a.test:{{port}} {{\n file {text} {{\n reload 0\n }}\n}}\n"), &[(name, "")]);
        let status = server.wait(PATIENCE).expect("it does not start");
        assert_eq!(status.code(), Some(1), "{text}");
        assert!(server.log().contains(&format!("{text}: not a file")), "{}", server.log());
    }
}
