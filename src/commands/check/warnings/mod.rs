//! What loads, or looks as if it did, and is not what was meant.

mod listeners;
mod order;
mod retired;
mod rules;
mod settings;

use super::report::Finding;
use crate::{
    commands::picture::{Part, Picture},
    corefile::Corefile,
};

/// All warnings about a Corefile that reads well, and errors that a start would find.
pub(super) fn of(corefile: &Corefile, pictures: &[Picture<'_>]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = corefile.warnings.iter().cloned().map(Finding::from).collect();
    findings.extend(listeners::zones_twice(pictures));
    findings.extend(listeners::never_reached(pictures));
    findings.extend(listeners::caught_zones(pictures));
    for picture in pictures {
        findings.extend(listeners::not_encrypted(picture));
        findings.extend(listeners::forwards_to_itself(picture));
        findings.extend(order::nobody_answers(picture));
        findings.extend(order::nothing_behind(picture));
        findings.extend(order::nothing_left(picture));
        findings.extend(order::outside(picture));
        findings.extend(order::forwards_never_used(picture));
        findings.extend(settings::of(picture));
        findings.extend(retired::of(picture));
        findings.extend(rules::never_met(picture));
    }
    findings.extend(settings::reload_and_lameduck(pictures));
    findings.sort_by(|a, b| (b.is_error, a.place).cmp(&(a.is_error, b.place)));
    findings
}
