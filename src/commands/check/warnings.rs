//! What loads, or looks as if it did, and is not what was meant.

use super::report::Finding;
use crate::{
    corefile::{Block, Corefile, Key, Scheme, Stanza, Token},
    plugins::DIRECTIVES,
    wire::Name,
};

/// Directives that answer queries.
const ANSWERING: [&str; 18] = [
    "hosts",
    "kubernetes",
    "forward",
    "whoami",
    "template",
    "file",
    "auto",
    "secondary",
    "etcd",
    "k8s_external",
    "grpc",
    "erratic",
    "route53",
    "azure",
    "clouddns",
    "nomad",
    "chaos",
    "acl",
];

/// All warnings about a Corefile that reads well, and errors that a start would find.
pub(super) fn of(corefile: &Corefile, port: u16) -> Vec<Finding> {
    let mut findings: Vec<Finding> = corefile.warnings.iter().cloned().map(Finding::from).collect();
    findings.extend(zones_twice(corefile, port));
    findings.extend(caught_zones(corefile, port));
    for block in &corefile.blocks {
        findings.extend(nobody_answers(block));
        findings.extend(nothing_behind(block));
        findings.extend(forwards_to_itself(block, port));
        findings.extend(rules_never_met(block));
        findings.extend(says_nothing(block));
    }
    findings
}

fn stanza<'a>(block: &'a Block, name: &str) -> Option<&'a Stanza> {
    block.stanzas.iter().find(|stanza| stanza.name.text == name)
}

/// Where somebody listens: what is spoken, and the port.
type Listener = (Scheme, u16);

/// Zone and listener of each key of a block.
fn served(block: &Block, port: u16) -> impl Iterator<Item = (&Key, &String, Listener)> {
    let listener = move |key: &Key| (key.scheme, key.port_or(port));
    block.keys.iter().flat_map(move |key| key.zones.iter().map(move |zone| (key, zone, listener(key))))
}

/// The same zone on the same port in two blocks stops the start, unless they are bound to different addresses.
fn zones_twice(corefile: &Corefile, port: u16) -> Vec<Finding> {
    let mut seen: Vec<(&String, Listener, Vec<&str>)> = Vec::new();
    let mut findings = Vec::new();
    for block in &corefile.blocks {
        let hosts: Vec<&str> = stanza(block, "bind").map_or_else(Vec::new, words);
        for (key, zone, listener) in served(block, port) {
            if seen.iter().any(|known| *known == (zone, listener, hosts.clone())) {
                let text = format!("zone `{zone}` is already defined for port {}", listener.1);
                findings.push(Finding::error(&key.token, text));
            }
            seen.push((zone, listener, hosts.clone()));
        }
    }
    findings
}

fn words(stanza: &Stanza) -> Vec<&str> {
    stanza.instances.iter().flat_map(|instance| &instance.args).map(|word| word.text.as_str()).collect()
}

/// A block for a zone below the cluster's takes its names away from the block that knows them.
fn caught_zones(corefile: &Corefile, port: u16) -> Vec<Finding> {
    let mut findings = Vec::new();
    for block in &corefile.blocks {
        let Some(cluster) = stanza(block, "kubernetes") else { continue };
        let zones: Vec<Name> = words(cluster).into_iter().filter_map(|zone| Name::parse(zone).ok()).collect();
        let listeners: Vec<Listener> = served(block, port).map(|(_, _, listener)| listener).collect();
        let others = corefile.blocks.iter().filter(|other| stanza(other, "kubernetes").is_none());
        for (key, zone, listener) in others.flat_map(|other| served(other, port)) {
            let Ok(name) = Name::parse(zone) else { continue };
            let caught = zones.iter().find(|cluster| name.is_within(cluster));
            if let Some(cluster) = caught.filter(|_| listeners.contains(&listener)) {
                let line = block.keys[0].token.span.line;
                let text =
                    format!("takes names below {zone} away from `kubernetes {cluster}` in the block of line {line}");
                findings.push(Finding::warning(&key.token, text));
            }
        }
    }
    findings
}

/// A block in which every query ends without an answer.
fn nobody_answers(block: &Block) -> Option<Finding> {
    let answers = block.stanzas.iter().any(|stanza| ANSWERING.contains(&stanza.name.text.as_str()));
    let text = "no directive of this block answers: every query is SERVFAIL";
    (!answers && !block.stanzas.is_empty()).then(|| Finding::warning(&block.keys[0].token, text.to_owned()))
}

