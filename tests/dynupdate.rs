//! Zones that clients change, with nsupdate as the client.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::server::{Server, directory, free_port, pause};

const SECRET: &str = "i9M+00yrECfVZG2qCjr4mPpaGim/Bq+IWMiNrLjUO4Y=";
const ZONE: &str = "$TTL 60\n@ SOA ns host 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nalias CNAME ns\n";

fn corefile(more: &str) -> String {
    format!(
        "example.org:{{port}} {{
            tsig {{
                secret all.test {SECRET}
                secret acme.test {SECRET}
                secret nobody.test {SECRET}
            }}
            cache
            transfer {{
                to *
            }}
            dynupdate {{
                file db
                allow all.test * *
                allow acme.test _acme.example.org TXT
                {more}
            }}
        }}
        example.net:{{port}} {{
            whoami
        }}"
    )
}

fn launch(folder: &Path, more: &str) -> Server {
    let server =
        Server::launch(env!("CARGO_BIN_EXE_seamark").as_ref(), &corefile(more), folder.to_owned(), free_port());
    server.wait_until_it_answers();
    server
}

fn start(more: &str) -> Server {
    let folder = directory();
    fs::write(folder.join("db"), ZONE).expect("a zone");
    launch(&folder, more)
}

/// Sends an update under the name of a key; gives the response code.
fn update(server: &Server, key: &str, lines: &str) -> String {
    update_of(server, "example.org", key, lines)
}

