//! etcd behind TLS and passwords, with many keys, with several members, and after it has lost its memory.

use std::{fmt::Write as _, time::Duration};

use crate::support::{
    certificates::Authority,
    etcd::Etcd,
    server::{Server, directory, eventually, free_port, http, metric},
};

const PATIENCE: Duration = Duration::from_secs(15);

/// A server for `a.test` with these properties of `etcd`.
fn server(properties: &str) -> (Server, u16) {
    let metrics = free_port();
    let corefile = format!(
        "a.test:{{port}} {{\n errors\n prometheus 127.0.0.1:{metrics}\n etcd {{\n {properties}\n }}\n}}\n\
         probe.invalid:{{port}} {{\n whoami\n}}\n"
    );
    (Server::start(&corefile), metrics)
}

fn has(server: &Server, question: &str, answer: &str) -> bool {
    server.ask(question).answer.iter().any(|record| record.ends_with(&format!(" {answer}")))
}

#[test]
fn members_and_clients_show_certificates() {
    let home = directory();
    let file = |name: &str| home.join(name).display().to_string();
    let authority = Authority::new("the authority of this test");
    authority.write(&home.join("ca.pem"));
    authority.certify(&["127.0.0.1"]).write(&home, "server");
    authority.certify(&["seamark"]).write(&home, "client");
    Authority::new("a stranger").write(&home.join("stranger.pem"));
    let mut etcd = Etcd::idle().with(&[
        &format!("--cert-file={}", file("server.pem")),
        &format!("--key-file={}", file("server.key")),
        "--client-cert-auth",
        &format!("--trusted-ca-file={}", file("ca.pem")),
    ]);
    etcd.pass(&["--cert", &file("client.pem"), "--key", &file("client.key"), "--cacert", &file("ca.pem")]);
    etcd.restart();
    etcd.change("put /skydns/test/a/www {\"host\":\"192.0.2.1\"}\n");
    let endpoint = etcd.endpoint();
    assert!(endpoint.starts_with("https://"), "{endpoint}");
    let (client, key) = (file("client.pem"), file("client.key"));
    for endpoint in [&endpoint, &etcd.address()] {
        let (server, _) = server(&format!("endpoint {endpoint}\n tls {client} {key} {}", file("ca.pem")));
        eventually("an answer", PATIENCE, || has(&server, "www.a.test. A", "192.0.2.1"));
    }
    for (tls, reason) in [
        (format!("{client} {key} {}", file("stranger.pem")), "certificate signed by unknown authority"),
        // TLS 1.3: whether a certificate is missing shows behind the handshake, and the end of the connection may overtake
        // the alert.
        (file("ca.pem"), "BadCertificate|onnection reset|roken pipe|losed"),
    ] {
        let (server, _) = server(&format!("endpoint {endpoint}\n tls {tls}"));
        assert_eq!(server.ask("www.a.test. A").status, "SERVFAIL");
        eventually(reason, PATIENCE, || {
            let log = server.log();
            let mut lines = log.lines().filter(|line| line.contains(&endpoint));
            lines.any(|line| reason.split('|').any(|reason| line.contains(reason)))
        });
    }
    drop(etcd);
    std::fs::remove_dir_all(home).expect("a directory");
}

