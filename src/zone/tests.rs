use std::path::Path;

use super::{text::*, *};
use crate::wire::{Name, Question, Record, RecordType};

const ZONE: &str = "
$TTL 300
@ SOA ns host 1 2 3 4 5
@ NS ns
@ NS ns2.other.test.
ns A 192.0.2.1
mail A 192.0.2.2
*.wild A 192.0.2.3
sub.wild MX 10 mail
x.ent A 192.0.2.4
alias CNAME mail
far CNAME www.other.test.
dangling CNAME nowhere
ring-a CNAME ring-b
ring-b CNAME ring-a
self CNAME self
cut NS ns.cut
cut NS ns
ns.cut A 192.0.2.5
down CNAME www.cut
dn DNAME wild
srv SRV 1 2 3 mail
star.*.inner A 192.0.2.6
";

fn zone(text: &str) -> Result<Zone, String> {
    let limits = Limits { records: 1000, default_ttl: None, include: None };
    let mut records = Vec::new();
    let mut take = |record| {
        records.push(record);
        Ok(())
    };
    let origin = Name::parse("z.test.").unwrap();
    MasterFile::new(Path::new("z"), origin, &limits)
        .read(text.as_bytes(), &mut take)
        .map_err(|error| error.to_string())?;
    Zone::of_records(origin, records).map_err(|error| error.to_string())
}

fn ask(zone: &Zone, text: &str, dnssec: bool) -> String {
    let (name, kind) = text.split_once(' ').unwrap();
    let question = Question::new(Name::parse(name).unwrap(), RecordType::from_mnemonic(kind).unwrap());
    let found = zone.lookup(&question, dnssec);
    let list = |records: &[Record]| {
        let short = |record: &Record| {
            let owner = record.owner.resolve(&question.name).to_string().to_lowercase();
            let owner =
                owner.strip_suffix("z.test.").map(|rest| rest.trim_end_matches('.').to_owned()).unwrap_or(owner);
            format!("{}/{}", if owner.is_empty() { "@" } else { &owner }, record.data.record_type())
        };
        records.iter().map(short).collect::<Vec<_>>().join(" ")
    };
    let parts = [list(&found.answer), list(&found.authority), list(&found.additional)];
    format!(
        "{} | {}",
        match found.outcome {
            Outcome::Elsewhere(name) => format!("elsewhere {name}"),
            other => format!("{other:?}"),
        },
        parts.join(" | ")
    )
}

/// Question → what it amounts to, then owner and type of the records of the three sections.
#[test]
fn questions_for_a_zone() {
    let zone = zone(ZONE).unwrap();
    for (question, expected) in [
        ("z.test SOA", "Data | @/SOA | @/NS @/NS | "),
        ("Z.Test NS", "Data | @/NS @/NS |  | ns/A"),
        ("mail.z.test A", "Data | mail/A | @/NS @/NS | "),
        ("mail.z.test AAAA", "NoData |  | @/SOA | "),
        ("mail.z.test ANY", "NoData |  | @/SOA | "),
        ("no.z.test A", "NoName |  | @/SOA | "),
        ("a.b.wild.z.test A", "Data | a.b.wild/A | @/NS @/NS | "),
        ("a.wild.z.test MX", "NoData |  | @/SOA | "),
        // The closest encloser is sub.wild, below which there is no wildcard.
        ("a.sub.wild.z.test A", "NoName |  | @/SOA | "),
        ("wild.z.test A", "Empty |  | @/SOA | "),
        ("a.inner.z.test A", "Empty |  | @/SOA | "),
        ("y.ent.z.test A", "NoName |  | @/SOA | "),
        ("alias.z.test A", "Data | alias/CNAME mail/A | @/NS @/NS | "),
        ("alias.z.test TXT", "NoData | alias/CNAME | @/SOA | "),
        ("alias.z.test CNAME", "Data | alias/CNAME | @/NS @/NS | "),
        ("far.z.test A", "elsewhere www.other.test. | far/CNAME |  | "),
        ("dangling.z.test A", "NoName | dangling/CNAME | @/SOA | "),
        ("ring-a.z.test A", "Data | ring-a/CNAME ring-b/CNAME | @/NS @/NS | "),
        ("self.z.test A", "Failure(SERVFAIL) | self/CNAME |  | "),
        ("www.cut.z.test A", "Referral |  | cut/NS cut/NS | ns.cut/A"),
        ("cut.z.test NS", "Referral |  | cut/NS cut/NS | ns.cut/A"),
        ("cut.z.test DS", "NoData |  | @/SOA | "),
        ("down.z.test A", "Referral | down/CNAME | cut/NS cut/NS | ns.cut/A"),
        ("dn.z.test A", "NoData |  | @/SOA | "),
        ("a.dn.z.test A", "Data | dn/DNAME a.dn/CNAME a.wild/A | @/NS @/NS | "),
        ("srv.z.test SRV", "Data | srv/SRV | @/NS @/NS | mail/A"),
    ] {
        assert_eq!(ask(&zone, question, false), expected, "{question}");
    }
}

