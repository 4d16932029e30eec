//! Settings that do not go together.

use std::time::Duration;

use super::{Finding, Picture};
use crate::{
    chain::Kind,
    corefile::{Instance, Token},
    wire::Name,
};

/// A reload may come a moment before the end of a process; this much more is no moment.
const MOMENT: Duration = Duration::from_secs(1);
/// How often `reload` looks by default.
const INTERVAL: Duration = Duration::from_secs(30);

/// All that concerns one block.
pub(super) fn of(picture: &Picture<'_>) -> Vec<Finding> {
    let found = [
        blind_autopath(picture),
        idle_cache(picture),
        idle_loop(picture),
        idle_transfer(picture),
        idle_dynupdate(picture),
        unread_labels(picture),
        credulous_listener(picture),
    ];
    found.into_iter().flatten().collect()
}

/// `autopath @kubernetes` knows no pod without `pods verified`.
fn blind_autopath(picture: &Picture<'_>) -> Option<Finding> {
    let source = picture.part("autopath")?.words().last().filter(|word| word.text == "@kubernetes")?;
    let mut lines = picture.part("kubernetes")?.lines();
    let verified = lines.any(|line| line.word.text == "pods" && line.args.iter().any(|word| word.text == "verified"));
    let text = "answers no search list: `kubernetes` needs `pods verified`";
    (!verified).then(|| Finding::warning(source, text.to_owned()))
}

/// `cache` for nothing but names of the cluster, which come from memory and are never kept.
fn idle_cache(picture: &Picture<'_>) -> Option<Finding> {
    let cluster = picture.part("kubernetes")?;
    let instance = picture.instances("cache").first()?;
    let named = cached_zones(instance);
    let cached = if named.is_empty() { picture.zones.clone() } else { named };
    let text = "keeps nothing: answers of `kubernetes` come from memory, and are never kept";
    cached.iter().all(|zone| cluster.role.ends(zone)).then(|| Finding::warning(&instance.name, text.to_owned()))
}

/// The zones that a `cache` line names, behind its TTL.
fn cached_zones(instance: &Instance) -> Vec<Name> {
    let is_number = |word: &Token| word.text.bytes().all(|octet| octet.is_ascii_digit());
    let words = instance.args.iter().skip(usize::from(instance.args.first().is_some_and(is_number)));
    words.filter_map(|word| word.zones().ok()).flatten().filter_map(|zone| Name::parse(&zone).ok()).collect()
}

/// `loop` in a block that forwards nothing.
fn idle_loop(picture: &Picture<'_>) -> Option<Finding> {
    let word = &picture.part("loop")?.stanza.name;
    let asks = picture
        .chain
        .iter()
        .any(|part| ["forward", "grpc"].contains(&part.name()) || matches!(part.role.kind, Kind::Unknown));
    let text = "finds nothing: no directive of this block asks other servers";
    (!asks).then(|| Finding::warning(word, text.to_owned()))
}

/// `transfer` in a block without a zone.
fn idle_transfer(picture: &Picture<'_>) -> Option<Finding> {
    let word = &picture.part("transfer")?.stanza.name;
    let with_zones = ["file", "auto", "secondary", "kubernetes", "dynupdate"];
    let has = |part: &super::Part<'_>| with_zones.contains(&part.name()) || matches!(part.role.kind, Kind::Unknown);
    let text = "has nothing to hand over: no directive of this block has a whole zone";
    (!picture.chain.iter().any(has)).then(|| Finding::warning(word, text.to_owned()))
}

/// `dynupdate` takes nothing that is not signed.
fn idle_dynupdate(picture: &Picture<'_>) -> Option<Finding> {
    let word = &picture.part("dynupdate")?.stanza.name;
    let text = "refuses every update: without `tsig` in this block nobody can show who they are";
    picture.part("tsig").is_none().then(|| Finding::warning(word, text.to_owned()))
}

/// What does nothing but to know labels, in a block whose queries have none.
fn unread_labels(picture: &Picture<'_>) -> Option<Finding> {
    if picture.part("metadata").is_some() {
        return None;
    }
    let of_proxies = || {
        let lines = picture.part("proxyproto")?.lines().find(|line| line.word.text == "tlv_metadata");
        lines.map(|line| &line.word)
    };
    let word = picture.part("geoip").map(|part| &part.stanza.name).or_else(of_proxies)?;
    let text = format!("the labels of `{}` can be read by nobody: add `metadata` to this block", word.text);
    Some(Finding::warning(word, text))
}

/// `proxyproto` that believes everybody.
fn credulous_listener(picture: &Picture<'_>) -> Option<Finding> {
    let part = picture.part("proxyproto")?;
    let says = |line: &crate::corefile::Line| match line.word.text.as_str() {
        "allow" => !line.args.is_empty(),
        word => word == "default",
    };
    let text = "whoever sends a header is believed, whatever address it names: name the proxies with `allow`";
    (!part.lines().any(says)).then(|| Finding::warning(&part.stanza.name, text.to_owned()))
}

/// A process that takes longer to end than it waits for the next look at its Corefile reads it while it ends.
pub(super) fn reload_and_lameduck(pictures: &[Picture<'_>]) -> Option<Finding> {
    let interval = pictures.iter().filter_map(|picture| picture.part("reload")).find_map(|part| {
        let first = part.stanza.instances.first()?.args.first();
        first.map_or(Some(INTERVAL), |word| word.duration().ok())
    })?;
    let lines = pictures.iter().filter_map(|picture| picture.part("health")).flat_map(|part| part.lines());
    let (word, lameduck) = lines.filter(|line| line.word.text == "lameduck").find_map(|line| {
        let word = line.args.first()?;
        Some((word, word.duration().ok()?))
    })?;
    let text = format!(
        "the process ends for {lameduck:?} and `reload` looks every {interval:?}: the Corefile is read again while it ends"
    );
    (lameduck > interval + MOMENT).then(|| Finding::warning(word, text))
}
