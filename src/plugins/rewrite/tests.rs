use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use super::*;
use crate::{
    chain::{Chain, Labels, Outcome, Transport},
    corefile,
    metrics::Registry,
    wire::{Edns, Name, Query, Question, RData, Record, RecordType, Records, Soa},
};

/// Answers each name with the records that it is told, and notes what it was asked.
struct Source {
    asked: Arc<Mutex<Vec<String>>>,
    edns: Arc<Mutex<Option<Edns>>>,
    response: Box<dyn Fn(&Question) -> Response + Send + Sync>,
}

impl Plugin for Source {
    fn name(&self) -> &'static str {
        "source"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        self.asked.lock().unwrap().push(format!("{} {} {}", question.name, question.class, question.record_type));
        self.edns.lock().unwrap().clone_from(&cx.query.edns);
        (self.response)(question).into()
    }
}

struct Seen {
    asked: String,
    edns: Option<Edns>,
    response: Response,
    /// The question that plugins in front see on the way back.
    after: Question,
    edns_after: Option<Edns>,
}

fn rules(lines: &str) -> Result<Vec<rule::Rule>, String> {
    let stanza = corefile::stanza(lines);
    let instances = &stanza.instances;
    instances.iter().map(|instance| config::rule(instance).map_err(|error| error.message().to_owned())).collect()
}

fn ask_with(lines: &str, question: &str, edns: Option<Edns>, response: fn(&Question) -> Response) -> Seen {
    let (name, kind) = question.split_once(' ').unwrap();
    let question = Question::new(Name::parse(name).unwrap(), RecordType::from_mnemonic(kind).unwrap());
    let (asked, options) = (Arc::default(), Arc::default());
    let source = Source { asked: Arc::clone(&asked), edns: Arc::clone(&options), response: Box::new(response) };
    let rewrite =
        Rewrite { rules: Arc::new(Rules::new(rules(lines).unwrap(), Labels::default())), server: Server::default() };
    let panics = Registry::new().counter("panics", "-", &[]).with_label_values::<&str>(&[]);
    let chain = Arc::new(Chain::new(vec![Box::new(rewrite), Box::new(source)], panics, false));
    let query = Query { edns, ..Query::internal(question) };
    let peer = "192.0.2.130:5353".parse().unwrap();
    let mut cx = Context::new(query, peer, "127.0.0.1:53".parse().unwrap(), Transport::Udp, Instant::now());
    let Outcome::Answered(response) = chain.walk(&mut cx) else { panic!("an answer") };
    let asked = asked.lock().unwrap().join("; ");
    let edns = options.lock().unwrap().take();
    Seen { asked, edns, response, after: cx.question().clone(), edns_after: cx.query.edns }
}

fn ask(lines: &str, question: &str) -> Seen {
    ask_with(lines, question, None, |_| Response::answer([]))
}

#[test]
fn each_kind_of_rule_asks_what_it_says() {
    for (rules, question, asked) in [
        ("rewrite name a.x b.y", "A.X A", "b.y. IN A"),
        ("rewrite name a.x b.y", "c.a.x A", "c.a.x. IN A"),
        ("rewrite name prefix a bb.c", "a.x A", "bb.c.x. IN A"),
        ("rewrite name prefix a bb.c", "ab.x A", "ab.x. IN A"),
        ("rewrite name suffix .x .y.z", "A.x A", "a.y.z. IN A"),
        ("rewrite name suffix x yy", "q.ax A", "q.ayy. IN A"),
        ("rewrite name substring a.b q", "s.a.b A", "s.q. IN A"),
        ("rewrite name substring a.b q", "a.ba.b A", "a.bq. IN A"),
        ("rewrite name regex (.*)\\.x {1}.{1}.y", "a.x.b A", "a.a.y. IN A"),
        ("rewrite name regex ^a\\.(.*) {0}{1}z", "a.b.x A", "a.b.x.b.x.z. IN A"),
        ("rewrite name regex ^(.*)\\.x\\.$ b.{7}", "a.x A", "b.{7}. IN A"),
        ("rewrite name regex ^\\pL\\.x\\.$ b", "a.x A", "b. IN A"),
        ("rewrite type TXT a", "a.x TXT", "a.x. IN A"),
        ("rewrite class in CH", "a.x TXT", "a.x. CH TXT"),
        // The first that is about the query is the last, unless it says `continue`.
        ("rewrite name a.x b.y\nrewrite name b.y c.z", "a.x A", "b.y. IN A"),
        ("rewrite continue name a.x b.y\nrewrite name b.y c.z", "a.x A", "c.z. IN A"),
        ("rewrite name b.y c.z\nrewrite continue name a.x b.y\nrewrite type A MX", "a.x A", "b.y. IN MX"),
        ("rewrite continue name suffix .x .y\nrewrite name b.x c.x\nrewrite name b.y c.y", "b.x A", "c.y. IN A"),
        ("rewrite STOP {\nname regex (.*)\\.x\\. {1}.y\nanswer name (.*)\\.y\\. {1}.x\n}", "a.x A", "a.y. IN A"),
        // A label that nobody knows leaves the query to the next rule.
        ("rewrite name regex (.*)\\.x {1}.{a/b}.y metadata\nrewrite name a.x c.z", "a.x A", "c.z. IN A"),
    ] {
        let seen = ask(rules, question);
        assert_eq!(seen.asked, asked, "{rules}");
        let (name, kind) = question.split_once(' ').unwrap();
        assert_eq!(
            (seen.after.name.to_string(), seen.after.record_type.to_string()),
            (format!("{name}."), kind.into())
        );
    }
}

