#![doc = include_str!("README.md")]

mod config;
mod rules;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::{
    authority::{Zones, answer},
    chain::{Context, Directive, Plugin, Rest, Server, Step, ZoneSet},
    wire::{Class, Failure, Opcode, Origin, Rcode, RecordType, Response},
};
use rules::Rules;
use store::Store;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "dynupdate", parse: config::parse };

/// Answers from one zone, and changes it for those who may.
struct DynUpdate {
    zones: Zones,
    store: Arc<Store>,
    rules: Arc<Rules>,
    server: Server,
}

impl Plugin for DynUpdate {
    fn name(&self) -> &'static str {
        "dynupdate"
    }

    fn takes_updates(&self) -> bool {
        true
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        if cx.query.flags.opcode() == Opcode::UPDATE {
            return self.update(cx);
        }
        let Some(cell) = self.zones.find(&cx.question().name) else { return Step::Next };
        // What may change at any moment is not for the cache.
        match answer(cx, cell, &ZoneSet::default(), &self.server) {
            Step::Answer(response) => Response { origin: Origin::Live, ..response }.into(),
            Step::Wait(waiting) => {
                Step::Wait(Box::pin(async move { Response { origin: Origin::Live, ..waiting.await } }))
            }
            other => other,
        }
    }
}

impl DynUpdate {
    /// Answers an update, whatever its zone: whoever else said that it was made would lie.
    fn update(&self, cx: &mut Context) -> Step {
        let say = |rcode| Response { authoritative: true, origin: Origin::Live, ..Response::new(rcode) };
        let zone = &cx.query.question;
        if zone.record_type != RecordType::SOA || zone.class != Class::IN {
            return say(Rcode::FORMERR).into();
        }
        if zone.name != *self.store.origin() {
            return say(Rcode::NOTAUTH).into();
        }
        // RFC 2136 section 3.3: only whom we know. `tsig` says who it is.
        let key = cx.seal().and_then(|seal| seal.proven_key()).copied();
        let Some((key, update)) = key.filter(|key| self.rules.has(key)).zip(cx.query.update.take()) else {
            return say(Rcode::REFUSED).into();
        };
        let (store, rules, peer) = (Arc::clone(&self.store), Arc::clone(&self.rules), cx.peer);
        // The disk is waited for by a thread that answers nothing else.
        let made = tokio::task::spawn_blocking(move || store.update(&rules, &key, &update));
        Step::Wait(Box::pin(async move {
            let (rcode, cause) = match made.await {
                Ok(Ok(Some(serial))) => {
                    tracing::info!("plugin/dynupdate: updated by key {key} from {peer}, serial {serial}");
                    (Rcode::NOERROR, None)
                }
                Ok(Ok(None)) => (Rcode::NOERROR, None),
                Ok(Err(refusal)) => (refusal.rcode, refusal.cause),
                Err(_) => (Rcode::SERVFAIL, Some("the update ended in the middle".to_owned())),
            };
            Response { cause: cause.map(|cause| Box::new(Failure::Server(cause.into()))), ..say(rcode) }
        }))
    }
}
