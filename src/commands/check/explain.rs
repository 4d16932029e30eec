use std::fmt::Write as _;

use crate::{
    corefile::{Block, Corefile, Instance},
    plugins::DIRECTIVES,
};

/// What directives do to a query; those that are only named speak for themselves.
const WORDS: [(&str, &str); 18] = [
    ("reload", "reads this file again when it changes"),
    ("bind", "listens on these addresses only"),
    ("tls", "says who the server is on encrypted listeners, and whom it lets in"),
    ("debug", "lets a panic end the process"),
    ("ready", "says over HTTP whether all is ready"),
    ("health", "says over HTTP that the process lives"),
    ("prometheus", "counts every answer"),
    ("errors", "logs what could not be answered"),
    ("log", "logs every answer"),
    ("loadbalance", "changes the order of addresses"),
    ("rewrite", "asks another question, and changes what comes back"),
    ("cache", "keeps what those below answer"),
    ("hosts", "answers from a hosts file"),
    ("kubernetes", "answers from the cluster"),
    ("loop", "ends the process if queries come back"),
    ("forward", "asks other name servers"),
    ("template", "answers from templates"),
    ("whoami", "answers who asked"),
];

/// What each block of a Corefile does to a query, in the order in which it happens.
pub(super) fn text(name: &str, corefile: &Corefile, port: u16) -> String {
    let mut text = format!("{name}\n");
    for block in &corefile.blocks {
        for key in &block.keys {
            let port = key.port_or(port);
            for zone in &key.zones {
                _ = writeln!(text, "  {}://:{port}, names in {zone}", key.scheme.as_str());
            }
        }
        chain(block, &mut text);
    }
    text.push('\n');
    text
}

fn chain(block: &Block, text: &mut String) {
    let stanzas = DIRECTIVES
        .iter()
        .filter_map(|directive| block.stanzas.iter().find(|stanza| stanza.name.text == directive.name));
    for (number, stanza) in (1..).zip(stanzas) {
        let name = &stanza.name.text;
        let words = WORDS.iter().find(|(known, _)| known == name).map_or("", |(_, words)| *words);
        let lines: Vec<String> = stanza.instances.iter().map(line).filter(|line| !line.is_empty()).collect();
        let lines = if lines.is_empty() { String::new() } else { format!(" ({})", lines.join("; ")) };
        _ = writeln!(text, "    {number:>2}. {name}{lines}: {words}");
        if name == "kubernetes" {
            _ = writeln!(text, "        needs to list and watch {}", rights(&stanza.instances));
        }
    }
}

/// The words of a line and of those in its braces.
fn line(instance: &Instance) -> String {
    let mut words: Vec<String> = instance.args.iter().map(|word| word.text.clone()).collect();
    for line in &instance.lines {
        let args = line.args.iter().map(|word| word.text.as_str());
        words.push(format!("[{}]", std::iter::once(line.word.text.as_str()).chain(args).collect::<Vec<_>>().join(" ")));
    }
    words.join(" ")
}

/// What the API server must let the service account read.
fn rights(instances: &[Instance]) -> String {
    let has = |word: &str, arg: Option<&str>| {
        let mut lines = instances.iter().flat_map(|instance| &instance.lines);
        lines.any(|line| line.word.text == word && arg.is_none_or(|arg| line.args.iter().any(|word| word.text == arg)))
    };
    let mut kinds = vec!["namespaces", "services"];
    if !has("noendpoints", None) {
        kinds.push("endpointslices.discovery.k8s.io");
    }
    if has("pods", Some("verified")) {
        kinds.push("pods");
    }
    if has("multicluster", None) {
        kinds.push("serviceimports.multicluster.x-k8s.io");
    }
    kinds.join(", ")
}
