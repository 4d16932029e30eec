#![doc = include_str!("README.md")]

mod config;
mod copy;

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use tokio::sync::Notify;

use crate::{
    authority::{Zones, answer},
    chain::{Context, Directive, Plugin, Rest, Server, Step, ZoneSet},
    wire::{Name, Opcode, Rcode, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "secondary", parse: config::parse };

struct Secondary {
    zones: Zones,
    /// Who may say that a zone has changed, and who wants to hear it.
    primaries: HashMap<Name, (Vec<IpAddr>, Arc<Notify>)>,
    fallthrough: ZoneSet,
    server: Server,
}

impl Plugin for Secondary {
    fn name(&self) -> &'static str {
        "secondary"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        let Some(cell) = self.zones.find(&cx.question().name) else {
            return if rest.is_empty() { Response::new(Rcode::REFUSED).into() } else { Step::Next };
        };
        if cx.query.flags.opcode() == Opcode::NOTIFY {
            return self.notified(cx);
        }
        answer(cx, cell, &self.fallthrough, &self.server)
    }
}

impl Secondary {
    /// RFC 1996 section 3.10: a primary is believed that there is something new, others are not answered.
    fn notified(&self, cx: &Context) -> Step {
        let zone = &cx.question().name;
        let peer = cx.peer.ip().to_canonical();
        match self.primaries.get(zone).filter(|(primaries, _)| primaries.contains(&peer)) {
            Some((_, news)) => {
                news.notify_one();
                Response { authoritative: true, ..Response::new(Rcode::NOERROR) }.into()
            }
            None => {
                tracing::info!("plugin/secondary: dropping a notify from {peer} for {zone}: it is no primary of it");
                Step::Drop
            }
        }
    }
}
