//! Asking somebody else: one upstream, its sockets, and whether it is healthy.
//!
//! ```text
//!   Upstream::ask ──► udp.rs     which port a query leaves from
//!                │      port.rs  one socket and the queries that wait on it
//!                └──► stream.rs  kept connections, each with a task of its own
//!   matching.rs   query → bytes; are these bytes the answer?
//!   policy.rs     whom to ask first, whom next
//!   health.rs     who is down
//!   rtt.rs        who is slow
//!   resolv_conf.rs  whom a file names
//! ```

mod error;
mod health;
mod matching;
mod policy;
mod port;
pub mod resolv_conf;
mod rtt;
mod stream;
mod udp;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

pub use error::AskError;
pub use health::Health;
pub use policy::{Attempts, Order, Policy};
pub use rtt::Rtt;
use tokio::runtime::Handle;

use crate::{
    metrics::Registry,
    wire::{Edns, Flags, Packet, Question},
};
use stream::Pool;
use udp::Ports;

/// One server to ask.
pub struct Upstream {
    address: SocketAddr,
    ports: Ports,
    pool: Pool,
    /// Whether it answers.
    pub health: Health,
    /// How fast it answers.
    pub rtt: Rtt,
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
}

impl Protocol {
    /// As metrics and errors write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
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
        let ignored = registry.counter(
            "seamark_upstream_ignored_replies_total",
            "Messages from an upstream that were no answer to a query and were passed over.",
            &["to"],
        );
        let ignored = ignored.with_label_values(&[&address.to_string()]);
        let pool = Pool::new(address, connecting.clone(), runtime, ignored.clone());
        let ports = Ports::new(address, connecting.source, ignored);
        Self { address, ports, pool, health: Health::default(), rtt: Rtt::default() }
    }

    /// Its address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks, and waits at most `patience`.
    ///
    /// # Errors
    /// No usable answer.
    pub async fn ask(&self, ask: &Arc<Ask>, protocol: Protocol, patience: Duration) -> Result<Answer, AskError> {
        match protocol {
            Protocol::Udp => {
                let packet = self.ports.exchange(ask, patience).await?;
                Ok(Answer { packet, kept: false })
            }
            Protocol::Tcp => match tokio::time::timeout(patience, self.pool.exchange(ask)).await {
                Ok(answer) => answer,
                Err(_) => Err(AskError::Timeout { protocol, local: None, remote: self.address }),
            },
        }
    }
}
