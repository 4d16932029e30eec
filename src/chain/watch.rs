use std::{net::SocketAddr, sync::Arc, time::Instant};

use super::Context;
use crate::wire::Packet;

/// Wants to know what is asked of upstreams for the queries of a block (`dnstap`, `trace`).
pub trait WatchUpstreams: Send + Sync {
    /// An upstream has been asked, and has answered or not.
    fn asked(&self, cx: &Context, asked: &AskedUpstream<'_>);
}

/// One exchange with an upstream.
#[derive(Debug, Clone, Copy)]
pub struct AskedUpstream<'a> {
    /// Who was asked.
    pub upstream: SocketAddr,
    /// Over what, as metrics write it: `udp`, `tcp`, `tcp-tls`, `https`, `quic`.
    pub protocol: &'static str,
    /// When it was asked.
    pub start: Instant,
    /// When it answered, or was given up.
    pub end: Instant,
    /// What it answered; `None` if nothing of use came.
    pub answer: Option<&'a Packet>,
}

/// A query that is watched on its way to upstreams. There is none for blocks in which nobody watches.
#[derive(Clone)]
pub struct Watched {
    watchers: Arc<[Arc<dyn WatchUpstreams>]>,
    cx: Arc<Context>,
}

impl Watched {
    /// A query that these watch; `None` if nobody does.
    pub fn of(watchers: &Arc<[Arc<dyn WatchUpstreams>]>, cx: &Context) -> Option<Self> {
        (!watchers.is_empty()).then(|| Self { watchers: Arc::clone(watchers), cx: Arc::new(cx.clone()) })
    }

    /// Tells of an exchange.
    pub fn tell(&self, asked: &AskedUpstream<'_>) {
        let mut cx = Context::clone(&self.cx);
        cx.upstream = Some(asked.upstream);
        self.watchers.iter().for_each(|watcher| watcher.asked(&cx, asked));
    }
}
