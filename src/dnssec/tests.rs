use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature as verify;

use super::{files::private_key, *};
use crate::{
    wire::{Class, Name, RecordType},
    zone::text,
};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn set(records: &[&str]) -> RecordSet {
    let mut records = records.iter().map(|text| text::record(text).unwrap().unwrap());
    let first = records.next().unwrap();
    let data = std::iter::once(&first).cloned().chain(records).map(|record| record.data.to_wire());
    RecordSet {
        owner: first.owner.resolve(&Name::root()),
        class: Class::IN,
        record_type: first.data.record_type(),
        ttl: first.ttl,
        data: data.collect(),
    }
    .canonical()
}

fn key(file: &str) -> SigningKey {
    read_key(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(file)).unwrap()
}

/// RFC 8080 section 6.1: this algorithm signs alike each time.
#[test]
fn the_example_of_rfc_8080() {
    let secret = private_key(
        "Private-key-format: v1.2\nAlgorithm: 15 (ED25519)\nPrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\n",
    )
    .unwrap();
    let public = "example.com. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=";
    let (owner, ttl, data) = files::public_key(public).unwrap();
    let key = SigningKey::new(owner, ttl, &data, &secret).unwrap();
    assert_eq!((key.tag(), key.algorithm(), key.is_entry()), (3613, 15, true));
    let delegation = key.delegation(&owner);
    assert_eq!(delegation[..4], [14, 29, 15, 2]);
    let digest: String = delegation[4..].iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(digest, "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b");
    let validity = Validity { inception: 1_438_207_200, expiration: 1_440_021_600 };
    let signature = sign(&set(&["example.com. 3600 MX 10 mail.EXAMPLE.com."]), &owner, &key, validity).unwrap();
    assert_eq!(
        STANDARD.encode(&signature[signature.len() - 64..]),
        "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg=="
    );
}

/// Keys that `dnssec-keygen` made; its tags stand in their names.
#[test]
fn each_algorithm_signs_what_its_public_key_verifies() {
    for (file, algorithm, tag) in [
        ("Kexample.org.+008+35825", 8, 35825),
        ("Kexample.org.+010+01056.key", 10, 1056),
        ("Kexample.org.+013+57613.private", 13, 57613),
        ("Kexample.org.+014+34831", 14, 34831),
        ("Kexample.org.+015+25537", 15, 25537),
    ] {
        let key = key(file);
        assert_eq!((key.algorithm(), key.tag(), key.owner()), (algorithm, tag, &name("example.org.")), "{file}");
        let set = set(&["a.example.org. 300 A 192.0.2.2", "a.example.org. 300 A 192.0.2.1"]);
        let data = sign(&set, key.owner(), &key, Validity { inception: 5, expiration: 9 }).unwrap();
        let (head, signature) = data.split_at(18 + key.owner().wire().len());
        let message = [head, &set.octets()].concat();
        let public = &key.data()[4..];
        let point = [&[4], public].concat();
        let result = match algorithm {
            8 | 10 => {
                assert_eq!(public[0], 3, "an exponent of three octets");
                let parts = verify::RsaPublicKeyComponents { n: &public[4..], e: &public[1..4] };
                let kind = if algorithm == 8 {
                    &verify::RSA_PKCS1_2048_8192_SHA256
                } else {
                    &verify::RSA_PKCS1_2048_8192_SHA512
                };
                parts.verify(kind, &message, signature)
            }
            13 => verify::UnparsedPublicKey::new(&verify::ECDSA_P256_SHA256_FIXED, &point).verify(&message, signature),
            14 => verify::UnparsedPublicKey::new(&verify::ECDSA_P384_SHA384_FIXED, &point).verify(&message, signature),
            _ => verify::UnparsedPublicKey::new(&verify::ED25519, public).verify(&message, signature),
        };
        assert!(result.is_ok(), "{file}");
    }
}