#[test]
fn denials_with_proofs() {
    let signed = "
$TTL 300
@ SOA ns host 1 2 3 4 5
@ RRSIG SOA 8 2 300 20300101000000 20200101000000 1 z.test. AAAA
@ NS ns
@ RRSIG NS 8 2 300 20300101000000 20200101000000 1 z.test. AAAA
@ NSEC *.b NS SOA RRSIG NSEC
*.b A 192.0.2.1
*.b RRSIG A 8 3 300 20300101000000 20200101000000 1 z.test. AAAA
*.b NSEC cut A RRSIG NSEC
cut NS ns.cut
cut NSEC ns NS RRSIG NSEC
ns.cut A 192.0.2.2
ns A 192.0.2.3
ns NSEC @ A RRSIG NSEC
";
    let zone = zone(signed).unwrap();
    for (question, expected) in [
        ("z.test SOA", "Data | @/SOA @/RRSIG | @/NS @/NS... | "),
        ("a.b.z.test A", "Data | a.b/A a.b/RRSIG | *.b/NSEC @/NS @/RRSIG | "),
        ("a.b.z.test TXT", "NoData |  | @/SOA @/RRSIG *.b/NSEC | "),
        ("ns.z.test TXT", "NoData |  | @/SOA @/RRSIG ns/NSEC | "),
        ("d.z.test A", "NoName |  | @/SOA @/RRSIG cut/NSEC @/NSEC | "),
        ("x.cut.z.test A", "Referral |  | cut/NS cut/NSEC | ns.cut/A"),
    ] {
        let expected = expected.replace("@/NS @/NS...", "@/NS @/RRSIG");
        assert_eq!(ask(&zone, question, true), expected, "{question}");
    }
    assert_eq!(ask(&zone, "ns.z.test TXT", false), "NoData |  | @/SOA | ");
}

#[test]
fn what_is_no_zone() {
    for (text, error) in [
        ("a 5 A 1.2.3.4", "no SOA record for z.test."),
        ("a 5 SOA n h 1 2 3 4 5", "z:1:1: an SOA record for a.z.test., which is not the zone z.test."),
        ("@ 5 SOA n h 1 2 3 4 5\n@ 5 SOA n h 2 2 3 4 5", "more than one SOA record for z.test."),
        ("@ 5 CH SOA n h 1 2 3 4 5", "a record of class CH; zones are of class IN"),
    ] {
        let found = zone(text).unwrap_err();
        assert!(error.ends_with(&found), "{text}: {found}");
    }
}

#[test]
fn all_records_in_canonical_order() {
    let zone = zone("b 5 A 1.2.3.4\n@ 5 SOA n h 1 2 3 4 5\nA.b 5 A 1.2.3.4\na 5 A 1.2.3.4\nx.other. 5 A 1.2.3.4\n@ 5 NS n\n\\000.b 5 A 1.2.3.4").map(std::sync::Arc::new).unwrap();
    let owners: Vec<String> = zone
        .records()
        .map(|record| format!("{} {}", record.owner.resolve(&Name::root()), record.data.record_type()))
        .collect();
    assert_eq!(
        owners,
        ["z.test. SOA", "z.test. NS", "a.z.test. A", "b.z.test. A", "\\000.b.z.test. A", "a.b.z.test. A"]
    );
    assert_eq!((zone.len(), zone.strays()), (6, 1));
}