#[test]
fn what_is_no_name_is_servfail() {
    for (rules, question, text) in [
        ("rewrite name regex (.*)\\.x {1}..y", "a.x A", "a..y."),
        ("rewrite continue type A MX\nrewrite name regex (.*) {1}.y", "a.x A", "a.x..y."),
    ] {
        let seen = ask(rules, question);
        assert_eq!((seen.response.rcode, seen.asked.as_str()), (Rcode::SERVFAIL, ""));
        assert_eq!(seen.response.cause.unwrap().to_string(), format!("invalid name after rewrite: {text}"));
        assert_eq!(seen.after.record_type, RecordType::A, "as before the rules");
    }
}

fn name(text: &str) -> crate::wire::NameRef {
    Name::parse(text).unwrap().into()
}

/// An SRV record whose owner and target are said by the question, and others with names of their own.
fn full(_: &Question) -> Response {
    use crate::wire::{NameRef, Prefix};
    let target = NameRef::Under(Prefix::of([b"srv".as_slice()]), 0);
    let srv = RData::Srv { priority: 1, weight: 2, port: 80, target: target.clone() };
    let soa = Soa { mname: target.clone(), rname: name("h.o"), serial: 1, refresh: 2, retry: 3, expire: 4, minimum: 5 };
    let naptr = b"\x00\x01\x00\x02\x01s\x03SIP\x00\x01b\x01y\x00".as_slice();
    let records = Records {
        answer: [
            Record::of_question(100, srv),
            Record::of_question(100, RData::Other(RecordType::NAPTR, naptr.into())),
        ]
        .into_iter()
        .collect(),
        authority: [Record::new(name("q.y"), 7, RData::Soa(soa))].into_iter().collect(),
        additional: [Record::new(target, 1, RData::A([192, 0, 2, 1].into()))].into_iter().collect(),
    };
    Response { body: crate::wire::Body::Records(records), ..Response::answer([]) }
}

/// Owner, TTL and target of each record.
fn shown(seen: &Seen) -> Vec<String> {
    let records = seen.response.records().unwrap();
    let client = &seen.after.name;
    let line = |record: &Record| {
        let target = record.data.target(client).map_or(String::new(), |name| format!(" {name}"));
        format!("{} {}{target}", record.owner.resolve(client), record.ttl)
    };
    [&records.answer, &records.authority, &records.additional].into_iter().flatten().map(line).collect()
}

