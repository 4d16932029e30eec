use super::*;
use crate::wire::{
    Flags, Name, Query, Question, RecordType, Reject, Response, SignedMessage, Tsig, encode, encode_query,
};

const NOW: u64 = 1_800_000_000;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn keys() -> Keyring {
    let mut keys = Keyring::default();
    keys.add(name("key.test."), b"0123456789abcdef0123456789abcdef".as_slice().into()).unwrap();
    keys
}

/// A query for www.example.org A, signed at `NOW`.
fn signed(algorithm: Algorithm) -> (Vec<u8>, Conversation) {
    let mut out = vec![0; 512];
    let question = Question::new(name("www.example.org."), RecordType::A);
    let length = encode_query(7, Flags(Flags::RD), &question, None, &mut out);
    let mut asker = Identity::new(&keys(), name("KEY.test."), algorithm).unwrap().begin();
    let length = asker.sign(&mut out, length, NOW);
    out.truncate(length);
    (out, asker)
}

fn taken(message: &[u8]) -> SignedMessage {
    *Query::parse(message).unwrap().signed.unwrap()
}

#[test]
fn what_is_signed_is_believed_and_answered_with_a_signature() {
    for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
        let (message, mut asker) = signed(algorithm);
        let mut query = Query::parse(&message).unwrap();
        let seal = keys().verify(query.signed.as_ref().unwrap(), NOW + 300).unwrap();
        assert_eq!(seal.proven_key(), Some(&name("key.test.")));
        query.room = seal.room();
        let (mut out, mut before) = (vec![0; 512], Vec::new());
        // Three messages, as of a zone transfer: each is signed together with the signature of the one before.
        for number in 0..3 {
            let length = encode(&query, &Response::answer([]), 512, &mut out);
            let end = seal.apply(&mut out, length, NOW + number, &mut before);
            assert_eq!(end, length + usize::from(seal.room()));
            assert_eq!(asker.accept(&out[..end], NOW), Some(true), "{algorithm:?} {number}");
        }
        // The same once more is none of this answer's messages.
        assert_eq!(asker.accept(&out, NOW), None);
    }
}

#[test]
fn what_is_wrong_with_a_signature() {
    type Change = fn(&mut SignedMessage);
    let table: [(&str, Change, u64, u16); 11] = [
        ("nothing", |_| {}, 0, 0),
        ("the clocks are five minutes apart", |_| {}, 300, 0),
        ("a second more", |_| {}, 301, Tsig::BADTIME),
        ("another key", |query| query.tsig.key = name("other.test."), 0, Tsig::BADKEY),
        ("an algorithm of old", |query| query.tsig.algorithm = name("hmac-md5.sig-alg.reg.int."), 0, Tsig::BADKEY),
        ("another algorithm", |query| query.tsig.algorithm = name("hmac-sha1."), 0, Tsig::BADSIG),
        ("another message", |query| query.bytes[13] ^= 1, 0, Tsig::BADSIG),
        ("another time", |query| query.tsig.time += 1, 0, Tsig::BADSIG),
        ("another signature", |query| query.tsig.mac[31] ^= 1, 0, Tsig::BADSIG),
        ("another signature, too late", |query| query.tsig.mac[31] ^= 1, 900, Tsig::BADSIG),
        ("a shortened signature", |query| query.tsig.mac = query.tsig.mac[..16].into(), 0, Tsig::BADTRUNC),
    ];
    for (what, change, later, error) in table {
        let mut query = taken(&signed(Algorithm::Sha256).0);
        change(&mut query);
        // The algorithm of 20 octets has no signature of 32.
        if what == "another algorithm" {
            query.tsig.mac = query.tsig.mac[..20].into();
        }
        let found = match keys().verify(&query, NOW + later) {
            Ok(seal) => seal,
            Err(Refusal::NotAuthentic(seal)) => seal,
            Err(Refusal::Malformed) => panic!("{what}"),
        };
        assert_eq!(found.error(), error, "{what}");
        assert_eq!(found.proven_key().is_some(), error == 0, "{what}");
    }
    for length in [0, 9, 15, 33] {
        let mut query = taken(&signed(Algorithm::Sha256).0);
        query.tsig.mac = vec![0; length].into();
        assert!(matches!(keys().verify(&query, NOW), Err(Refusal::Malformed)), "{length} octets");
    }
}

