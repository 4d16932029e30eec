//! Datagrams to one upstream.
//!
//! A socket is good for a hundred queries or a second, whichever ends first; then another one, on another random port,
//! takes its place (RFC 5452 section 9.2). In a quiet hour each query has a port of its own, and under load a hundred
//! share the cost of one. Each thread has its own socket in use, so that nobody waits for anybody.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    Ask, AskError, Protocol,
    departures::Gate,
    port::{Fault, Port},
};
use crate::{metrics::Counter, wire::Packet};

/// Queries that leave from one port before another takes its place.
const QUERIES: usize = 128;
/// How long a port is used.
const LIFE: Duration = Duration::from_secs(1);
/// Ports to one upstream, of one thread, that are open at once. When all wait for a silent upstream, the last is used
/// for more queries than it should.
const MOST_PORTS: usize = 256;
/// Threads that have a place of their own; further ones share.
const THREADS: usize = 64;

/// The sockets towards one upstream.
pub(super) struct Ports {
    remote: SocketAddr,
    source: Option<IpAddr>,
    ignored: Counter,
    places: Box<[Place]>,
    /// Where ports are entered, so that a query that comes back from one is noticed.
    pub(super) gate: Option<Gate>,
}

/// What one thread has in use.
#[derive(Default)]
struct Place {
    current: Mutex<Option<Arc<Port>>>,
    open: Arc<AtomicUsize>,
}

thread_local! {
    static THREAD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Relaxed)
    };
}

impl Ports {
    pub(super) fn new(remote: SocketAddr, source: Option<IpAddr>, ignored: Counter) -> Self {
        let places = (0..THREADS).map(|_| Place::default()).collect();
        Self { remote, source, ignored, places, gate: None }
    }

    /// Asks, and waits at most `patience`. What is no answer to the question is passed over, and the wait goes on.
    /// An ICMP error ends it at once.
    pub(super) async fn exchange(&self, ask: &Arc<Ask>, patience: Duration) -> Result<Packet, AskError> {
        let (port, waiting) = self.enter(ask, patience)?;
        let answer = waiting.answer().await;
        let (protocol, remote) = (Protocol::Udp, self.remote);
        match answer {
            Ok(packet) => Ok(packet),
            Err(Fault::Timeout) => Err(AskError::Timeout { protocol, local: port.local(), remote }),
            Err(Fault::Socket(kind)) => {
                Err(AskError::Read { protocol, local: port.local(), remote, error: kind.into() })
            }
        }
    }

    /// A port with this query among those that wait.
    fn enter(&self, ask: &Arc<Ask>, patience: Duration) -> Result<(Arc<Port>, Waiting), AskError> {
        let place = &self.places[THREAD.with(|number| number % THREADS)];
        let now = Instant::now();
        let mut current = place.current();
        if let Some(port) = current.as_ref() {
            let worn = port.age(now) >= LIFE || port.sent() >= QUERIES;
            if (!worn || place.open.load(Relaxed) >= MOST_PORTS)
                && let Some(waiting) = Waiting::start(port, ask, now + patience)
            {
                return Ok((Arc::clone(port), waiting));
            }
        }
        let error = |error| AskError::Dial { protocol: Protocol::Udp, remote: self.remote, error };
        let (ignored, open, gate) = (self.ignored.clone(), Arc::clone(&place.open), self.gate.as_ref());
        let port = match Port::open(self.remote, self.source, LIFE, ignored, open, gate) {
            Ok(port) => port,
            // No descriptor or no port is left: better an old one than none.
            Err(shortage) => {
                let again = current.as_ref().and_then(|port| Some((port, Waiting::start(port, ask, now + patience)?)));
                return again.map(|(port, waiting)| (Arc::clone(port), waiting)).ok_or_else(|| error(shortage));
            }
        };
        let Some(waiting) = Waiting::start(&port, ask, now + patience) else {
            return Err(error(io::ErrorKind::ResourceBusy.into()));
        };
        if let Some(old) = current.replace(Arc::clone(&port)) {
            old.retire();
        }
        Ok((port, waiting))
    }
}

impl Place {
    fn current(&self) -> MutexGuard<'_, Option<Arc<Port>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query under way. Dropping it tells the port that nobody waits any more.
struct Waiting {
    port: Arc<Port>,
    place: (u16, usize),
    reply: oneshot::Receiver<Result<Packet, Fault>>,
}

impl Waiting {
    fn start(port: &Arc<Port>, ask: &Arc<Ask>, deadline: Instant) -> Option<Self> {
        let (sender, reply) = oneshot::channel();
        let place = port.enter(Arc::clone(ask), deadline, sender)?;
        Some(Self { port: Arc::clone(port), place, reply })
    }

    async fn answer(mut self) -> Result<Packet, Fault> {
        let reply = (&mut self.reply).await;
        reply.unwrap_or(Err(Fault::Socket(io::ErrorKind::UnexpectedEof)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.reply.is_terminated() {
            self.port.leave(self.place);
        }
    }
}
