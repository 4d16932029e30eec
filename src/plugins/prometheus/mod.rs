#![doc = include_str!("README.md")]

mod config;

use crate::chain::{Context, Directive, DnsHandles, Exchange, Plugin, Sent};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "prometheus", parse: config::parse };

struct Counting {
    /// By server and zone of the block.
    handles: Vec<Vec<DnsHandles>>,
}

impl Plugin for Counting {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn sent(&self, cx: &Context, sent: &Sent<'_>) {
        let zones = self.handles.get(usize::from(cx.place.server));
        let Some(handles) = zones.and_then(|zones| zones.get(usize::from(cx.place.zone))) else { return };
        handles.observe(&Exchange {
            transport: cx.transport,
            peer: cx.peer,
            record_type: cx.query.question.record_type,
            dnssec_ok: cx.query.dnssec_ok(),
            request_size: cx.query.size,
            response_size: sent.size,
            rcode: sent.response.rcode,
            plugin: sent.response.plugin,
            duration: sent.now - cx.start,
        });
    }
}
