//! How many queries a name costs, and how many it would.

use std::fmt::Write as _;

use super::step::Step;

/// A resolver asks for A and for AAAA.
const TYPES: usize = 2;

/// What the walk costs. `autopath` is the line of the one that is in force.
pub(super) fn text(wanted: &str, steps: &[Step], autopath: Option<u32>) -> String {
    let asked = steps.len() * TYPES;
    let of_cluster = steps.iter().filter(|step| step.of_cluster).count() * TYPES;
    let names = if steps.len() == 1 { "1 name".to_owned() } else { format!("{} names", steps.len()) };
    let mut text = format!("\n{names}, each for A and AAAA: {asked} queries\n");
    if steps.len() == 1 {
        return text;
    }
    match autopath {
        Some(line) => {
            _ = writeln!(
                text,
                "  with the autopath of line {line}, if it knows the pod: {TYPES}, the rest is looked up in the server"
            );
        }
        None => _ = writeln!(text, "  with autopath: {TYPES}, the rest would be looked up in the server"),
    }
    let outside = asked - of_cluster;
    _ = writeln!(
        text,
        "  with a node cache: {asked} to the node; what it does not keep goes on, {of_cluster} to the cluster's DNS and \
         {outside} to upstreams"
    );
    _ = writeln!(text, "  with a node cache and its autopath: {TYPES} to the node");
    if steps.last().is_some_and(|step| step.outcome.ends() && step.name.to_string() == format!("{wanted}.")) {
        _ = writeln!(text, "  written `{wanted}.`, with a dot at the end: {TYPES}");
    }
    text
}