#[test]
fn what_is_no_key() {
    let good = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/Kexample.org.+013+57613.private"),
    )
    .unwrap();
    let other = key("Kexample.org.+013+39812");
    let made = |text: &str, data: &[u8]| SigningKey::new(*other.owner(), 0, data, &private_key(text)?).map(|_| ());
    let data = key("Kexample.org.+013+57613").data().to_vec();
    assert_eq!(made(&good, &data), Ok(()));
    let unused = [&[0, 0], &data[2..]].concat();
    let sha1 = [&data[..3], &[5], &data[4..]].concat();
    for (text, data, error) in [
        (good.clone(), other.data().to_vec(), "the secret does not fit the public key (InconsistentComponents)"),
        (good.clone(), unused, "it is no key of a zone"),
        (good.clone(), sha1.clone(), "algorithm 13, and the public key has 5"),
        (
            good.replace("13 (", "5 ("),
            sha1,
            "algorithm 5 is not there; RSASHA256 (8), RSASHA512 (10), ECDSAP256SHA256 (13), ECDSAP384SHA384 (14) and ED25519 \
             (15) are",
        ),
        (good.replace("v1.3", "v2.0"), data.clone(), "format `v2.0` of private keys is not known"),
        (String::new(), data.clone(), "no `Private-key-format`"),
        (good.clone(), data[..2].to_vec(), "the public key is cut off"),
    ] {
        assert_eq!(made(&text, &data).unwrap_err(), error);
    }
    assert_eq!(files::public_key("a. A 192.0.2.1").unwrap_err(), "a record of type A in the place of DNSKEY");
    assert_eq!(files::public_key("; nothing").unwrap_err(), "no DNSKEY record");
    assert!(read_key(Path::new("/nowhere/K")).unwrap_err().to_string().starts_with("/nowhere/K.key: No such file"));
}

#[test]
fn sets_are_signed_in_canonical_form() {
    // Names of data in small letters, in the order of their octets, none twice.
    let mail = set(&["A.test. 60 MX 20 B.test.", "a.TEST. 60 MX 10 C.test.", "a.test. 60 MX 20 b.TEST."]);
    assert_eq!(mail.owner.wire(), b"\x01a\x04test\0");
    assert_eq!(mail.data, [b"\0\x0a\x01c\x04test\0".to_vec(), b"\0\x14\x01b\x04test\0".to_vec()]);
    let soa = set(&["a.test. 60 SOA Ns.test. Host.test. 65 66 67 68 69"]);
    assert!(soa.data[0].starts_with(b"\x02ns\x04test\0\x04host\x04test\0\0\0\0A\0\0\0B"), "numbers are no letters");
    let naptr = set(&["a.test. 60 NAPTR 1 2 \"U\" \"SIP\" \"!X!\" Y.test."]);
    assert!(naptr.data[0].ends_with(b"\x01U\x03SIP\x03!X!\x01y\x04test\0"), "texts keep their letters");
    let text = set(&["a.test. 60 TXT ABC"]);
    assert_eq!(text.data[0], b"\x03ABC");
    for (owner, labels) in [(".", 0), ("a.test.", 2), ("*.a.test.", 2), ("x.*.test.", 3)] {
        assert_eq!(RecordSet { owner: name(owner), ..text.clone() }.labels(), labels, "{owner}");
    }
    let other = RecordSet { ttl: 61, ..text.clone() };
    assert_ne!(text.fingerprint(&name("test.")), other.fingerprint(&name("test.")));
    assert_ne!(text.fingerprint(&name("test.")), text.fingerprint(&name("a.test.")));
    assert_eq!(text.fingerprint(&name("test.")), text.fingerprint(&name("TEST.")));
}

#[test]
fn a_denial_reaches_no_further_than_its_name() {
    assert_eq!(after(&name("a.test.")), name("\\000.a.test."));
    assert_eq!(after(&Name::root()), name("\\000."));
    let label = "a".repeat(63);
    let longest = name(&format!("{label}.{label}.{label}.{}.", "b".repeat(61)));
    assert_eq!(longest.wire().len(), 255);
    assert_eq!(after(&longest).labels().next().unwrap(), format!("{}b", "a".repeat(62)).as_bytes());
    let data = nsec(&name("b."), &mut [RecordType::NSEC, RecordType::A, RecordType::CAA]);
    assert_eq!(data, b"\x01b\0\0\x06\x40\0\0\0\0\x01\x01\x01\x40");
}