#[test]
fn what_the_answer_to_a_wrong_signature_says() {
    let (message, _) = signed(Algorithm::Sha256);
    let plain = Query::parse(&message).unwrap();
    let answer = |keys: &Keyring, now| {
        let Err(Refusal::NotAuthentic(seal)) = keys.verify(plain.signed.as_ref().unwrap(), now) else { panic!() };
        let mut out = vec![0; 512];
        let length = encode(&plain, &Response::new(crate::wire::Rcode::NOTAUTH), 512, &mut out);
        let length = seal.apply(&mut out, length, now, &mut Vec::new());
        SignedMessage::parse(&out[..length]).unwrap().unwrap().tsig
    };
    let unknown = answer(&Keyring::default(), NOW);
    assert_eq!((unknown.error, unknown.mac.len(), unknown.time), (Tsig::BADKEY, 0, NOW), "not signed");
    let late = answer(&keys(), NOW + 1000);
    assert_eq!((late.error, late.mac.len(), late.time), (Tsig::BADTIME, 32, NOW), "signed, with the time of the asker");
    assert_eq!(*late.other, crate::wire::six_octets(NOW + 1000), "and that of the server");
}

#[test]
fn a_signature_stands_last() {
    let (message, _) = signed(Algorithm::Sha256);
    assert_eq!(taken(&message).bytes.len(), 33, "the message as it was before");
    // An empty record of type A and of the root behind it.
    let mut longer = [message.as_slice(), &[0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    longer[11] = 2;
    assert!(matches!(Query::parse(&longer), Err(Reject::Reply(reply)) if reply.rcode == crate::wire::Rcode::FORMERR));
    assert!(SignedMessage::parse(&longer).is_err());
    assert!(SignedMessage::parse(&taken(&message).bytes).unwrap().is_none());
    for length in 34..message.len() {
        assert!(Query::parse(&message[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn messages_between_signed_ones_are_believed_with_the_next() {
    let (message, mut asker) = signed(Algorithm::Sha256);
    let query = taken(&message);
    let seal = keys().verify(&query, NOW).unwrap();
    let (mut out, mut before) = (vec![0; 512], Vec::new());
    let plain = query.bytes.to_vec();
    assert_eq!(asker.accept(&plain, NOW), None, "the first must bear a signature");
    out[..plain.len()].copy_from_slice(&plain);
    let end = seal.apply(&mut out, plain.len(), NOW, &mut before);
    assert_eq!(asker.accept(&out[..end], NOW), Some(true));
    assert_eq!(asker.accept(&plain, NOW), Some(false), "not yet");
    // The next one's signature is not over the one between.
    out[..plain.len()].copy_from_slice(&plain);
    let end = seal.apply(&mut out, plain.len(), NOW, &mut before);
    assert_eq!(asker.accept(&out[..end], NOW), None);
}

#[test]
fn a_file_of_keys() {
    let mut keys = Keyring::default();
    keys.add_file(
        "# by tsig-keygen\nkey \"a.test.\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n\
         /* another */ key b.test { secret c2VjcmV0 } // the end",
    )
    .unwrap();
    assert!(keys.has(&name("A.test.")) && keys.has(&name("b.test.")));
    for (text, error) in [
        ("zone x {};", "line 1: expected `key`, found something else"),
        ("key a {\n  secret \"%\";\n};", "line 2: expected a secret in base64, found something else"),
        ("key a {\n  secrets x;\n};", "line 2: expected `algorithm`, `secret` or `}`, found something else"),
        ("key a { algorithm hmac-sha256; };", "line 1: expected a `secret` before the end, found `}`"),
        ("key a { secret c2VjcmV0;", "ends where `secret` or `}` is expected"),
        ("key a { secret c2VjcmV0; }; key A. { secret c2VjcmV0; };", "key A. stands twice"),
    ] {
        assert_eq!(Keyring::default().add_file(text).unwrap_err().to_string(), error, "{text}");
    }
}