#[test]
fn users_see_what_they_may() {
    let mut etcd = Etcd::start();
    etcd.change("put /skydns/test/a/www {\"host\":\"192.0.2.1\"}\nput /skydns/test/b/www {\"host\":\"192.0.2.2\"}\n");
    etcd.put_on_lease("600", "/skydns/test/a/leased", "{\"host\":\"192.0.2.3\"}");
    for words in [
        "user add root:secret",
        "user grant-role root root",
        "role add dns",
        // What is below the zone, not its own key.
        "role grant-permission dns --prefix=true read /skydns/test/a/",
        "user add dns:secret too",
        "user grant-role dns dns",
    ] {
        let words: Vec<&str> = words.splitn(if words.contains("too") { 3 } else { 9 }, ' ').collect();
        etcd.tell(&words);
    }
    etcd.tell(&["auth", "enable"]);
    etcd.pass(&["--user", "root:secret"]);
    let endpoint = etcd.endpoint();
    let (first, _) = server(&format!("endpoint {endpoint}\n credentials dns \"secret too\""));
    assert!(has(&first, "www.a.test. A", "192.0.2.1"), "{}", first.log());
    let (leased, ttl) = (first.ask("leased.a.test. A"), |record: &String| {
        record.split_whitespace().nth(1).and_then(|ttl| ttl.parse::<u32>().ok()).unwrap_or(0)
    });
    assert!(leased.answer.iter().any(|record| ttl(record) > 500), "{}", leased.text);
    etcd.change("put /skydns/test/a/new {\"host\":\"192.0.2.4\"}\n");
    eventually("a change", PATIENCE, || has(&first, "new.a.test. A", "192.0.2.4"));
    // Its tokens are of no use to it any more.
    etcd.stop();
    etcd.restart();
    etcd.change("put /skydns/test/a/new {\"host\":\"192.0.2.5\"}\n");
    eventually("a change behind a restart", PATIENCE, || has(&first, "new.a.test. A", "192.0.2.5"));
    for (credentials, reason) in [("credentials dns wrong", "authentication failed"), ("", "user name is empty")] {
        let (server, _) = server(&format!("endpoint {endpoint}\n {credentials}"));
        assert_eq!(server.ask("www.a.test. A").status, "SERVFAIL");
        eventually(reason, PATIENCE, || server.log().contains(reason));
    }
    let corefile = format!(
        "b.test:{{port}} {{\n errors\n etcd {{\n endpoint {endpoint}\n credentials dns \"secret too\"\n }}\n}}\n\
         probe.invalid:{{port}} {{\n whoami\n}}\n"
    );
    let other = Server::start(&corefile);
    assert_eq!(other.ask("www.b.test. A").status, "SERVFAIL");
    assert!(other.log().contains("permission denied"), "{}", other.log());
}

#[test]
fn thousands_of_keys_come_in_pages_and_go_with_etcds_memory() {
    let mut etcd = Etcd::start();
    for hundred in 0..20 {
        let mut lines = String::new();
        for number in 0..100 {
            let number = hundred * 100 + number;
            writeln!(lines, "put /skydns/test/a/n{number} {{\"host\":\"192.0.2.{}\"}}", number % 250).expect("a text");
        }
        etcd.change(&lines);
    }
    let (server, metrics) = server(&format!("endpoint {}", etcd.endpoint()));
    let count = || metric(metrics, "seamark_etcd_records") as u32;
    assert_eq!(count(), 2000);
    assert!(has(&server, "n1999.a.test. A", "192.0.2.249"));
    // A reload keeps the copy, even while etcd is away.
    etcd.stop();
    let reloads = server.log().matches("Reloading complete").count();
    server.signal("USR1");
    eventually("a reload", PATIENCE, || server.log().matches("Reloading complete").count() > reloads);
    assert!(has(&server, "n1999.a.test. A", "192.0.2.249"));
    eventually("the loss is told", PATIENCE, || server.log().contains("[ERROR] plugin/etcd: http://127.0.0.1"));
    // It comes back with nothing.
    etcd.forget();
    etcd.restart();
    etcd.change("put /skydns/test/a/n7 {\"host\":\"192.0.2.77\"}\n");
    eventually("what is there now", PATIENCE, || has(&server, "n7.a.test. A", "192.0.2.77"));
    assert_eq!((server.ask("n1999.a.test. A").status.as_str(), count()), ("NXDOMAIN", 1));
}

#[test]
fn another_member_takes_over() {
    let (mut one, other) = (Etcd::start(), Etcd::start());
    one.change("put /skydns/test/a/www {\"host\":\"192.0.2.1\"}\n");
    other.change("put /skydns/test/a/www {\"host\":\"192.0.2.2\"}\n");
    let (server, metrics) = server(&format!("endpoint {} {}", one.endpoint(), other.endpoint()));
    assert!(has(&server, "www.a.test. A", "192.0.2.1"));
    one.stop();
    eventually("the other one", PATIENCE, || has(&server, "www.a.test. A", "192.0.2.2"));
    let (_, text) = http(&format!("http://127.0.0.1:{metrics}/metrics"));
    let failures = format!("seamark_etcd_failures_total{{endpoint=\"{}\"}} 1\n", one.endpoint());
    assert!(text.contains(&failures), "{text}");
}
