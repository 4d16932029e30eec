//! Words that load and have lost their meaning.

use super::{Finding, Picture};
use crate::corefile::Token;

/// Directive, property, and what to do instead.
const PROPERTIES: [(&str, &str, &str); 6] = [
    ("file", "upstream", "aliases are followed through this server itself: leave it out"),
    ("auto", "upstream", "aliases are followed through this server itself: leave it out"),
    ("secondary", "upstream", "aliases are followed through this server itself: leave it out"),
    ("template", "upstream", "aliases are followed through this server itself: leave it out"),
    (
        "kubernetes",
        "apiserver_qps",
        "requests to the API server are few here: leave it out, or use `apiserver_max_inflight`",
    ),
    (
        "kubernetes",
        "apiserver_burst",
        "requests to the API server are few here: leave it out, or use `apiserver_max_inflight`",
    ),
];

/// Directive, word, and what to do instead.
const WORDS: [(&str, &str, &str); 1] = [("errors", "stdout", "there is no other place: leave it out")];

/// Directives that change nothing here, and why.
const DIRECTIVES: [(&str, &str); 1] = [("multisocket", "each core has sockets of its own anyway: leave it out")];

pub(super) fn of(picture: &Picture<'_>) -> Vec<Finding> {
    let idle =
        |word: &Token, instead: &str| Finding::warning(word, format!("`{}` changes nothing: {instead}", word.text));
    let mut findings = Vec::new();
    for part in &picture.chain {
        let instead = DIRECTIVES.iter().find(|(name, _)| *name == part.name());
        findings.extend(instead.map(|(_, instead)| idle(&part.stanza.name, instead)));
        let lines = part.lines().map(|line| (&PROPERTIES[..], &line.word));
        for (table, word) in lines.chain(part.words().map(|word| (&WORDS[..], word))) {
            let known = table.iter().find(|(name, old, _)| *name == part.name() && word.text == *old);
            findings.extend(known.map(|(_, _, instead)| idle(word, instead)));
        }
    }
    findings
}
