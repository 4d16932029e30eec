use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::job::{Job, KeySource};
use crate::{
    wire::{Name, RecordType},
    zone::{self, Zone},
};

const ZONE: &str = "$TTL 60\n@ SOA ns host 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nA.deep.tree TXT x\n*.w TXT y\n\
                    sub NS ns.sub\nsub A 192.0.2.8\nns.sub A 192.0.2.9\nsafe NS ns\nsafe DS 1 13 2 00FF\nd DNAME example.net.\n\
                    x.d TXT occluded\n@ RRSIG A 13 2 60 20270101000000 20261201000000 1 example.org. AAAA\n";

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("seamark-sign-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("db"), ZONE).unwrap();
    folder
}

fn origin() -> Name {
    Name::parse("example.org.").unwrap()
}

fn job(folder: &Path, keys: &[&str]) -> Job {
    let file = |name: &&str| KeySource::File(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name));
    let keys = KeySource::read_all(keys.iter().map(file), &origin()).unwrap();
    Job::new(origin(), folder.join("db"), keys, folder)
}

fn signed(folder: &Path) -> Option<Arc<Zone>> {
    zone::read(&folder.join("db.example.org.signed"), origin()).ok().map(Arc::new)
}

/// Puts the time of a file into the past or the future.
fn touch(file: &Path, seconds: i64) {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { SystemTime::now() - by } else { SystemTime::now() + by };
    fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

#[test]
fn what_is_signed_and_what_is_denied() {
    let folder = folder("all");
    job(&folder, &["Kexample.org.+013+57613", "Kexample.org.+015+25537"]).look();
    let zone = signed(&folder).unwrap();
    assert!(zone.soa().serial > 1_700_000_000);
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for record in zone.records() {
        let owner = record.owner.resolve(&Name::root()).to_string();
        let text = match &record.data {
            crate::wire::RData::Other(RecordType::RRSIG, data) => {
                format!("+{}", RecordType(crate::wire::octets_of_short([data[0], data[1]])))
            }
            other => other.record_type().to_string(),
        };
        match found.last_mut().filter(|(last, _)| *last == owner) {
            Some((_, types)) => types.push(text),
            None => found.push((owner, vec![text])),
        }
    }
    let mut table = String::new();
    for (owner, mut types) in found {
        types.sort();
        table += &format!("{owner} {}\n", types.join(" "));
    }
    // Two keys: two signatures over each set. Nothing but DS and NSEC is signed at a cut, nothing at all below.
    assert_eq!(
        table,
        "example.org. +CDNSKEY +CDNSKEY +CDS +CDS +DNSKEY +DNSKEY +NS +NS +NSEC +NSEC +SOA +SOA CDNSKEY CDNSKEY CDS CDS \
         DNSKEY DNSKEY NS NSEC SOA\n\
         d.example.org. +DNAME +DNAME +NSEC +NSEC DNAME NSEC\n\
         x.d.example.org. TXT\n\
         ns.example.org. +A +A +NSEC +NSEC A NSEC\n\
         safe.example.org. +DS +DS +NSEC +NSEC DS NS NSEC\n\
         sub.example.org. +NSEC +NSEC A NS NSEC\n\
         ns.sub.example.org. A\n\
         a.deep.tree.example.org. +NSEC +NSEC +TXT +TXT NSEC TXT\n\
         *.w.example.org. +NSEC +NSEC +TXT +TXT NSEC TXT\n"
    );
    let text = fs::read_to_string(folder.join("db.example.org.signed")).unwrap();
    let chain: Vec<String> = text
        .lines()
        .filter(|line| line.contains("\tNSEC\t"))
        .map(|line| line.split('\t').nth(4).unwrap().to_owned())
        .collect();
    assert_eq!(
        chain,
        [
            "d.example.org. NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY",
            "ns.example.org. DNAME RRSIG NSEC",
            "safe.example.org. A RRSIG NSEC",
            "sub.example.org. NS DS RRSIG NSEC",
            "a.deep.tree.example.org. NS RRSIG NSEC",
            "*.w.example.org. TXT RRSIG NSEC",
            "example.org. TXT RRSIG NSEC",
        ]
    );
    assert!(text.contains("example.org.\t5\tIN\tNSEC\t"), "the TTL of denials is the SOA's MINIMUM");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn when_a_zone_is_signed_anew() {
    let folder = folder("when");
    let (source, file) = (folder.join("db"), folder.join("db.example.org.signed"));
    let keys = ["Kexample.org.+013+57613"];
    let text = || fs::read_to_string(&file).unwrap_or_default();
    touch(&source, -100);
    let mut first = job(&folder, &keys);
    first.look();
    let made = text();
    assert!(!made.is_empty(), "there was none");
    first.look();
    assert_eq!(text(), made, "nothing has changed");
    job(&folder, &keys).look();
    assert_eq!(text(), made, "another start finds it good");
    touch(&source, -50);
    first.look();
    assert_ne!(text(), made, "the zone file was written");
    let made = text();
    touch(&source, 50);
    job(&folder, &keys).look();
    assert_ne!(text(), made, "the zone file was written while nobody looked");
    touch(&source, -50);
    let made = text();
    job(&folder, &["Kexample.org.+015+25537"]).look();
    assert_ne!(text(), made, "another key");
    // A wrong source leaves what is there.
    let made = text();
    fs::write(&source, "@ SOA").unwrap();
    first.look();
    assert_eq!(text(), made);
    fs::write(&source, ZONE).unwrap();
    first.look();
    assert_ne!(text(), made, "and is signed when it is right again");
    // Signatures of long ago, and some of the future.
    for (inception, expiration) in [("20200101000000", "20200201000000"), ("20900101000000", "20910101000000")] {
        touch(&source, -100);
        let mut old = String::new();
        for line in text().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            old += &if line.contains("\tRRSIG\tSOA ") {
                [&words[..4], &[expiration, inception], &words[6..]].concat().join(" ")
            } else {
                line.to_owned()
            };
            old.push('\n');
        }
        assert_ne!(old, text());
        fs::write(&file, &old).unwrap();
        job(&folder, &keys).look();
        assert_ne!(text(), old, "from {inception}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn keys_of_a_directory() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/keys");
    let read = |origin: &str| {
        let sources = [KeySource::Directory(directory.clone())].into_iter();
        KeySource::read_all(sources, &Name::parse(origin).unwrap())
    };
    assert_eq!(read("Example.org.").unwrap().iter().map(crate::dnssec::SigningKey::tag).collect::<Vec<_>>(), [13485]);
    assert_eq!(read("org.").unwrap_err().0, "no keys for zone org.");
    let zone_key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/Kexample.org.+013+39812");
    let wrong = KeySource::read_all([KeySource::File(zone_key)].into_iter(), &origin()).unwrap_err().0;
    assert!(wrong.ends_with("39812: not a key-signing key (dnssec-keygen -f KSK)"), "{wrong}");
}
