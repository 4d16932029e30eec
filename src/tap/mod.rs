//! dnstap: copies of messages for somebody who collects them (dnstap.info).
//!
//! ```text
//!   Message ── message.rs ──► bytes ──► Outlet ──► a queue ──► frames.rs ──► a unix or tcp socket, or TLS
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

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    metrics::{Counter, Registry},
    tls::CredentialFiles,
};
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
    /// `host:port`, with TLS.
    Tls(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address) => write!(f, "tls://{address}"),
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
    /// A collector's certificate is not looked at.
    pub skip_verify: bool,
    /// Who we are to collectors that connect with TLS.
    pub credentials: Option<CredentialFiles>,
}

/// How long the last messages may take when the process ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// A way to collectors, which outlives reloads.
pub struct Outlet {
    queues: Queues,
    counts: Counts,
    /// What listens; ends with the outlet.
    door: Option<tokio::task::JoinHandle<()>>,
    /// Says when no more messages come. Whoever writes to a collector holds the other end.
    end: Arc<watch::Sender<bool>>,
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
        let end = Arc::new(watch::channel(false).0);
        if way.listen {
            let collectors = inward::Collectors::default();
            let door = inward::listen(way, collectors.clone(), counts.clone(), &end)?;
            return Ok(Self { queues: Queues::Many(collectors), counts, door: Some(door), end });
        }
        let (sender, messages) = mpsc::channel(way.queue);
        let ended = end.subscribe();
        tokio::spawn(outward::connect(way.clone(), Messages { messages, ended }, counts.clone()));
        Ok(Self { queues: Queues::One(sender), counts, door: None, end })
    }

    /// Ends the connections in order, with what waits written; nothing is taken from now on.
    pub async fn close(&self) {
        if let Some(door) = &self.door {
            door.abort();
        }
        self.end.send_replace(true);
        _ = timeout(FAREWELL, self.end.closed()).await;
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

/// The messages for one collector, in the hands of who writes them.
struct Messages {
    messages: mpsc::Receiver<Arc<[u8]>>,
    ended: watch::Receiver<bool>,
}

impl Messages {
    /// Takes what is there, or what comes next, at most so many, and gives the number; 0 at the end.
    async fn take(&mut self, batch: &mut Vec<Arc<[u8]>>, most: usize) -> usize {
        if !self.messages.is_closed() {
            tokio::select! {
                count = self.messages.recv_many(batch, most) => return count,
                // An error means that the outlet is gone, which is an end as well.
                _ = self.ended.wait_for(|end| *end) => self.messages.close(),
            }
        }
        self.messages.recv_many(batch, most).await
    }

    /// Whether nothing waits.
    fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Waits until no more messages come.
    async fn end(&mut self) {
        // Nobody else hands messages over than the outlet, with which the other end goes.
        _ = self.ended.wait_for(|end| *end).await;
    }
}

/// A connection to a collector.
trait Line: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

/// As Go's errors name a place.
fn dialled(place: &Place) -> String {
    match place {
        Place::Unix(path) => format!("dial unix {}", path.display()),
        Place::Tcp(address) | Place::Tls(address) => format!("dial tcp {address}"),
    }
}

/// An address as messages have it: IPv4 as IPv4 also on a socket for both families.
const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
