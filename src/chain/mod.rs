//! How plugins meet: a chain is a list, and a query walks along it until some plugin answers. The response walks
//! back through those that it passed.
//!
//! ```text
//!   query     errors ──► log ──► cache ──► kubernetes ──► forward
//!               Next      Next     Next       Answer
//!   response  errors ◄── log ◄── cache ◄──────┘
//!   sent      errors ◄── log ◄── cache        (the bytes have left: count, log)
//! ```
//!
//! A plugin that must wait for somebody returns [`Step::Wait`]; the walk is parked and goes on when its future is
//! done. Start reading at [`Plugin`]; `walk.rs` is the loop, `directive.rs` is how a Corefile word becomes a plugin.

mod again;
mod block;
mod context;
mod directive;
mod dns_metrics;
mod facts;
mod format;
mod labels;
mod offer;
mod proxy_rules;
mod rest;
mod role;
mod sources;
mod stream_limits;
mod tcp_limits;
mod walk;
mod watch;
mod zones;

use std::{future::Future, pin::Pin};

pub use again::{Again, Recurrence, Tally, Terms};
pub use block::{Block, BlockParts, Control, HttpEndpoint, OnBindFailure, Probe, Probes, Shared, Shed, Started, View};
pub use context::{Context, Place, Transport};
pub use directive::{Build, BuildError, Directive, Keys, Parse};
pub use dns_metrics::{DnsFamilies, DnsHandles, Exchange};
pub use facts::{Asked, read_expression};
pub use format::Format;
pub use labels::{LabelSource, Labels};
pub use offer::Offered;
pub use proxy_rules::{Manner, ProxyRules};
pub use rest::{Asker, Inquire, Rest, Server, ServerSlot};
pub use role::{Kind, Role};
pub use sources::{Contents, ZoneSource, ZoneSources};
pub use stream_limits::StreamLimits;
pub use tcp_limits::TcpLimits;
pub use walk::{Chain, Outcome, Parked};
pub use watch::{AskedUpstream, WatchUpstreams, Watched};
pub use zones::ZoneSet;

use crate::wire::{Flags, Response};

/// A boxed future that may move between threads.
pub type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A link of the chain.
pub trait Plugin: Send + Sync + 'static {
    /// The directive's name, as logs and the `plugin` label write it.
    fn name(&self) -> &'static str;

    /// Whether it answers updates (RFC 2136), and lets none pass.
    fn takes_updates(&self) -> bool {
        false
    }

    /// The query on its way in.
    fn query(&self, _cx: &mut Context, _rest: Rest<'_>) -> Step {
        Step::Next
    }

    /// A plugin further on waits for somebody; called for each plugin that the query has passed. May share the wait
    /// among equal queries, or do something when it ends. Without it the wait stays as it is.
    fn waiting(&self, cx: &Context, answer: Waiting<Response>) -> Waiting<Response> {
        _ = cx;
        answer
    }

    /// The response on its way out. Called for the plugins that said [`Step::Next`], last first; the plugin that
    /// answered is not called.
    fn response(&self, _cx: &mut Context, _response: &mut Response) {}

    /// The bytes have left: log, count. Called for the same plugins as `response`.
    fn sent(&self, _cx: &Context, _sent: &Sent<'_>) {}

    /// Whether the same bytes may leave once more when the same query comes. Called for the plugins that the query has
    /// passed and for the one that answered at once. Who does not know better is asked each time.
    fn again(&self, _cx: &Context, _sent: &Sent<'_>) -> Again {
        Again::Never
    }
}

/// What a plugin does with a query.
#[expect(clippy::large_enum_variant, reason = "an answer from memory costs no heap")]
pub enum Step {
    /// Not mine.
    Next,
    /// Here is the answer (or the refusal, or the failure with its cause).
    Answer(Response),
    /// I must ask somebody; park the query.
    Wait(Waiting<Response>),
    /// Say nothing at all.
    Drop,
}

impl From<Response> for Step {
    fn from(response: Response) -> Self {
        Self::Answer(response)
    }
}

/// A response that has left, for [`Plugin::sent`].
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// The response as it was after all plugins.
    pub response: &'a Response,
    /// Length of the message in octets.
    pub size: usize,
    /// The header's flags as they were written.
    pub flags: Flags,
    /// When it left.
    pub now: std::time::Instant,
}
