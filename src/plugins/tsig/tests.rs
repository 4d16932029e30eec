use std::{sync::Arc, time::Instant};

use super::*;
use crate::{
    chain::{Chain, Outcome, Transport},
    metrics::Registry,
    tsig::{Algorithm, Identity},
    wire::{Flags, Name, Query, Question, encode_query},
};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn keys() -> Keyring {
    let mut keys = Keyring::default();
    keys.add(name("key.test."), b"0123456789abcdef".as_slice().into()).unwrap();
    keys
}

fn plugin() -> Tsig {
    let zones = ZoneSet::new(vec![name("example.org.")]);
    Tsig { zones, keys: keys(), types: Required::These(vec![RecordType::TXT]), opcodes: Required::These(vec![]) }
}

/// Somebody who answers everything.
struct Answers;

impl Plugin for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn query(&self, _: &mut Context, _: Rest<'_>) -> Step {
        Response::answer([]).into()
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }
}

/// A query, signed by a key or not, and who signs it.
fn asked(question: &str, key: Option<&str>) -> Context {
    let (owner, kind) = question.split_once(' ').unwrap();
    let question = Question::new(name(owner), RecordType::from_mnemonic(kind).unwrap());
    let mut out = vec![0; 512];
    let mut length = encode_query(7, Flags(0), &question, None, &mut out);
    if let Some(secret) = key {
        let mut other = Keyring::default();
        other.add(name("key.test."), secret.as_bytes().into()).unwrap();
        let asker = Identity::new(&other, name("key.test."), Algorithm::Sha256).unwrap();
        length = asker.begin().sign(&mut out, length, now());
    }
    let query = Query::parse(&out[..length]).unwrap();
    let peer = ([127, 0, 0, 1], 53).into();
    Context::new(query, peer, peer, Transport::Udp, Instant::now())
}

#[test]
fn who_gets_what_and_what_is_given_again() {
    let panics = Registry::new().counter("panics", "Panics.", &[]).with_label_values::<&str>(&[]);
    let chain = Arc::new(Chain::new(vec![Box::new(plugin()), Box::new(Answers)], panics, false));
    let good = Some("0123456789abcdef");
    // Question, secret, response code, whether the answer is signed, whether it may be given again.
    for (question, secret, rcode, is_signed, is_again) in [
        ("a.example.org. A", None, Rcode::NOERROR, false, true),
        ("a.example.org. TXT", None, Rcode::REFUSED, false, true),
        ("a.example.org. TXT", good, Rcode::NOERROR, true, false),
        ("a.example.org. A", good, Rcode::NOERROR, true, false),
        ("a.example.org. A", Some("another"), Rcode::NOTAUTH, true, false),
        // Not one of the zones.
        ("a.example.net. TXT", None, Rcode::NOERROR, false, true),
        ("a.example.net. TXT", Some("another"), Rcode::NOERROR, false, false),
    ] {
        let mut cx = asked(question, secret);
        let Outcome::Answered(response) = chain.walk(&mut cx) else { panic!("{question}") };
        assert_eq!(response.rcode, rcode, "{question} {secret:?}");
        assert_eq!((cx.seal().is_some(), cx.query.room > 0), (is_signed, is_signed), "{question} {secret:?}");
        let sent = Sent { response: &response, size: 0, flags: Flags(0), now: Instant::now() };
        assert_eq!(chain.again(&cx, &sent).is_some(), is_again, "{question} {secret:?}");
    }
}
