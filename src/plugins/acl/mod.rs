#![doc = include_str!("README.md")]

mod config;
mod networks;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::{
    chain::{Context, Directive, Plugin, Rest, Step, ZoneSet},
    metrics::Counter,
    wire::{Ede, Question, Rcode, RecordType, Response},
};
use networks::Networks;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "acl", parse: config::parse };

struct AccessControl {
    /// One for each time that the directive stands in the block.
    lists: Vec<List>,
    /// By server.
    allowed: Vec<Counter>,
}

/// Policies for some zones.
struct List {
    zones: ZoneSet,
    policies: Vec<Policy>,
    /// By zone, in the order of the set, and by server.
    refusals: Vec<Vec<Refusals>>,
}

/// Counters of one zone and server.
struct Refusals {
    blocked: Counter,
    filtered: Counter,
    dropped: Counter,
}

/// One line: what becomes of which queries.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    action: Action,
    /// None: all.
    types: Option<Vec<RecordType>>,
    /// None: all.
    networks: Option<Networks>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Allow,
    Block,
    Filter,
    Drop,
}

impl Policy {
    fn takes(&self, question: &Question, client: IpAddr) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&question.record_type))
            && self.networks.as_ref().is_none_or(|networks| networks.contain(client))
    }
}

impl AccessControl {
    /// What the first policy that takes a query does, and where it is counted. Nobody's query is allowed.
    fn verdict(&self, question: &Question, client: IpAddr, server: usize) -> (Action, Option<&Refusals>) {
        for list in &self.lists {
            let Some(zone) = list.zones.iter().position(|zone| question.name.is_within(zone)) else { continue };
            if let Some(policy) = list.policies.iter().find(|policy| policy.takes(question, client)) {
                return (policy.action, list.refusals.get(zone).and_then(|servers| servers.get(server)));
            }
        }
        (Action::Allow, None)
    }
}

impl Plugin for AccessControl {
    fn name(&self) -> &'static str {
        "acl"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let server = usize::from(cx.place.server);
        let (action, refusals) = self.verdict(cx.question(), cx.peer.ip().to_canonical(), server);
        let (counter, step) = match action {
            Action::Allow => (self.allowed.get(server), Step::Next),
            Action::Block => (refusals.map(|refusals| &refusals.blocked), refuse(Rcode::REFUSED, Ede::BLOCKED)),
            Action::Filter => (refusals.map(|refusals| &refusals.filtered), refuse(Rcode::NOERROR, Ede::FILTERED)),
            Action::Drop => (refusals.map(|refusals| &refusals.dropped), Step::Drop),
        };
        counter.inspect(|counter| counter.inc());
        step
    }
}

fn refuse(rcode: Rcode, why: u16) -> Step {
    Response { ede: Some(Ede::new(why, "")), ..Response::new(rcode) }.into()
}
