use std::{sync::Arc, time::Instant};

use super::*;
use crate::{
    chain::{Chain, Keys, Labels, Outcome, Transport},
    corefile::{self, Error},
    metrics::Registry,
};

fn rules(text: &str) -> Result<Vec<Rule>, Error> {
    let stanza = corefile::stanza(text);
    let keys = Keys { zones: vec!["test.".to_owned()] };
    stanza.instances.iter().map(|instance| config::read(instance, &keys)).collect()
}

/// The response code, flags and records of an answer; `next` if no template is for the question.
fn ask(text: &str, asked: &str, kind: RecordType) -> String {
    let rules = rules(text).unwrap_or_else(|error| panic!("{error}"));
    let registry = Registry::new();
    let metrics = Metrics::register(&registry, &["dns://:53".to_owned()], &rules);
    let panics = registry.counter("panics", "-", &[]).with_label_values::<&str>(&[]);
    let chain = Arc::new(Chain::new(
        vec![Box::new(Templates { rules, metrics, server: Server::default(), labels: Labels::default() })],
        panics,
        false,
    ));
    let client = "192.0.2.9:1234".parse().unwrap();
    let question = Name::parse(asked).unwrap();
    let mut cx =
        Context::new(Query::internal(Question::new(question, kind)), client, client, Transport::Udp, Instant::now());
    let Outcome::Answered(response) = chain.walk(&mut cx) else { panic!("no answer") };
    if response.plugin != "template" {
        return "next".to_owned();
    }
    let Body::Records(records) = &response.body else { panic!("no records") };
    let shown = records.answer.iter().map(|record| {
        let owner = record.owner.resolve(&question);
        let data = match &record.data {
            RData::A(address) => address.to_string(),
            RData::Txt(texts) => texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect(),
            other => format!("{other:?}"),
        };
        format!("; {owner} {} {data}", record.ttl)
    });
    std::iter::once(response.rcode.to_string()).chain(shown).collect()
}

const ADDRESSES: &str = "template IN A {
match ^ip-(?P<a>[0-9]+)-([0-9]+)[.]
answer \"{{ .Name }} 60 IN A 10.0.{{ .Group.a }}.{{ index .Match 2 }}\"
}";

const VARIABLES: &str = "template IN TXT {
match ^(?P<x>[a-z]+)-([0-9]+)[.]
var twice int(group(2)) * 2
var nam upper(group('x'))
var both nam + '/' + string(twice) + '/' + group(0) + group('nope') + '/' + group(9) + '/' + type()
var list [1, 'x']
var pairs {'k': 1, 'a': 2.5}
expr twice > 10
answer \"{{ .Name }} TXT \\\"{{ .Var.both }} {{ .Var.twice }} {{ .Var.nope }} {{ .Var.list }} {{ .Var.pairs }}\\\"\"
fallthrough
}";

