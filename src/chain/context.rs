use std::{any::Any, net::SocketAddr, sync::Arc, time::Instant};

use super::labels::Note;
use crate::{
    tsig::Seal,
    versions::Seen,
    wire::{Query, Question},
};

/// Everything that is known of a query on its way through a chain.
#[derive(Debug, Clone)]
pub struct Context {
    /// The query as the client sent it.
    pub query: Query,
    /// Who asked.
    pub peer: SocketAddr,
    /// The address that was asked.
    pub local: SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// What a proxy said of the client besides its address, as a list of type, length and value (`proxyproto`).
    pub tlvs: Option<Arc<[u8]>>,
    /// When it came.
    pub start: Instant,
    /// Which listener and zone it was routed to.
    pub place: Place,
    /// What the plugin that answered has read, for [`super::Plugin::again`].
    pub seen: Seen,
    /// What signs the answer, or says in it why the query's signature is not believed.
    seal: Option<Arc<Seal>>,
    /// How many plugins of the chain the query has passed: those hear of the response and of its leaving.
    pub(super) passed: usize,
    /// How many questions of our own this one is below the client's.
    pub(super) depth: u8,
    /// Who was asked for the answer.
    pub(super) upstream: Option<SocketAddr>,
    instead: Option<Box<Question>>,
    notes: Option<Box<Note>>,
    /// What plugins remember for the way back; nearly always nothing.
    memory: Vec<Arc<dyn Any + Send + Sync>>,
}

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram; the answer must fit the client's buffer.
    Udp,
    /// A stream, encrypted or not; the answer may have 65,535 octets, as with all that follow.
    Tcp,
    /// A request over HTTP/1.1 or HTTP/2 with one reply.
    Https,
    /// A call with one reply.
    Grpc,
    /// A stream of a QUIC connection.
    Quic,
    /// A request over HTTP/3 with one reply.
    Https3,
}

impl Transport {
    /// As the `proto` label and `log` write it: what carries it all.
    pub const fn as_str(self) -> &'static str {
        if self.is_over_tcp() { "tcp" } else { "udp" }
    }

    /// Whether TCP carries it.
    pub const fn is_over_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Https | Self::Grpc)
    }

    /// Whether an answer may have 65,535 octets.
    pub const fn is_stream(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether an answer may be several messages, as that to AXFR.
    pub const fn takes_series(self) -> bool {
        matches!(self, Self::Tcp | Self::Quic)
    }
}

/// Which part of the site a query was routed to. Plugins keep metric handles by these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Number of the listener in the site.
    pub listener: u16,
    /// Number of the listener among those of the server block: index into [`super::Block::servers`].
    pub server: u16,
    /// Number of the zone among those of the server block: index into [`super::Block::zones`].
    pub zone: u16,
}

impl Context {
    /// A context at the start of a chain.
    pub fn new(query: Query, peer: SocketAddr, local: SocketAddr, transport: Transport, start: Instant) -> Self {
        Self {
            query,
            peer,
            local,
            transport,
            tlvs: None,
            start,
            place: Place::default(),
            seen: Seen::default(),
            seal: None,
            passed: 0,
            depth: 0,
            upstream: None,
            instead: None,
            notes: None,
            memory: Vec::new(),
        }
    }

    /// How many questions of our own this one is below the client's.
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// The question as it is now.
    pub fn question(&self) -> &Question {
        self.instead.as_deref().unwrap_or(&self.query.question)
    }

    /// Puts another question in place of the client's for the rest of the chain.
    pub fn ask_instead(&mut self, question: Question) {
        self.instead = Some(Box::new(question));
    }

    /// The upstream whose answer this query gets, once it is there.
    pub const fn upstream(&self) -> Option<SocketAddr> {
        self.upstream
    }

    /// Has the answer signed, whoever gives it and wherever it comes from.
    pub fn set_seal(&mut self, seal: Arc<Seal>) {
        self.query.room = seal.room();
        self.seal = Some(seal);
    }

    /// What signs the answer.
    pub const fn seal(&self) -> Option<&Arc<Seal>> {
        self.seal.as_ref()
    }

    /// Notes a label of this query that only shows on the way. Ask [`super::Labels::are_enabled`] first: nobody may want it.
    pub fn note(&mut self, name: &'static str, value: String) {
        self.notes = Some(Box::new(Note { name, value, earlier: self.notes.take() }));
    }

    /// What was noted last under this name.
    pub fn noted(&self, name: &str) -> Option<&str> {
        let mut note = self.notes.as_deref();
        while let Some(Note { name: known, value, earlier }) = note {
            if *known == name {
                return Some(value);
            }
            note = earlier.as_deref();
        }
        None
    }

    /// Remembers a value for the way back.
    pub fn remember<T: Any + Send + Sync>(&mut self, value: T) {
        self.memory.push(Arc::new(value));
    }

    /// Takes back what was remembered last of this type.
    pub fn recall<T: Any + Send + Sync>(&mut self) -> Option<Arc<T>> {
        let at = self.memory.iter().rposition(|value| value.is::<T>())?;
        self.memory.remove(at).downcast().ok()
    }

    /// The same query at the start of a chain again, its own question in force.
    #[must_use]
    pub fn into_fresh(self) -> Self {
        Self {
            passed: 0,
            upstream: None,
            instead: None,
            notes: None,
            memory: Vec::new(),
            seen: Seen::default(),
            seal: None,
            ..self
        }
    }

    /// The largest answer that the client can take, in octets.
    pub fn limit(&self) -> usize {
        if self.transport.is_stream() { crate::wire::MAX_MESSAGE } else { self.query.udp_limit() }
    }
}
