#![doc = include_str!("README.md")]

mod config;

use crate::chain::{Again, Context, Directive, DnsHandles, Exchange, Plugin, Sent, Terms};

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
        if let Some(handles) = self.handles(cx) {
            handles.observe(&exchange(cx, sent));
        }
    }

    fn again(&self, cx: &Context, sent: &Sent<'_>) -> Again {
        let tally = self.handles(cx).map(|handles| handles.recurring(&exchange(cx, sent)));
        Again::On(Terms { tally, ..Terms::default() })
    }
}

impl Counting {
    fn handles(&self, cx: &Context) -> Option<&DnsHandles> {
        self.handles.get(usize::from(cx.place.server))?.get(usize::from(cx.place.zone))
    }
}

fn exchange(cx: &Context, sent: &Sent<'_>) -> Exchange {
    Exchange {
        transport: cx.transport,
        peer: cx.peer,
        record_type: cx.query.question.record_type,
        dnssec_ok: cx.query.dnssec_ok(),
        request_size: cx.query.size,
        response_size: sent.size,
        rcode: sent.response.rcode,
        plugin: sent.response.plugin,
        duration: sent.now - cx.start,
    }
}