#[test]
fn questions_and_answers() {
    let with_fallthrough = ADDRESSES.replace("60 IN A", "A").replace("\n}", "\nfallthrough a.test\n}");
    for (corefile, name, kind, answer) in [
        (ADDRESSES, "IP-1-2.Test", RecordType::A, "NOERROR; IP-1-2.Test. 60 10.0.1.2"),
        (ADDRESSES, "ip-1-2.test", RecordType::AAAA, "next"),
        (ADDRESSES, "ip-1-2.other", RecordType::A, "next"),
        (ADDRESSES, "www.test", RecordType::A, "SERVFAIL"),
        // What the template makes is no address.
        (ADDRESSES, "ip-1-999.test", RecordType::A, "SERVFAIL"),
        (&with_fallthrough, "www.a.test", RecordType::A, "next"),
        (&with_fallthrough, "www.b.test", RecordType::A, "SERVFAIL"),
        (&with_fallthrough, "ip-1-2.a.test", RecordType::A, "NOERROR; ip-1-2.a.test. 3600 10.0.1.2"),
        ("template ANY ANY x.test {\nrcode nxdomain\n}\ntemplate IN ANY", "a.x.test", RecordType::MX, "NXDOMAIN"),
        ("template ANY ANY x.test {\nrcode nxdomain\n}\ntemplate IN ANY", "a.y.test", RecordType::MX, "NOERROR"),
        (
            "template IN TXT {\nanswer \"{{ .Name }} TXT {{ .Remote }}/{{ .Zone }}/{{ .Meta `x` }}/{{ .Question.Qtype }}\"\n}",
            "a.test",
            RecordType::TXT,
            "NOERROR; a.test. 3600 192.0.2.9/test.//16",
        ),
        ("template IN TXT {\nanswer \"{{ if false }}x{{ end }}\"\n}", "a.test", RecordType::TXT, "NOERROR"),
        ("template IN TXT {\nanswer \"{{ .Nope }}\"\n}", "a.test", RecordType::TXT, "SERVFAIL"),
        (
            "template IN TXT {\nanswer \"a. TXT {{ parseInt `ff` 16 32 }} {{ parseInt `-0x10` 0 8 }}\"\n}",
            "a.test",
            RecordType::TXT,
            "NOERROR; a. 3600 255-16",
        ),
        ("template IN TXT {\nanswer \"a. TXT {{ parseInt `300` 10 8 }}\"\n}", "a.test", RecordType::TXT, "SERVFAIL"),
        // Variables and conditions.
        (
            VARIABLES,
            "AB-7.test",
            RecordType::TXT,
            "NOERROR; AB-7.test. 3600 AB/14/ab-7.//TXT 14 <no value> [1 x] map[a:2.5 k:1]",
        ),
        (VARIABLES, "ab-3.test", RecordType::TXT, "next"),
        (&VARIABLES.replace("twice > 10", "int(nam) > 10"), "ab-7.test", RecordType::TXT, "SERVFAIL"),
        (&VARIABLES.replace("'k': 1", "'k': int('x')"), "ab-3.test", RecordType::TXT, "SERVFAIL"),
        ("template IN TXT {\nexpr group(1) == 'x'\n}", "a.test", RecordType::TXT, "SERVFAIL"),
        ("template IN TXT {\nexpr group(0) == name()\n}", "a.test", RecordType::TXT, "NOERROR"),
        // The first pattern that fits is the one, whatever the condition says of its groups.
        (
            "template IN TXT {\nmatch ^(a)[.]\nmatch ^(.)[.]t\nexpr group(0) == 'a.t'\n}",
            "a.test",
            RecordType::TXT,
            "SERVFAIL",
        ),
    ] {
        assert_eq!(ask(corefile, name, kind), answer, "{name} {kind} for {corefile}");
    }
}

#[test]
fn what_is_no_template() {
    for (text, message) in [
        ("template", "expected a class such as `IN`, or `ANY`"),
        ("template IN", "expected a type such as `A`, or `ANY`"),
        ("template XX A", "unknown class `XX`"),
        ("template IN FOO", "unknown type `FOO`"),
        ("template IN A a..b", "`a..b` is not a domain name"),
        ("template IN A {\nmatch\n}", "match: expected a regular expression"),
        ("template IN A {\nmatch a(\n}", "match: bad regular expression: unclosed group"),
        ("template IN A {\nanswer \"{{ .Name\"\n}", "answer: bad template at character 1: `{{` is never closed"),
        ("template IN A {\nanswer\n}", "answer: expected a template"),
        ("template IN A {\nrcode FOO\n}", "rcode: unknown response code `FOO`"),
        (
            "template IN A {\nederror 70000\n}",
            "ederror: the code of an extended error: expected a number between 0 and 65535, found `70000`",
        ),
        ("template IN A {\nvar\n}", "var: expected a name for the variable"),
        ("template IN A {\nvar a\n}", "var: expected an expression behind `a`"),
        ("template IN A {\nvar 1a 1\n}", "var: `1a` is no name: letters, digits and `_`, no digit first"),
        ("template IN A {\nvar len 1\n}", "var: `len` means something in expressions already"),
        ("template IN A {\nvar group 1\n}", "var: `group` means something in expressions already"),
        ("template IN A {\nvar in 1\n}", "var: `in` means something in expressions already"),
        ("template IN A {\nvar a 1\nvar a 2\n}", "var: there is a variable `a` already"),
        ("template IN A {\nvar a b\nvar b 1\n}", "var: unknown name `b`"),
        ("template IN A {\nexpr\n}", "expr: expected an expression"),
        ("template IN A {\nvar a 1\nexpr a + 1\n}", "expr: the expression gives an integer: it must say true or false"),
        ("template IN A {\nexpr group(1, 2)\n}", "expr: `group` takes 1 arguments, found 2"),
        ("template IN A {\nansewr x\n}", "unknown property `ansewr`; did you mean `answer`?"),
    ] {
        assert_eq!(rules(text).expect_err(text).message(), message, "{text}");
    }
}
