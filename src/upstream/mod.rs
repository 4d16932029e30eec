//! Asking somebody else: one upstream, its sockets, and whether it is healthy.

mod health;
mod policy;
pub mod resolv_conf;
mod tcp;
mod udp;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

pub use health::Health;
pub use policy::Policy;

use crate::wire::{Edns, Flags, MAX_MESSAGE, Packet, Question, encode_query};
use tcp::Pool;

/// One server to ask.
pub struct Upstream {
    address: SocketAddr,
    source: Option<IpAddr>,
    pool: Pool,
    /// Whether it answers.
    pub health: Health,
}

/// What is asked, as the client said it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The question.
    pub question: Question,
    /// RD, AD and CD are passed on.
    pub flags: Flags,
    /// The client's OPT record.
    pub edns: Option<Edns>,
}

/// Why an upstream gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No answer in time.
    #[error("read {protocol} {address}: i/o timeout")]
    Timeout {
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// Who was asked.
        address: SocketAddr,
    },
    /// The system says no.
    #[error("{protocol} {address}: {error}")]
    Io {
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// Who was asked.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

impl Upstream {
    /// An upstream at this address. `source` is the address to ask from.
    pub fn new(address: SocketAddr, source: Option<IpAddr>, expire: Duration, max_idle: usize) -> Self {
        Self { address, source, pool: Pool::new(expire, max_idle), health: Health::default() }
    }

    /// Its address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks over UDP or TCP and waits at most `patience`. Says also whether a kept connection was used.
    ///
    /// # Errors
    /// No usable answer.
    pub async fn ask(&self, ask: &Ask, tcp: bool, patience: Duration) -> Result<(Packet, bool), AskError> {
        let protocol = if tcp { "tcp" } else { "udp" };
        let exchange = async {
            if tcp {
                tcp::exchange(self.address, self.source, &self.pool, ask).await
            } else {
                udp::exchange(self.address, self.source, ask).await.map(|packet| (packet, false))
            }
        };
        match tokio::time::timeout(patience, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(AskError::Io { protocol, address: self.address, error }),
            Err(_) => Err(AskError::Timeout { protocol, address: self.address }),
        }
    }
}

/// A query in wire form with a fresh id.
fn encoded(ask: &Ask) -> (u16, Vec<u8>) {
    let id = rand::random::<u16>();
    let flags = Flags(ask.flags.0 & (Flags::RD | Flags::AD | Flags::CD));
    let mut bytes = vec![0; 512 + ask.edns.as_ref().map_or(0, |edns| edns.options.len()).min(MAX_MESSAGE)];
    let length = encode_query(id, flags, &ask.question, ask.edns.as_ref(), &mut bytes);
    bytes.truncate(length);
    (id, bytes)
}

/// The answer in these bytes, if they are one to this question with this id.
fn answer_to(ask: &Ask, id: u16, bytes: &[u8]) -> Option<Packet> {
    if crate::wire::message_id(bytes) != Some(id) || !Flags::of_message(bytes).is_response() {
        return None;
    }
    Packet::parse(bytes).ok().filter(|packet| *packet.question() == ask.question)
}

/// Any address of the family of another.
fn any_like(address: SocketAddr, source: Option<IpAddr>) -> SocketAddr {
    let any = match (source, address) {
        (Some(source), _) => source,
        (None, SocketAddr::V4(_)) => IpAddr::from([0; 4]),
        (None, SocketAddr::V6(_)) => IpAddr::from([0; 16]),
    };
    SocketAddr::new(any, 0)
}
