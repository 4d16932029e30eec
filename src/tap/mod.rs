//! dnstap: copies of messages for somebody who collects them (dnstap.info).
//!
//! ```text
//!   Message ── message.rs ──► bytes ──► Outlet ──► a queue ──► frames.rs ──► a unix or tcp socket
//!                                          outward.rs  we connect
//!                                          inward.rs   they connect
//! ```
//!
//! Nobody who answers queries ever waits for a collector: what does not fit the queue is dropped and counted.

mod frames;
mod inward;
mod message;
mod outward;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use crate::metrics::{Counter, Registry};
pub use message::{Family, Kind, Message, Origin};

/// How many messages wait for a collector.
pub const QUEUE: usize = 10_000;

/// Where collectors are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A socket file.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// How messages get out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Where to.
    pub place: Place,
    /// Collectors connect to us, not we to them.
    pub listen: bool,
    /// How many messages may wait.
    pub queue: usize,
    /// The kernel's buffer for a TCP connection, octets; `None` as it is.
    pub buffer: Option<usize>,
}

/// A way to collectors, which outlives reloads.
pub struct Outlet {
    queues: Queues,
    counts: Counts,
    /// What listens; ends with the outlet.
    door: Option<tokio::task::JoinHandle<()>>,
}

/// Messages on their way to one collector.
type Queue = mpsc::Sender<Arc<[u8]>>;

enum Queues {
    One(Queue),
    /// One for each collector that is connected.
    Many(inward::Collectors),
}

/// What is counted of an outlet.
#[derive(Clone)]
struct Counts {
    sent: Counter,
    dropped: Counter,
}

impl Counts {
    fn register(place: &Place, registry: &Registry) -> Self {
        let place = place.to_string();
        let sent =
            registry.counter("seamark_dnstap_sent_total", "Messages that were written to a collector.", &["socket"]);
        let help = "Messages that were dropped because a collector did not take them in time.";
        let dropped = registry.counter("seamark_dnstap_dropped_total", help, &["socket"]);
        let of = |family: crate::metrics::CounterFamily| family.with_label_values(&[place.as_str()]);
        Self { sent: of(sent), dropped: of(dropped) }
    }
}

impl Outlet {
    /// Opens a way. Needs a tokio runtime, on which it writes.
    ///
    /// # Errors
    /// The place to listen at cannot be bound.
    pub fn open(way: &Way, registry: &Registry) -> std::io::Result<Self> {
        let counts = Counts::register(&way.place, registry);
        if way.listen {
            let collectors = inward::Collectors::default();
            let door = inward::listen(way, collectors.clone(), counts.clone())?;
            return Ok(Self { queues: Queues::Many(collectors), counts, door: Some(door) });
        }
        let (sender, messages) = mpsc::channel(way.queue);
        tokio::spawn(outward::connect(way.clone(), messages, counts.clone()));
        Ok(Self { queues: Queues::One(sender), counts, door: None })
    }

    /// Whether somebody may take a message: else there is no need to make one.
    pub fn is_open(&self) -> bool {
        match &self.queues {
            Queues::One(_) => true,
            Queues::Many(collectors) => !collectors.is_empty(),
        }
    }

    /// Hands a message over. Never waits.
    pub fn send(&self, message: Vec<u8>) {
        let message: Arc<[u8]> = message.into();
        match &self.queues {
            Queues::One(queue) => {
                if queue.try_send(message).is_err() {
                    self.counts.dropped.inc();
                }
            }
            Queues::Many(collectors) => collectors.send(&message, &self.counts.dropped),
        }
    }

    /// How many messages have been dropped.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.get()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Some(door) = &self.door {
            door.abort();
        }
    }
}

/// A connection to a collector.
trait Line: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

/// As Go's errors name a place.
fn dialled(place: &Place) -> String {
    match place {
        Place::Unix(path) => format!("dial unix {}", path.display()),
        Place::Tcp(address) => format!("dial tcp {address}"),
    }
}

/// An address as messages have it: IPv4 as IPv4 also on a socket for both families.
const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
