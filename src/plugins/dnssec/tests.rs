use std::{path::Path, sync::Arc};

use super::{metrics::Metrics, signer::Signer};
use crate::{
    chain::ZoneSet,
    dnssec::{RecordSet, Validity, read_key},
    metrics::Registry,
    wire::{Class, Name, RecordType},
};

const DAY: u32 = 24 * 3600;
/// Some moment, seconds since 1970.
const NOW: u32 = 1_800_000_000;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn set(owner: &str) -> RecordSet {
    let data = vec![vec![192, 0, 2, 1]];
    RecordSet { owner: name(owner), class: Class::IN, record_type: RecordType::A, ttl: 60, data }
}

fn signer(capacity: usize) -> (Arc<Signer>, Metrics) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/Kexample.org.+013+57613");
    let zones = ZoneSet::new(vec![name("example.org.")]);
    let signer = Arc::new(Signer::new(zones, vec![read_key(&file).unwrap()], capacity));
    let metrics = Metrics::register(&Registry::new(), "dns://:53", &signer);
    (signer, metrics)
}

#[test]
fn signatures_are_kept_until_two_days_before_their_end() {
    let (signer, metrics) = signer(100);
    let zone = name("example.org.");
    let mut last = None;
    for (what, owner, now, is_new) in [
        ("the first time", "a.example.org.", NOW, true),
        ("at once", "a.example.org.", NOW, false),
        ("in other letters", "A.Example.ORG.", NOW + 60, false),
        ("when more than two days are left", "a.example.org.", NOW + 6 * DAY - 1, false),
        ("when two days are left", "a.example.org.", NOW + 6 * DAY, true),
        ("when the clock has gone back by a day", "a.example.org.", NOW + 5 * DAY, true),
    ] {
        let made = signer.signatures(set(owner), &zone, now, &metrics);
        assert_eq!(last.as_ref() != Some(&made), is_new, "{what}");
        let validity = Validity::of_signature(&made[0]).unwrap();
        assert!(validity.inception < now && validity.expiration > now + 2 * DAY, "{what}");
        last = Some(made);
    }
}

#[test]
fn no_more_signatures_are_kept_than_there_is_room_for() {
    let (signer, metrics) = signer(20);
    for number in 0..200 {
        signer.signatures(set(&format!("n{number}.example.org.")), &name("example.org."), NOW, &metrics);
    }
    assert!(signer.kept() <= 20, "{}", signer.kept());
}
