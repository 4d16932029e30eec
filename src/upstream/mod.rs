//! Asking somebody else: one upstream, its sockets, and whether it is healthy.
//!
//! ```text
//!   Upstream::ask ──► udp.rs     which port a query leaves from; port.rs is one socket and the queries on it
//!                ├──► stream.rs  kept connections, each with a task of its own; dial.rs opens them, plain or with TLS
//!                └──► trunk.rs   one connection with a stream for each query: https.rs, quic.rs, grpc.rs
//!   matching.rs   query → bytes; are these bytes the answer?
//!   policy.rs     whom to ask first, whom next
//!   health.rs     who is down
//!   rtt.rs        who is slow
//!   secure.rs     how an encrypted upstream is reached; tls.rs whom to believe
//!   departures.rs is a query one of our own that has gone round?
//!   hosts.rs      the addresses of an upstream that is given by name
//!   resolv_conf.rs  whom a file names
//! ```

mod departures;
mod dial;
mod error;
mod grpc;
mod health;
mod hosts;
mod https;
mod judge;
mod matching;
mod patience;
mod policy;
mod port;
mod pulse;
mod quic;
pub mod resolv_conf;
mod rtt;
mod secure;
mod stream;
mod tls;
mod tls_error;
mod trunk;
mod udp;
mod witness;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

pub use departures::{Departures, Loop, Probe};
pub use dial::{Stream, connect};
pub use error::AskError;
pub use health::Health;
pub use hosts::{Found, HostError, Hosts};
pub use patience::Patience;
pub use policy::{Attempts, Order, Policy, Way};
pub use rtt::Rtt;
pub use secure::{Means, Secure, ServerName};
pub use tls::{Tls, TlsFiles};
use tokio::runtime::Handle;

use crate::{
    metrics::{Counter, Registry},
    wire::{Edns, Flags, Packet, Question},
};
use departures::Gate;
use dial::Dial;
use secure::Road;
use stream::Pool;
use udp::Ports;

/// One server to ask.
pub struct Upstream {
    address: SocketAddr,
    ports: Ports,
    road: Road,
    /// Whether it answers.
    pub health: Health,
    /// How fast it answers.
    pub rtt: Rtt,
    /// Whether it is this server.
    pub looped: Arc<Loop>,
}

/// How an upstream is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connecting {
    /// The address to ask from.
    pub source: Option<IpAddr>,
    /// How long a connection waits for the next query.
    pub expire: Duration,
    /// How old a connection may be in all; zero = as old as it gets.
    pub max_age: Duration,
    /// How many connections may wait; 0 = as many as were needed.
    pub max_idle: usize,
}

impl Default for Connecting {
    fn default() -> Self {
        Self { source: None, expire: Duration::from_secs(10), max_age: Duration::ZERO, max_idle: 0 }
    }
}

/// What is asked, as the client said it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The question.
    pub question: Question,
    /// The opcode, RD, AD and CD are passed on.
    pub flags: Flags,
    /// The client's OPT record.
    pub edns: Option<Edns>,
}

/// Over what an upstream is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream with TLS (RFC 7858).
    Tls,
    /// HTTP/2 (RFC 8484).
    Https,
    /// QUIC (RFC 9250).
    Quic,
    /// Calls of gRPC, with TLS or without.
    Grpc,
}

impl Protocol {
    /// As metrics and errors write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tcp-tls",
            Self::Https => "https",
            Self::Quic => "quic",
            Self::Grpc => "grpc",
        }
    }

    /// What carries it.
    const fn network(self) -> &'static str {
        match self {
            Self::Udp | Self::Quic => "udp",
            Self::Tcp | Self::Tls | Self::Https | Self::Grpc => "tcp",
        }
    }
}

/// An answer, and how it came.
#[derive(Debug)]
pub struct Answer {
    /// The answer.
    pub packet: Packet,
    /// Over a connection that had served before.
    pub kept: bool,
}

impl Upstream {
    /// An upstream at this address. Connections live in tasks on `runtime`, so that any runtime may ask.
    pub fn new(address: SocketAddr, connecting: &Connecting, runtime: Handle, registry: &Registry) -> Self {
        let ignored = ignored(address, registry);
        let pool = Pool::new(address, Dial::Plain, connecting.clone(), runtime, ignored.clone());
        Self::over(address, Road::Plain(pool), connecting, ignored)
    }

    /// As [`Upstream::new`], but over TLS, HTTPS or QUIC only.
    pub fn encrypted(
        address: SocketAddr,
        secure: &Secure,
        connecting: &Connecting,
        runtime: Handle,
        registry: &Registry,
    ) -> Self {
        let ignored = ignored(address, registry);
        let road = Road::encrypted(address, secure, connecting, runtime, ignored.clone());
        Self::over(address, road, connecting, ignored)
    }

    /// As [`Upstream::new`], but in calls of gRPC only; over TLS if it is said how, and whom its certificate must name.
    pub fn grpc(
        address: SocketAddr,
        tls: Option<(&Tls, ServerName<'static>)>,
        connecting: &Connecting,
        runtime: Handle,
        registry: &Registry,
    ) -> Self {
        let ignored = ignored(address, registry);
        let road = Road::grpc(address, tls, connecting, runtime, ignored.clone());
        Self::over(address, road, connecting, ignored)
    }

    fn over(address: SocketAddr, road: Road, connecting: &Connecting, ignored: Counter) -> Self {
        let ports = Ports::new(address, connecting.source, ignored);
        Self {
            address,
            ports,
            road,
            health: Health::default(),
            rtt: Rtt::default(),
            looped: Arc::new(Loop::new(address)),
        }
    }

    /// The same, but noticed if its queries come back to this server.
    #[must_use]
    pub fn departing(mut self, departures: &Arc<Departures>) -> Self {
        let gate = Gate { departures: Arc::clone(departures), upstream: Arc::clone(&self.looped) };
        self.ports.gate = Some(gate);
        self
    }

    /// Its address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Over what it is asked, if a plain one would be asked over `plain`.
    pub const fn protocol(&self, plain: Protocol) -> Protocol {
        match self.road.protocol() {
            Some(own) => own,
            None => plain,
        }
    }

    /// Asks, and waits at most as `patience` has it. An encrypted upstream is asked over its own protocol.
    ///
    /// # Errors
    /// No usable answer.
    pub async fn ask(
        &self,
        ask: &Arc<Ask>,
        protocol: Protocol,
        patience: impl Into<Patience>,
    ) -> Result<Answer, AskError> {
        let patience = patience.into();
        match self.protocol(protocol) {
            Protocol::Udp => {
                let packet = self.ports.exchange(ask, patience.answer).await?;
                Ok(Answer { packet, kept: false })
            }
            _ => self.road.exchange(ask, patience).await,
        }
    }
}

fn ignored(address: SocketAddr, registry: &Registry) -> Counter {
    let family = registry.counter(
        "seamark_upstream_ignored_replies_total",
        "Messages from an upstream that were no answer to a query and were passed over.",
        &["to"],
    );
    family.with_label_values(&[&address.to_string()])
}
