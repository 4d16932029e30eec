//! Signed queries and their answers (RFC 8945), with dig on the other side: it verifies what comes back.

use std::{fs, process::Command};

use crate::support::server::{Server, directory, free_port, pause};

const SECRET: &str = "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk=";
const KEYS: &str =
    "key \"file.test\" {\n\talgorithm hmac-sha512;\n\tsecret \"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0\";\n};\n";

fn zone() -> String {
    let text = "x".repeat(150);
    let names: String =
        (0..20_000).map(|number| format!("host-{number} A 10.0.{}.{}\n", number / 250, number % 250)).collect();
    format!(
        "$TTL 60\n@ SOA ns host 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nns TXT x\nlong TXT {text} {text} {text}\nout CNAME www.other.test.\n{names}"
    )
}

fn launch(block: &str) -> Server {
    let folder = directory();
    fs::write(folder.join("db"), zone()).expect("a zone");
    fs::write(folder.join("keys"), KEYS).expect("keys");
    let corefile = format!("example.org:{{port}} {{\n{block}\n}}\n");
    let server = Server::launch(env!("CARGO_BIN_EXE_seamark").as_ref(), &corefile, folder, free_port());
    server.wait_until_it_answers();
    server
}

fn primary() -> Server {
    launch(&format!(
        "tsig {{\n secret key.test {SECRET}\n secrets keys\n require TXT AXFR IXFR\n}}\ncache\nfile db\ntransfer {{\n to *\n}}"
    ))
}

/// What dig says, its complaints included.
fn dig(server: &Server, key: &str, words: &[&str]) -> String {
    let port = server.port.to_string();
    let key = if key.is_empty() { vec![] } else { vec!["-y", key] };
    let output = Command::new("dig")
        .args(["@127.0.0.1", "-p", &port, "+nocookie", "+time=5", "+tries=1"])
        .args(key)
        .args(words)
        .output()
        .expect("dig");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Response code, TSIG error if there is a signature, and whether dig is content with it.
fn outcome(text: &str) -> (String, String, bool) {
    let behind =
        |mark: &str| text.split(mark).nth(1).map(|rest| rest.split([',', ' ']).next().unwrap_or("").to_owned());
    let record = text.lines().find(|line| line.contains("\tTSIG\t"));
    let error = record.and_then(|line| line.split_whitespace().rev().nth(1)).unwrap_or("-");
    let wrong =
        ["verify signature", "could not be validated", "Transfer failed"].iter().any(|mark| text.contains(mark));
    (behind("status: ").unwrap_or_default(), error.to_owned(), !wrong)
}

#[test]
fn signed_queries_get_signed_answers() {
    let server = primary();
    let good = format!("hmac-sha256:key.test:{SECRET}");
    let sha1 = format!("hmac-sha1:KEY.test:{SECRET}");
    let file = "hmac-sha512:file.test:c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0";
    let bad = "hmac-sha256:key.test:c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0";
    let nobody = format!("hmac-sha256:nobody.test:{SECRET}");
    let old = format!("hmac-md5:key.test:{SECRET}");
    for (key, words, (status, error, is_right)) in [
        (&*good, "ns.example.org A", ("NOERROR", "NOERROR", true)),
        (&good, "ns.example.org TXT", ("NOERROR", "NOERROR", true)),
        (&good, "nothing.example.org A", ("NXDOMAIN", "NOERROR", true)),
        (&good, "ns.example.org A +tcp", ("NOERROR", "NOERROR", true)),
        (&good, "ns.example.org A +noedns", ("NOERROR", "NOERROR", true)),
        // An alias that leads out of the zone: what it points to is asked of the whole server, and the answer waits for it.
        (&good, "out.example.org A", ("REFUSED", "NOERROR", true)),
        (&sha1, "ns.example.org TXT", ("NOERROR", "NOERROR", true)),
        (file, "ns.example.org TXT", ("NOERROR", "NOERROR", true)),
        ("", "ns.example.org A", ("NOERROR", "-", true)),
        ("", "ns.example.org TXT", ("REFUSED", "-", true)),
        (bad, "ns.example.org A", ("NOTAUTH", "BADSIG", false)),
        (bad, "ns.example.org TXT +tcp", ("NOTAUTH", "BADSIG", false)),
        (&nobody, "ns.example.org A", ("NOTAUTH", "BADKEY", false)),
        (&old, "ns.example.org A", ("NOTAUTH", "BADKEY", false)),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        // More than once: the same question from memory is signed all the same.
        for _ in 0..4 {
            let text = dig(&server, key, &words);
            assert_eq!(outcome(&text), (status.to_owned(), error.to_owned(), is_right), "{key} {words:?}\n{text}");
        }
    }
}

#[test]
fn an_answer_that_does_not_fit_is_cut_and_signed() {
    let server = primary();
    let good = format!("hmac-sha256:key.test:{SECRET}");
    for _ in 0..3 {
        let text = dig(&server, &good, &["long.example.org", "TXT", "+noedns", "+ignore"]);
        assert_eq!(outcome(&text), ("NOERROR".to_owned(), "NOERROR".to_owned(), true), "{text}");
        assert!(text.contains("flags: qr aa tc"), "{text}");
    }
    let whole = dig(&server, &good, &["long.example.org", "TXT", "+noedns"]);
    assert!(outcome(&whole).2 && whole.contains("(TCP)") && whole.contains("ANSWER: 1"), "{whole}");
}

#[test]
fn zones_are_for_those_who_have_the_secret() {
    let server = primary();
    let good = format!("hmac-sha256:key.test:{SECRET}");
    let text = dig(&server, &good, &["example.org", "AXFR"]);
    assert!(outcome(&text).2, "{text}");
    assert!(text.contains("XFR size: 20007 records"), "{}", &text[text.len() - 500..]);
    // More messages than one, each with its signature, which dig shows.
    assert!(text.matches("\tTSIG\t").count() > 1);
    for key in ["", "hmac-sha256:key.test:c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"] {
        let text = dig(&server, key, &["example.org", "AXFR"]);
        assert!(text.contains("Transfer failed"), "{key}\n{text}");
    }
}

#[test]
fn a_secondary_asks_with_a_signature() {
    let primary = primary();
    let secondary = |secret: &str, name: &str| {
        launch(&format!(
            "tsig {{\n secret {name} {secret}\n}}\nsecondary {{\n transfer from 127.0.0.1:{}\n tsig {name}\n}}",
            primary.port
        ))
    };
    let server = secondary(SECRET, "key.test");
    let found = (0..100).any(|_| {
        pause(50);
        server.ask("ns.example.org. A").status == "NOERROR"
    });
    assert!(found, "{}", server.log());
    for (secret, name) in [(SECRET, "nobody.test"), ("c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0", "key.test")] {
        let server = secondary(secret, name);
        let said = (0..100).any(|_| {
            pause(50);
            server.log().contains("it answers NOTAUTH")
        });
        assert!(said, "{}", server.log());
        assert_eq!(server.ask("ns.example.org. A").status, "SERVFAIL");
    }
}