/// Place of a directive in the chain.
fn place(name: &str) -> Option<usize> {
    DIRECTIVES.iter().position(|directive| directive.name == name)
}

/// `fallthrough` where nobody stands behind.
fn nothing_behind(block: &Block) -> Vec<Finding> {
    let mut findings = Vec::new();
    for stanza in &block.stanzas {
        let behind = |other: &Stanza| {
            ANSWERING.contains(&other.name.text.as_str()) && place(&other.name.text) > place(&stanza.name.text)
        };
        if block.stanzas.iter().any(behind) {
            continue;
        }
        let lines = stanza.instances.iter().flat_map(|instance| &instance.lines);
        let text = format!("nothing stands behind `{}`: what falls through is SERVFAIL", stanza.name.text);
        let lines = lines.filter(|line| line.word.text == "fallthrough");
        findings.extend(lines.map(|line| Finding::warning(&line.word, text.clone())));
    }
    findings
}

/// `forward` to a port of this host that the block itself serves.
fn forwards_to_itself(block: &Block, port: u16) -> Vec<Finding> {
    if stanza(block, "bind").is_some() {
        return Vec::new();
    }
    let plain = served(block, port).filter(|(key, ..)| key.scheme == Scheme::Dns);
    let ports: Vec<u16> = plain.map(|(_, _, (_, port))| port).collect();
    let own = |word: &&Token| {
        let text = word.text.strip_prefix("dns://").unwrap_or(&word.text);
        ports.iter().any(|port| {
            let bare = ["127.0.0.1", "::1", "[::1]"].contains(&text) && *port == 53;
            bare || text == format!("127.0.0.1:{port}") || text == format!("[::1]:{port}")
        })
    };
    let instances = stanza(block, "forward").into_iter().flat_map(|stanza| &stanza.instances);
    let targets = instances.flat_map(|instance| instance.args.iter().skip(1)).filter(own);
    targets.map(|word| Finding::warning(word, format!("`{}` is this server itself", word.text))).collect()
}

/// Directives of encrypted listeners in a block that has none: it would be served for everybody to read.
fn says_nothing(block: &Block) -> Vec<Finding> {
    let has = |wanted: &[Scheme]| block.keys.iter().any(|key| wanted.contains(&key.scheme));
    let mut findings = Vec::new();
    for (name, schemes) in [
        ("tls", &[Scheme::Tls, Scheme::Https, Scheme::Https3, Scheme::Quic, Scheme::Grpc][..]),
        ("https", &[Scheme::Https]),
        ("https3", &[Scheme::Https3]),
        ("quic", &[Scheme::Quic]),
        ("grpc_server", &[Scheme::Grpc]),
    ] {
        if let Some(stanza) = stanza(block, name).filter(|_| !has(schemes)) {
            let text = format!("`{name}` changes nothing here: no key of this block begins with `{}://`", schemes[0]);
            findings.push(Finding::warning(&stanza.name, text));
        }
    }
    findings
}

/// Rules behind one that is about every query, and rules that are about none.
fn rules_never_met(block: &Block) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut stopped: Option<u32> = None;
    for instance in stanza(block, "rewrite").into_iter().flat_map(|stanza| &stanza.instances) {
        let lines = instance.lines.iter().flat_map(|line| std::iter::once(&line.word).chain(&line.args));
        let mut words: Vec<&Token> = instance.args.iter().chain(lines).collect();
        if let Some(line) = stopped {
            let text = format!("this rule is never met: the one of line {line} is about every query and stops");
            findings.push(Finding::warning(&instance.name, text));
            continue;
        }
        let goes_on = words.first().is_some_and(|word| word.text.eq_ignore_ascii_case("continue"));
        if goes_on || words.first().is_some_and(|word| word.text.eq_ignore_ascii_case("stop")) {
            words.remove(0);
        }
        let texts: Vec<String> = words.iter().map(|word| word.text.to_ascii_lowercase()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if let ["cname", "suffix", from, _] = texts.as_slice()
            && !from.ends_with('.')
        {
            let text = format!("no alias ends like `{from}`: the last dot is missing");
            findings.push(Finding::warning(words[2], text));
        }
        if !goes_on && matches!(texts.as_slice(), ["cname", ..] | ["edns0", _, "set", ..]) {
            stopped = Some(instance.name.span.line);
        }
    }
    findings
}