#[test]
fn answers_are_renamed_the_other_way_round() {
    let exact = ["A.x. 100 srv.A.x.", "A.x. 100 A.x.", "q.y. 7 srv.A.x.", "srv.A.x. 1"];
    for (rules, expected) in [
        ("rewrite name a.x b.y", exact),
        ("rewrite name regex a b.y answer auto", exact),
        ("rewrite continue name a.x c.z\nrewrite name c.z b.y", exact),
        ("rewrite name regex a b.y", ["b.y. 100 srv.b.y.", "b.y. 100 b.y.", "q.y. 7 srv.b.y.", "srv.b.y. 1"]),
        (
            "rewrite name suffix a.x b.y answer auto",
            ["A.x. 100 srv.a.x.", "A.x. 100 A.x.", "q.y. 7 srv.a.x.", "srv.a.x. 1"],
        ),
        (
            "rewrite name regex a b.y answer name (.*)b\\.y {1}n value ^srv\\.(.*)y post.{1}w",
            ["n. 100 post.b.w.", "n. 100 b.y.", "q.y. 7 post.b.w.", "srv.n. 1"],
        ),
        // The last of several is the first on the way back.
        (
            "rewrite name regex a b.y answer name b\\.y m answer name ^m n",
            ["m. 100 srv.b.y.", "m. 100 b.y.", "q.y. 7 srv.b.y.", "m. 1"],
        ),
        (
            "rewrite name exact a.x b.y answer value ^b\\.y w",
            ["A.x. 100 srv.A.x.", "A.x. 100 w.", "q.y. 7 srv.A.x.", "srv.A.x. 1"],
        ),
        (
            "rewrite continue ttl a.x -50\nrewrite name a.x b.y",
            ["A.x. 50 srv.A.x.", "A.x. 50 A.x.", "q.y. 7 srv.A.x.", "srv.A.x. 1"],
        ),
        (
            "rewrite continue ttl substring a.x 5-9\nrewrite name a.x b.y",
            ["A.x. 9 srv.A.x.", "A.x. 9 A.x.", "q.y. 7 srv.A.x.", "srv.A.x. 5"],
        ),
    ] {
        let seen = ask_with(rules, "A.x SRV", None, full);
        let lower = |lines: &[String]| lines.iter().map(|line| line.to_lowercase()).collect::<Vec<_>>();
        let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(lower(&shown(&seen)), lower(&expected), "{rules}");
        if !rules.contains("regex") {
            assert!(shown(&seen)[0].starts_with("A.x. "), "the client's spelling: {:?}", shown(&seen));
        }
    }
}

#[test]
fn encoded_answers_are_renamed_too() {
    let seen = ask_with("rewrite name a.x b.y", "a.x SRV", None, |question| {
        let packet = crate::wire::Packet::of(question, &full(question)).unwrap();
        Response::packet(packet.with_ttl(30))
    });
    assert_eq!(shown(&seen), ["a.x. 30 srv.a.x.", "a.x. 30 a.x.", "q.y. 30 srv.a.x.", "srv.a.x. 30"]);
}

#[test]
fn response_codes_are_put_in_place_of_others() {
    for (rules, code) in [
        ("rewrite rcode a.x NXDOMAIN noerror", Rcode::NOERROR),
        ("rewrite rcode exact a.x 3 5", Rcode::REFUSED),
        ("rewrite rcode suffix .x 2 0", Rcode::NXDOMAIN),
        ("rewrite rcode b.x NXDOMAIN NOERROR", Rcode::NXDOMAIN),
        ("rewrite rcode regex .* NXDOMAIN BADCOOKIE", Rcode(23)),
        ("rewrite continue rcode a.x REFUSED SERVFAIL\nrewrite rcode a.x NXDOMAIN REFUSED", Rcode::SERVFAIL),
    ] {
        let seen = ask_with(rules, "a.x A", None, |_| Response::new(Rcode::NXDOMAIN));
        assert_eq!(seen.response.rcode, code, "{rules}");
    }
}

/// Options as `code=data`, data as text if it is, else in hexadecimal.
fn written(edns: Option<&Edns>) -> String {
    let data = |data: &[u8]| match std::str::from_utf8(data) {
        Ok(text) if text.bytes().all(|octet| octet.is_ascii_graphic()) => text.to_owned(),
        _ => data.iter().map(|octet| format!("{octet:02x}")).collect(),
    };
    let Some(edns) = edns else { return "-".to_owned() };
    edns.each_option().map(|(code, octets)| format!("{code}={}", data(octets))).collect::<Vec<_>>().join(" ")
}

