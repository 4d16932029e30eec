//! What the order of the directives, which is fixed, and their zones make useless.

use super::{Finding, Picture};
use crate::{
    chain::Kind,
    corefile::{Instance, Token},
    wire::Name,
};

/// A block in which every query ends without an answer.
pub(super) fn nobody_answers(picture: &Picture<'_>) -> Option<Finding> {
    let answers = picture.chain.iter().any(|part| part.role.may_answer());
    let text = "no directive of this block answers: every query is SERVFAIL";
    (!answers && !picture.chain.is_empty()).then(|| Finding::warning(&picture.block.keys[0].token, text.to_owned()))
}

fn zones(words: &[Token]) -> Vec<Name> {
    let zones = words.iter().filter_map(|word| word.zones().ok()).flatten();
    zones.filter_map(|zone| Name::parse(&zone).ok()).collect()
}

/// `fallthrough` where nobody stands behind for the names that fall through.
pub(super) fn nothing_behind(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, part) in picture.chain.iter().enumerate() {
        let behind = &picture.chain[number + 1..];
        let lines = part.lines().filter(|line| line.word.text == "fallthrough");
        for line in lines.filter(|_| part.role.may_answer()) {
            let named = zones(&line.args);
            let names = if named.is_empty() { vec![Name::root()] } else { named };
            if !behind.iter().any(|other| names.iter().any(|zone| other.role.meets(zone))) {
                let text = format!("nothing stands behind `{}`: what falls through is SERVFAIL", part.name());
                findings.push(Finding::warning(&line.word, text));
            }
        }
    }
    findings
}

/// A directive that would answer, behind others that leave nothing for it.
pub(super) fn nothing_left(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, part) in picture.chain.iter().enumerate() {
        let Kind::Answers { zones: own, .. } = &part.role.kind else { continue };
        // A name comes here if it is of the block and of the directive: the narrower of the two.
        let narrower = |zone: &Name| {
            let of_block = picture.zones.iter().filter(|block| zone.is_within(block) || block.is_within(zone));
            of_block.map(|block| if zone.is_within(block) { *zone } else { *block }).collect::<Vec<_>>()
        };
        let left: Vec<Name> = own.iter().flat_map(narrower).collect();
        let ends = |zone: &Name| picture.chain[..number].iter().find(|other| other.role.ends(zone));
        let Some(first) = left.first().and_then(&ends) else { continue };
        if left.iter().all(|zone| ends(zone).is_some()) {
            let text = format!("no query comes here: `{}`, which stands before it, answers them all", first.name());
            findings.push(Finding::warning(&part.stanza.name, text));
        }
    }
    findings
}

/// Zones of a directive of which no name comes to the block.
pub(super) fn outside(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for part in &picture.chain {
        let Kind::Answers { zones: own, .. } = &part.role.kind else { continue };
        for word in part.words() {
            let zones = zones(std::slice::from_ref(word));
            let is_own = |zone: &Name| own.iter().any(|known| known == zone);
            if !zones.is_empty() && zones.iter().all(|zone| is_own(zone) && !picture.holds(zone)) {
                let text =
                    format!("no query for `{}` comes to this block: add it to line {}", word.text, picture.line());
                findings.push(Finding::warning(word, text));
            }
        }
    }
    findings
}

/// The first `forward` line that holds a name takes it: those behind a wider one are never asked.
pub(super) fn forwards_never_used(picture: &Picture<'_>) -> Vec<Finding> {
    let from = |instance: &Instance| zones(instance.args.get(..1).unwrap_or_default());
    let lets_go_on = |instance: &Instance| {
        instance.lines.iter().any(|line| ["except", "next", "next_on_nodata"].contains(&line.word.text.as_str()))
    };
    let lines = picture.instances("forward");
    let mut findings = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let names = from(line);
        let wider = lines[..number].iter().find(|before| {
            let taken = from(before);
            !lets_go_on(before) && names.iter().all(|name| taken.iter().any(|wide| name.is_within(wide)))
        });
        if let Some(wider) = wider {
            let text = format!("this line is never used: that of line {} takes all its names", wider.name.span.line);
            findings.push(Finding::warning(&line.name, text));
        }
    }
    findings
}
