use std::fmt::Write as _;

use super::rights;
use crate::{commands::picture::Picture, corefile::Instance};

/// What each block of a Corefile does to a query, in the order in which it happens.
pub(super) fn text(name: &str, pictures: &[Picture<'_>]) -> String {
    let mut text = format!("{name}\n");
    for picture in pictures {
        for (key, zone, port) in picture.served() {
            let hosts = picture.hosts();
            let on = if hosts.is_empty() { String::new() } else { format!(" on {}", hosts.join(", ")) };
            let view = picture.view().map_or(String::new(), |view| format!(", for the view {view}"));
            _ = writeln!(text, "  {}://:{port}{on}, names in {zone}{view}", key.scheme.as_str());
        }
        chain(picture, &mut text);
    }
    text.push('\n');
    text
}

fn chain(picture: &Picture<'_>, text: &mut String) {
    for (number, part) in (1..).zip(&picture.chain) {
        let name = part.name();
        let lines: Vec<String> = part.stanza.instances.iter().map(line).filter(|line| !line.is_empty()).collect();
        let lines = if lines.is_empty() { String::new() } else { format!(" ({})", lines.join("; ")) };
        let does = if part.role.does.is_empty() { String::new() } else { format!(": {}", part.role.does) };
        _ = writeln!(text, "    {number:>2}. {name}{lines}{does}");
        if let Some(needed) = rights::needed(part) {
            let kinds: Vec<&str> = needed.iter().map(|(_, kind)| *kind).collect();
            _ = writeln!(text, "        needs to list and watch {}", kinds.join(", "));
        }
    }
    if !picture.chain.iter().any(|part| part.role.ends(&crate::wire::Name::root())) && !picture.chain.is_empty() {
        _ = writeln!(text, "        whoever gets here has no answer: SERVFAIL");
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
