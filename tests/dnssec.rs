//! Answers that are signed as they leave, with delv as the validator: it believes them from the key of the zone on.

use std::{fs, path::PathBuf, process::Command};

use crate::support::server::{Server, directory, free_port};

const ZONE: &str = "$TTL 60\n@ SOA ns host 7 2 3 4 5\n@ NS ns\n@ MX 10 Mail\nns A 192.0.2.1\nmail AAAA 2001:db8::1\n*.w TXT x\n\
                    alias CNAME ns\nnodata CNAME mail\nnowhere CNAME nothing\nout CNAME www.other.test.\n\
                    empty.below A 192.0.2.2\nmany A 192.0.2.3\nmany A 192.0.2.4\nsub NS ns.sub\nns.sub A 192.0.2.5\n\
                    safe NS ns.safe\nsafe DS 12345 13 2 \
                    0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF\nns.safe A 192.0.2.6\n";

fn key(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

fn serve(keys: &[&str], more: &str) -> Server {
    let folder = directory();
    fs::write(folder.join("db"), ZONE).expect("a zone");
    let keys: String = keys.iter().map(|name| format!(" key file {}\n", key(name).display())).collect();
    let corefile = format!("example.org:{{port}} {{\n{more}\n dnssec {{\n{keys} }}\n file db\n}}\n");
    let server = Server::launch(env!("CARGO_BIN_EXE_seamark").as_ref(), &corefile, folder, free_port());
    server.wait_until_it_answers();
    server
}

/// What delv says, with the keys that the zone's parent would vouch for.
fn delv(server: &Server, anchors: &[&str], words: &str) -> String {
    let mut text = String::from("trust-anchors {\n");
    for name in anchors {
        let record = fs::read_to_string(key(&format!("{name}.key"))).expect("a key");
        let words: Vec<&str> = record.lines().last().expect("a record").split_whitespace().collect();
        text +=
            &format!("example.org. static-key {} {} {} \"{}\";\n", words[3], words[4], words[5], words[6..].concat());
    }
    let file = server.directory.join("anchors");
    fs::write(&file, text + "};\n").expect("anchors");
    let output = Command::new("delv")
        .args(["@127.0.0.1", "-p", &server.port.to_string(), "-a"])
        .arg(&file)
        .arg("+root=example.org")
        .args(words.split(' '))
        .output()
        .expect("delv (Debian package bind9-dnsutils)");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Question, what delv makes of it, and a part of what it shows.
const TRUSTED: &[(&str, &str, &str)] = &[
    ("example.org SOA", "fully validated", "\tSOA\t"),
    ("example.org DNSKEY", "fully validated", "\tDNSKEY\t257"),
    ("NS.example.ORG A", "fully validated", "192.0.2.1"),
    ("example.org MX", "fully validated", "10 "),
    ("many.example.org A", "fully validated", "192.0.2.4"),
    ("this.w.example.org TXT", "fully validated", "\"x\""),
    ("alias.example.org A", "fully validated", "192.0.2.1"),
    ("ns.example.org TXT", "negative response, fully validated", "resolution failed: ncache nxrrset"),
    ("example.org TXT", "negative response, fully validated", "ncache nxrrset"),
    ("nothing.example.org A", "negative response, fully validated", "ncache nxrrset"),
    ("x.y.nothing.example.org AAAA", "negative response, fully validated", "ncache nxrrset"),
    ("below.example.org A", "negative response, fully validated", "ncache nxrrset"),
    ("nodata.example.org A", "; fully validated\nnodata", "\\-A\t;-$NXRRSET"),
    ("nowhere.example.org A", "; fully validated\nnowhere", "\\-A\t;-$NXRRSET"),
    ("sub.example.org DS", "negative response, fully validated", "ncache nxrrset"),
    ("safe.example.org DS", "fully validated", "12345 13 2"),
];

#[test]
fn a_validator_believes_what_is_signed() {
    for keys in [
        &["Kexample.org.+013+57613"][..],
        &["Kexample.org.+008+35825"],
        &["Kexample.org.+010+01056"],
        &["Kexample.org.+014+34831"],
        &["Kexample.org.+015+25537"],
        // One key for keys, one for all else.
        &["Kexample.org.+013+57613", "Kexample.org.+013+39812"],
    ] {
        let server = serve(keys, "cache");
        for (question, verdict, part) in TRUSTED {
            let text = delv(&server, &keys[..1], question);
            assert!(text.contains(verdict) && text.contains(part), "{keys:?} {question}\n{text}\n{}", server.log());
        }
        // Another key is not believed.
        let text = delv(&server, &["Kexample.org.+013+39812"], "ns.example.org A");
        assert!(text.contains("broken trust chain") || text.contains("no valid"), "{text}");
    }
}

#[test]
fn keys_and_all_else_are_signed_by_different_keys() {
    let tags = |server: &Server, question: &str| -> Vec<String> {
        let reply = server.ask(&format!("{question} +dnssec +tcp"));
        let signatures = reply.answer.iter().filter(|record| record.contains(" RRSIG "));
        signatures.map(|record| record.split(' ').nth(9).unwrap_or_default().to_owned()).collect()
    };
    let split = serve(&["Kexample.org.+013+57613", "Kexample.org.+013+39812"], "");
    assert_eq!(tags(&split, "example.org DNSKEY"), ["57613"]);
    assert_eq!(tags(&split, "ns.example.org A"), ["39812"]);
    // Without such a pair each key signs everything.
    let both = serve(&["Kexample.org.+013+57613", "Kexample.org.+015+25537"], "");
    assert_eq!(tags(&both, "example.org DNSKEY"), ["57613", "25537"]);
    assert_eq!(tags(&both, "ns.example.org A"), ["57613", "25537"]);
}

#[test]
fn only_those_who_want_signatures_get_them() {
    let server = serve(&["Kexample.org.+013+57613"], "");
    for question in ["ns.example.org A", "nothing.example.org A", "example.org SOA", "sub.example.org DS"] {
        let reply = server.ask(question);
        let all = [&reply.answer[..], &reply.authority, &reply.additional].concat();
        assert!(!all.iter().any(|record| record.contains("RRSIG") || record.contains("NSEC")), "{question} {all:?}");
    }
    assert_eq!(server.ask("nothing.example.org A").status, "NXDOMAIN");
    assert_eq!(server.ask("nothing.example.org A +dnssec").status, "NOERROR", "the name is there, the type is not");
    assert_eq!(server.ask("example.org DNSKEY").answer.len(), 1);
    // What is not ours is not signed, and glue is not.
    let reply = server.ask("x.sub.example.org A +dnssec +tcp");
    let of =
        |section: &[String], kind: &str| section.iter().filter(|record| record.split(' ').nth(2) == Some(kind)).count();
    assert_eq!(
        [of(&reply.authority, "NS"), of(&reply.authority, "NSEC"), of(&reply.authority, "RRSIG")],
        [1, 1, 1],
        "{reply:?}"
    );
    assert_eq!([of(&reply.additional, "A"), of(&reply.additional, "RRSIG")], [1, 0], "{reply:?}");
    let reply = server.ask("x.safe.example.org A +dnssec +tcp");
    assert_eq!(
        [of(&reply.authority, "NS"), of(&reply.authority, "DS"), of(&reply.authority, "RRSIG")],
        [1, 1, 1],
        "{reply:?}"
    );
    // A name that is no cut is not called one: whoever forges answers would say that it is unsigned from there on.
    let denial = |question: &str| -> Vec<String> {
        let reply = server.ask(&format!("{question} DS +dnssec +tcp"));
        let nsec = reply.authority.iter().find(|record| record.split(' ').nth(2) == Some("NSEC")).cloned();
        nsec.unwrap_or_default().split(' ').skip(4).map(str::to_owned).collect()
    };
    assert_eq!(denial("sub.example.org"), ["NS", "RRSIG", "NSEC"]);
    let plain = denial("ns.example.org");
    assert!(
        plain.contains(&"A".to_owned()) && !plain.contains(&"NS".to_owned()) && !plain.contains(&"DS".to_owned()),
        "{plain:?}"
    );
}

/// A zone that is signed into a file before it is served.
#[test]
fn a_validator_believes_a_zone_that_was_signed() {
    let keys = ["Kexample.org.+013+57613"];
    let folder = directory();
    fs::write(folder.join("db"), ZONE).expect("a zone");
    let corefile = format!(
        "example.org:{{port}} {{\n sign db {{\n key file {}\n directory .\n }}\n file db.example.org.signed\n}}\n",
        key(keys[0]).display()
    );
    let server = Server::launch(env!("CARGO_BIN_EXE_seamark").as_ref(), &corefile, folder, free_port());
    server.wait_until_it_answers();
    for (question, verdict, part) in TRUSTED {
        // Here names that are not there are said not to be there.
        let part = if ["nothing", "nowhere"].iter().any(|name| question.contains(name)) {
            &part.replace("nxrrset", "nxdomain").replace("NXRRSET", "NXDOMAIN").replace("\\-A", "\\-ANY")
        } else {
            *part
        };
        let text = delv(&server, &keys, question);
        assert!(text.contains(verdict) && text.contains(part), "{question}\n{text}\n{}", server.log());
    }
}