fn update_of(server: &Server, zone: &str, key: &str, lines: &str) -> String {
    let mut child = Command::new("nsupdate")
        .args(["-t", "5", "-r", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsupdate (Debian package bind9-dnsutils)");
    let key = if key.is_empty() { String::new() } else { format!("key hmac-sha256:{key} {SECRET}\n") };
    let text = format!("server 127.0.0.1 {}\n{key}zone {zone}\n{lines}\nsend\n", server.port);
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match said.split("update failed: ").nth(1) {
        Some(code) => code.trim().split('(').next().unwrap_or_default().to_owned(),
        None if output.status.success() => "NOERROR".to_owned(),
        None => said,
    }
}

fn data(server: &Server, question: &str) -> Vec<String> {
    let mut data: Vec<String> = server
        .ask(question)
        .answer
        .iter()
        .map(|record| record.splitn(4, ' ').nth(3).unwrap_or_default().to_owned())
        .collect();
    data.sort();
    data
}

fn serial(server: &Server) -> String {
    data(server, "example.org SOA")[0].split(' ').nth(2).unwrap_or_default().to_owned()
}

#[test]
fn clients_change_the_zone_as_rfc_2136_says() {
    let server = start("");
    // The same name before each update, so that a cache that keeps it would be found.
    assert_eq!(server.ask("host.example.org A").status, "NXDOMAIN");
    for (lines, code, question, answer, number) in [
        ("update add host.example.org 60 A 192.0.2.10", "NOERROR", "host.example.org A", &["192.0.2.10"][..], "8"),
        ("update add host.example.org 60 A 192.0.2.10", "NOERROR", "host.example.org A", &["192.0.2.10"], "8"),
        (
            "update add HOST.example.org 60 A 192.0.2.11",
            "NOERROR",
            "host.example.org A",
            &["192.0.2.10", "192.0.2.11"],
            "9",
        ),
        ("update delete host.example.org A 192.0.2.10", "NOERROR", "host.example.org A", &["192.0.2.11"], "10"),
        (
            "prereq nxdomain host.example.org\nupdate add host.example.org 60 TXT x",
            "YXDOMAIN",
            "host.example.org TXT",
            &[],
            "10",
        ),
        (
            "prereq yxdomain no.example.org\nupdate add host.example.org 60 TXT x",
            "NXDOMAIN",
            "host.example.org TXT",
            &[],
            "10",
        ),
        (
            "prereq nxrrset host.example.org A\nupdate add host.example.org 60 TXT x",
            "YXRRSET",
            "host.example.org TXT",
            &[],
            "10",
        ),
        (
            "prereq yxrrset host.example.org MX\nupdate add host.example.org 60 TXT x",
            "NXRRSET",
            "host.example.org TXT",
            &[],
            "10",
        ),
        (
            "prereq yxrrset host.example.org A 192.0.2.12\nupdate add host.example.org 60 TXT x",
            "NXRRSET",
            "host.example.org TXT",
            &[],
            "10",
        ),
        (
            "prereq yxrrset host.example.org A 192.0.2.11\nupdate add host.example.org 60 TXT x",
            "NOERROR",
            "host.example.org TXT",
            &["\"x\""],
            "11",
        ),
        // An alias has nothing beside it: such changes are passed over.
        ("update add host.example.org 60 CNAME ns.example.org", "NOERROR", "host.example.org CNAME", &[], "11"),
        (
            "update add alias.example.org 60 A 192.0.2.3",
            "NOERROR",
            "alias.example.org CNAME",
            &["ns.example.org."],
            "11",
        ),
        (
            "update add alias.example.org 60 CNAME host.example.org",
            "NOERROR",
            "alias.example.org CNAME",
            &["host.example.org."],
            "12",
        ),
        ("update delete host.example.org", "NOERROR", "host.example.org TXT", &[], "13"),
        // What a zone must have stays.
        ("update delete example.org", "NOERROR", "example.org NS", &["ns.example.org."], "13"),
        ("update delete example.org NS ns.example.org", "NOERROR", "example.org NS", &["ns.example.org."], "13"),
        (
            "update add example.org 60 NS ns2.example.org",
            "NOERROR",
            "example.org NS",
            &["ns.example.org.", "ns2.example.org."],
            "14",
        ),
        ("update delete example.org NS NS.example.org", "NOERROR", "example.org NS", &["ns2.example.org."], "15"),
        (
            "update add example.org 60 SOA ns host 100 2 3 4 5",
            "NOERROR",
            "example.org NS",
            &["ns2.example.org."],
            "100",
        ),
        ("update add example.org 60 SOA ns host 99 2 3 4 5", "NOERROR", "example.org NS", &["ns2.example.org."], "100"),
        (
            "update add host.example.org 60 DS 1 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
            "NOTIMP",
            "host.example.org DS",
            &[],
            "100",
        ),
        ("update add host.example.net 60 A 192.0.2.1", "NOTZONE", "example.org NS", &["ns2.example.org."], "100"),
        // All or nothing.
        (
            "update add host.example.org 60 A 192.0.2.1\nupdate add host.example.net 60 A 192.0.2.1",
            "NOTZONE",
            "host.example.org A",
            &[],
            "100",
        ),
    ] {
        assert_eq!(update(&server, "all.test", lines), code, "{lines}\n{}", server.log());
        assert_eq!(
            (data(&server, question), &*serial(&server)),
            (answer.iter().map(|text| (*text).to_owned()).collect(), number),
            "{lines}"
        );
    }
}

#[test]
fn only_those_who_may_change_what_they_may() {
    let server = start("max_records 6\nmax_update_records 3");
    let acme = "update add _acme.example.org 60 TXT token";
    for (key, lines, code) in [
        ("acme.test", acme, "NOERROR"),
        ("acme.test", "update delete _acme.example.org TXT", "NOERROR"),
        ("acme.test", "update add _acme.example.org 60 CAA 0 issue x", "REFUSED"),
        ("acme.test", "update add www.example.org 60 TXT token", "REFUSED"),
        ("acme.test", "update delete _acme.example.org", "REFUSED"),
        ("nobody.test", acme, "REFUSED"),
        ("", acme, "REFUSED"),
        ("unknown.test", acme, "NOTAUTH"),
        (
            "all.test",
            "update add a.example.org 60 A 192.0.2.1\nupdate add a.example.org 60 A 192.0.2.2\nupdate add a.example.org 60 A 192.0.2.3",
            "REFUSED",
        ),
        ("all.test", "update add a.example.org 60 A 192.0.2.1\nupdate add a.example.org 60 A 192.0.2.2", "NOERROR"),
        (
            "all.test",
            "update delete a.example.org\nupdate delete b.example.org\nupdate delete c.example.org\nupdate delete d.example.org",
            "REFUSED",
        ),
    ] {
        let said = update(&server, key, lines);
        assert!(said.contains(code), "{key} {lines}: {said}\n{}", server.log());
    }
    // Of other zones nothing is confirmed.
    assert!(
        update_of(&server, "sub.example.org", "all.test", "update add a.sub.example.org 60 A 192.0.2.1")
            .contains("NOTAUTH")
    );
    assert!(
        update_of(&server, "example.net", "all.test", "update add a.example.net 60 A 192.0.2.1").contains("NOTIMP")
    );
}

#[test]
fn what_is_confirmed_outlives_the_server() {
    let mut server = start("database kept");
    let folder = server.directory.clone();
    assert!(!folder.join("kept").exists(), "made by the first update");
    for number in 0..20 {
        let line = format!("update add host-{number}.example.org 60 TXT \"number {number}\"");
        assert_eq!(update(&server, "all.test", &line), "NOERROR", "{}", server.log());
    }
    // A reload between: the zone goes on, and so do updates.
    server.rewrite(&corefile("database kept\nmax_records 500"));
    server.signal("USR1");
    pause(500);
    assert_eq!(update(&server, "all.test", "update add after.example.org 60 TXT reload"), "NOERROR");
    server.signal("KILL");
    server.wait(Duration::from_secs(5)).expect("an end");
    let again = launch(&folder, "database kept");
    assert_eq!(data(&again, "host-19.example.org TXT"), ["\"number 19\""]);
    assert_eq!(data(&again, "after.example.org TXT"), ["\"reload\""]);
    assert_eq!(serial(&again), "28");
    assert_eq!(fs::read_to_string(folder.join("db")).expect("a zone"), ZONE, "the zone file is left alone");
    // Where nothing can be written nothing is confirmed.
    fs::remove_file(folder.join("kept.new")).ok();
    fs::create_dir(folder.join("kept.new")).expect("a directory in its place");
    assert_eq!(update(&again, "all.test", "update add lost.example.org 60 TXT x"), "SERVFAIL");
    assert_eq!((data(&again, "lost.example.org TXT"), &*serial(&again)), (vec![], "28"));
}
