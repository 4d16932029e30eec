#![doc = include_str!("README.md")]

mod config;
mod messages;
mod notify;

use std::net::{IpAddr, SocketAddr};

use crate::{
    chain::{Context, Directive, Plugin, Rest, Step, ZoneSet, ZoneSources},
    wire::{Body, Following, Opcode, Rcode, RecordType, Records, Response},
};
use messages::Messages;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "transfer", parse: config::parse };

/// A `transfer` stanza.
#[derive(Debug)]
struct Rule {
    zones: ZoneSet,
    to: Hosts,
    /// From where changes are announced.
    source: Option<IpAddr>,
}

/// Who may have a zone.
#[derive(Debug, Default)]
struct Hosts {
    everybody: bool,
    /// These hear of changes as well.
    listed: Vec<SocketAddr>,
}

impl Hosts {
    fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.everybody || self.listed.iter().any(|known| known.ip().to_canonical() == peer)
    }
}

struct Transfer {
    rules: Vec<Rule>,
    sources: ZoneSources,
}

impl Plugin for Transfer {
    fn name(&self) -> &'static str {
        "transfer"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        if !matches!(question.record_type, RecordType::AXFR | RecordType::IXFR)
            || cx.query.flags.opcode() != Opcode::QUERY
        {
            return Step::Next;
        }
        // The rule with the longest zone says who may.
        let rules = self.rules.iter().filter_map(|rule| Some((rule.zones.find(&question.name)?.label_count(), rule)));
        let Some((_, rule)) = rules.max_by_key(|(labels, _)| *labels) else { return Step::Next };
        if !cx.transport.takes_series() || !rule.to.contains(cx.peer.ip()) {
            return Response::new(Rcode::REFUSED).into();
        }
        let Some(contents) = self.sources.contents(&question.name) else { return Step::Next };
        let zone = question.name;
        // RFC 1995 section 4: who has the newest version already is told so by the SOA alone.
        let is_current = question.record_type == RecordType::IXFR && cx.query.serial == Some(contents.serial);
        let mut messages = Messages::new(contents.records, is_current);
        let serial = contents.serial;
        tracing::info!(
            "plugin/transfer: outgoing transfer of zone {zone} with serial {serial} to {} begins",
            cx.peer.ip().to_canonical()
        );
        let Some(answer) = messages.next() else { return Response::new(Rcode::SERVFAIL).into() };
        let following = Following::new(messages.map(|answer| Records { answer, ..Records::default() }));
        let body = Body::Records(Records { answer, ..Records::default() });
        Response { authoritative: true, body, following: Some(following), ..Response::new(Rcode::NOERROR) }.into()
    }
}