#[test]
fn options_are_changed_for_those_behind_and_taken_back() {
    let client = || {
        let mut edns = Edns::new(1232, true);
        edns.add_option(9, b"nine");
        edns.add_option(7, b"old");
        Some(edns)
    };
    // What the client sends, what those behind see, what the client is shown besides.
    for (rules, edns, behind, back) in [
        ("rewrite edns0 local set 7 new", client(), "9=nine 7=new", "7=new"),
        ("rewrite edns0 local set 0x7 0x616263 revert", client(), "9=nine 7=abc", "7=old"),
        ("rewrite edns0 local append 07 new", client(), "9=nine 7=old 7=new", "7=old 7=new"),
        ("rewrite edns0 local append 7 new revert", client(), "9=nine 7=old 7=new", "7=old"),
        ("rewrite edns0 local replace 8 new", client(), "9=nine 7=old", "-"),
        ("rewrite edns0 local unset 7", client(), "9=nine", ""),
        ("rewrite edns0 local set 8 new", None, "8=new", "8=new"),
        ("rewrite edns0 local unset 8", None, "-", "-"),
        ("rewrite edns0 nsid set", client(), "9=nine 7=old 3=", "-"),
        ("rewrite edns0 subnet set 26 56", None, "8=00011a00c0000280", "-"),
        ("rewrite edns0 subnet set 0 0", None, "8=00010000", "-"),
        ("rewrite edns0 local set 8 {qname}", None, "8=a.X.", "8=a.X."),
        ("rewrite edns0 local set 8 {qtype}", None, "8=0001", "8=0001"),
        ("rewrite edns0 local set 8 {client_ip}", None, "8=c0000282", "8=c0000282"),
        ("rewrite edns0 local set 8 {client_port}", None, "8=14e9", "8=14e9"),
        ("rewrite edns0 local set 8 {protocol}", None, "8=udp", "8=udp"),
        ("rewrite edns0 local set 8 {server_ip}", None, "8=7f000001", "8=7f000001"),
        ("rewrite edns0 local set 8 {server_port}", None, "8=0035", "8=0035"),
        ("rewrite edns0 local set 8 {a/b}", None, "-", "-"),
        ("rewrite continue edns0 local set 8 one\nrewrite edns0 local replace 8 two revert", None, "8=two", "8=one"),
        ("rewrite continue edns0 subnet set 8 8\nrewrite edns0 subnet append 24 24", None, "8=00010800c0", "-"),
    ] {
        let sent = edns.clone();
        let seen = ask_with(rules, "a.X A", edns, |_| Response::answer([]));
        assert_eq!(written(seen.edns.as_ref()), behind, "{rules}");
        let options =
            seen.response.options.as_deref().map(|options| Edns { options: options.clone(), ..Edns::new(0, false) });
        assert_eq!(written(options.as_ref()), back, "{rules}");
        assert_eq!(seen.edns_after, sent, "{rules}");
    }
}

#[test]
fn wrong_words_are_named() {
    for (line, message) in [
        ("name a.x", "name: expected the name to put there"),
        ("name foo a b", "name: unknown kind of match `foo`; expected one of: exact, prefix, suffix, substring, regex"),
        ("name exact a..b c", "name: empty label in a domain name"),
        ("name regex a b answer", "name: expected `auto`, `name` or `value`"),
        ("name regex a b answer name x", "name: expected the name to put there"),
        ("name regex a b auto", "name: unknown option `auto`; expected one of: answer"),
        ("name regex a b answer auto name x y", "name: `answer auto` and `answer name` cannot stand together"),
        ("name regex a {1}.b", "name: asks for more groups (1) than the regular expression has (0)"),
        ("name exact a b metadata", "name: `metadata` is for `name regex` only"),
        ("answer name a b", "`answer` must stand behind a name rule"),
        ("type A FOO", "type: unknown type `FOO`"),
        ("class IN", "class: expected the class to put there"),
        ("ttl a.x 5-1", "ttl: the range `5-1` ends before it begins"),
        ("ttl a.x -", "ttl: expected seconds such as `30`, `30-300`, `-300` or `30-`, found `-`"),
        ("rcode a.x 2 77", "rcode: unknown response code `77`"),
        ("cname a b c d", "cname: unknown kind of match `a`; expected one of: exact, prefix, suffix, substring, regex"),
        ("edns0 local set 70000 a", "edns0: expected the code of an option such as `0xffee` or `65518`, found `70000`"),
        ("edns0 local set 1 0xabc", "edns0: expected pairs of hexadecimal digits behind `0x`, found `0xabc`"),
        ("edns0 local unset 1 revert", "edns0: unexpected argument `revert`"),
        ("edns0 subnet set 33 56", "edns0: bits of IPv4 addresses: expected a number between 0 and 32, found `33`"),
        ("edns0 foo set", "edns0: unknown option `foo`; expected one of: local, nsid, subnet"),
        ("nam a b", "unknown field `nam`; did you mean `name`?"),
        ("stop", "expected a field"),
    ] {
        assert_eq!(rules(&format!("rewrite {line}")).err().as_deref(), Some(message), "{line}");
    }
    let large = format!("rewrite name regex {} b", "(a{100}){1000}".repeat(4));
    assert_eq!(
        rules(&large).err().as_deref(),
        Some("name: the regular expression is too large: its repetitions take more than 4096 KiB")
    );
    let long = format!("rewrite name regex {} b", "a".repeat(10_001));
    assert_eq!(rules(&long).err().as_deref(), Some("name: a regular expression may have 10000 characters"));
}
