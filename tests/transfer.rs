//! Whole zones over TCP, and word of their changes.

use std::{fs, net::UdpSocket, process::Command, time::Duration};

use crate::support::{
    message,
    server::{Server, directory, free_port, pause},
};

const ZONE: &str = "$TTL 60\n@ SOA ns host 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n*.w TXT x\n";

fn serve(transfer: &str, zone: &str) -> Server {
    let folder = directory();
    fs::write(folder.join("db"), zone).expect("a zone");
    let corefile = format!("example.org:{{port}} {{\n file db {{\n reload 1s\n }}\n {transfer}\n}}\n");
    let server = Server::launch(env!("CARGO_BIN_EXE_seamark").as_ref(), &corefile, folder, free_port());
    server.wait_until_it_answers();
    server
}

/// The lines of a transfer, or dig's complaint.
fn transfer(server: &Server, words: &[&str]) -> Vec<String> {
    let port = server.port.to_string();
    let output = Command::new("dig")
        .args(["@127.0.0.1", "-p", &port, "+noall", "+answer", "+nocookie", "+time=5", "+tries=1", "example.org"])
        .args(words)
        .output()
        .expect("dig");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn a_zone_is_handed_over_to_those_who_may_have_it() {
    let server = serve("transfer {\n to *\n }", ZONE);
    let soa = "example.org. 60 IN SOA ns.example.org. host.example.org. 7 2 3 4 5";
    let whole = [
        soa,
        "example.org. 60 IN NS ns.example.org.",
        "ns.example.org. 60 IN A 192.0.2.1",
        "*.w.example.org. 60 IN TXT \"x\"",
        soa,
    ];
    assert_eq!(transfer(&server, &["AXFR"]), whole);
    assert_eq!(transfer(&server, &["IXFR=6", "+tcp"]), whole);
    // Who has the newest version is told the SOA and no more.
    assert_eq!(transfer(&server, &["IXFR=7", "+tcp"]), [soa]);
    // Over UDP nobody has it.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut query = message::query(7, "example.org.", "A");
    let kind = query.len() - 3;
    query[kind] = 252;
    socket.send_to(&query, ("127.0.0.1", server.port)).expect("sent");
    let mut reply = [0; 512];
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out");
    socket.recv(&mut reply).expect("a reply");
    assert_eq!(reply[3] & 0xF, 5, "REFUSED");
    let server = serve("transfer {\n to 192.0.2.7\n }", ZONE);
    assert_eq!(transfer(&server, &["AXFR"]), ["; Transfer failed."]);
    assert_eq!(server.ask("ns.example.org. A").status, "NOERROR");
}

#[test]
fn a_large_zone_takes_many_messages() {
    let names: String =
        (0..20_000).map(|number| format!("host-{number} A 10.0.{}.{}\n", number / 250, number % 250)).collect();
    let server = serve("transfer {\n to 127.0.0.1\n }", &format!("{ZONE}{names}"));
    let lines = transfer(&server, &["AXFR"]);
    assert_eq!(lines.len(), 20_005);
    assert_eq!(lines.first(), lines.last());
}

#[test]
fn secondaries_hear_of_changes() {
    let listener = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    listener.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    let port = listener.local_addr().expect("an address").port();
    let server = serve(&format!("transfer {{\n to 127.0.0.1:{port}\n }}"), ZONE);
    let heard = || {
        let mut buffer = [0; 512];
        let (length, peer) = listener.recv_from(&mut buffer).expect("a notify");
        // Opcode 4 and AA (RFC 1996 section 3.11), then the answer: the same with QR.
        assert_eq!((buffer[2], &buffer[12..length]), (0x24, &b"\x07example\x03org\0\0\x06\0\x01"[..]));
        buffer[2] |= 0x80;
        listener.send_to(&buffer[..length], peer).expect("an answer");
    };
    heard();
    pause(1100);
    fs::write(server.directory.join("db"), ZONE.replace("7 2", "8 2")).expect("a zone");
    heard();
    // What was answered is not said again.
    listener.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
    assert!(listener.recv_from(&mut [0; 512]).is_err());
}

/// A secondary takes the zone, hears of a change, and hands the zone on.
#[test]
fn a_secondary_follows_its_primary() {
    let port = free_port();
    let primary = serve(&format!("transfer {{\n to 127.0.0.1:{port}\n }}"), ZONE);
    let corefile = format!(
        "example.org:{{port}} {{\n secondary {{\n transfer from 127.0.0.1:{}\n }}\n transfer {{\n to *\n }}\n}}\n",
        primary.port
    );
    let secondary = Server::launch(env!("CARGO_BIN_EXE_seamark").as_ref(), &corefile, directory(), port);
    let until = |text: &str| {
        let found = (0..100).any(|_| {
            pause(50);
            secondary.ask("ns.example.org. A").answer.iter().any(|record| record.ends_with(text))
        });
        assert!(found, "no {text}:\n{}", secondary.log());
    };
    until("192.0.2.1");
    assert_eq!(transfer(&secondary, &["AXFR"]), transfer(&primary, &["AXFR"]));
    pause(1100);
    fs::write(primary.directory.join("db"), ZONE.replace("7 2", "8 2").replace("192.0.2.1", "192.0.2.2"))
        .expect("a zone");
    until("192.0.2.2");
    let denied = secondary.ask("none.example.org. A");
    assert_eq!((denied.status.as_str(), denied.has("aa")), ("NXDOMAIN", true));
}

/// The live cluster zone: what is handed over is what questions are answered with, record by record.
#[test]
fn the_cluster_zone_says_what_its_answers_say() {
    let cluster = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cluster");
    let server = Server::start(&format!(
        "cluster.local:{{port}} {{\n kubernetes {{\n manifests {}\n }}\n transfer {{\n to *\n }}\n}}\n",
        cluster.display()
    ));
    let port = server.port.to_string();
    let output = Command::new("dig")
        .args(["@127.0.0.1", "-p", &port, "+noall", "+answer", "cluster.local", "AXFR"])
        .output()
        .expect("dig");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|words: &Vec<&str>| words.len() > 4)
        .collect();
    assert!(lines.len() > 20, "{text}");
    assert_eq!(lines.first(), lines.last());
    assert_eq!(lines[0][3], "SOA");
    for line in &lines {
        let reply = server.ask(&format!("{} {}", line[0], line[3]));
        let record = [&line[..2], &line[3..]].concat().join(" ");
        assert!(reply.answer.contains(&record), "{record}\n{}", reply.text);
    }
    let of = |kind: &str| lines.iter().filter(|line| line[3] == kind).count();
    assert!(of("A") > 5 && of("AAAA") > 0 && of("SRV") > 5, "{text}");
}
