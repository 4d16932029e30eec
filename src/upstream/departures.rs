//! Whether an upstream is this server itself: a query over UDP that comes from a port of ours, and that an equal question
//! has left from and not been answered, has gone round.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::wire::{Name, Question};

/// How long an upstream that is this server is left alone before it is tried again: DNS of the host may have changed.
const PAUSE: Duration = Duration::from_secs(30);
/// Parts with a lock of their own.
const PARTS: usize = 16;

/// Where queries to upstreams leave from.
pub struct Departures {
    parts: [Mutex<HashMap<SocketAddr, Gone>>; PARTS],
    probes: Mutex<HashMap<Name, Arc<Loop>>>,
}

/// What leaves from one address.
struct Gone {
    upstream: Arc<Loop>,
    port: Weak<dyn UnderWay>,
}

/// Somebody who has sent questions.
pub(super) trait UnderWay: Send + Sync {
    /// Whether this one is not answered yet.
    fn asks(&self, question: &Question) -> bool;
}

/// Whether one upstream is this server.
#[derive(Debug)]
pub struct Loop {
    /// The upstream's address.
    pub address: SocketAddr,
    start: Instant,
    /// Milliseconds from `start` on until which it counts as such; 0 = it was never seen to be.
    until: AtomicU64,
}

/// Enters what leaves for one upstream.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) departures: Arc<Departures>,
    pub(super) upstream: Arc<Loop>,
}

impl Gate {
    /// Queries leave from `address` until the departure is dropped.
    pub(super) fn open(&self, address: SocketAddr, port: Weak<dyn UnderWay>) -> Departure {
        self.departures.enter(address, &self.upstream, port)
    }
}

/// A socket that queries leave from.
pub(super) struct Departure {
    departures: Arc<Departures>,
    address: SocketAddr,
}

/// A name that only this server and one upstream know.
pub struct Probe {
    departures: Arc<Departures>,
    /// The name to ask for.
    pub name: Name,
}

impl Default for Departures {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), probes: Mutex::default() }
    }
}

impl Loop {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, start: Instant::now(), until: AtomicU64::new(0) }
    }

    /// It was seen to be this server. `true` if that is news.
    pub fn mark(&self, now: Instant) -> bool {
        let until = now.saturating_duration_since(self.start) + PAUSE;
        let before = self.until.swap(until.as_millis() as u64, Relaxed);
        before == 0
    }

    /// Whether it was ever seen to be this server, and not somebody else since.
    pub fn was_marked(&self) -> bool {
        self.until.load(Relaxed) != 0
    }

    /// Whether it is to be left alone.
    pub fn is_closed(&self, now: Instant) -> bool {
        let until = self.until.load(Relaxed);
        until != 0 && now.saturating_duration_since(self.start).as_millis() < u128::from(until)
    }

    /// It has answered, and no query of ours came back meanwhile. `true` if that is news.
    pub fn clear(&self, now: Instant) -> bool {
        self.until.load(Relaxed) != 0 && !self.is_closed(now) && self.until.swap(0, Relaxed) != 0
    }
}

impl Departures {
    fn part(&self, address: SocketAddr) -> MutexGuard<'_, HashMap<SocketAddr, Gone>> {
        let part = &self.parts[usize::from(address.port()) % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probes(&self) -> MutexGuard<'_, HashMap<Name, Arc<Loop>>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, address: SocketAddr, upstream: &Arc<Loop>, port: Weak<dyn UnderWay>) -> Departure {
        let address = canonical(address);
        self.part(address).insert(address, Gone { upstream: Arc::clone(upstream), port });
        Departure { departures: Arc::clone(self), address }
    }

    /// The upstream that a query over UDP has come back from, by its sender's address and by its question. The address alone
    /// would not do: others on this host may have it towards other servers.
    pub fn returned(&self, peer: SocketAddr, question: &Question) -> Option<Arc<Loop>> {
        let peer = canonical(peer);
        let (upstream, port) = {
            let part = self.part(peer);
            let gone = part.get(&peer)?;
            (Arc::clone(&gone.upstream), gone.port.upgrade()?)
        };
        port.asks(question).then_some(upstream)
    }

    /// A name below `zone` to ask an upstream for, so that a loop over other servers shows.
    pub fn probe(self: &Arc<Self>, zone: &Name, upstream: &Arc<Loop>) -> Option<Probe> {
        let label = format!("{:016x}.{:08x}", rand::random::<u64>(), rand::random::<u32>());
        let name = Name::parse(&format!("{label}.{}", zone.to_string().trim_start_matches('.'))).ok()?;
        self.probes().insert(name, Arc::clone(upstream));
        Some(Probe { departures: Arc::clone(self), name })
    }

    /// The upstream that a probe has come back from.
    pub fn probed(&self, name: &Name) -> Option<Arc<Loop>> {
        self.probes().get(name).cloned()
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.departures.part(self.address).remove(&self.address);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.departures.probes().remove(&self.name);
    }
}

/// An IPv4 address may come as an IPv6 one over a socket of both families.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::RecordType;

    fn upstream() -> Loop {
        Loop::new("10.0.0.53:53".parse().unwrap())
    }

    struct Asking(Question);

    impl UnderWay for Asking {
        fn asks(&self, question: &Question) -> bool {
            self.0 == *question
        }
    }

    #[test]
    fn a_question_of_ours_from_a_port_of_ours_has_gone_round() {
        let question = |name: &str| Question::new(Name::parse(name).unwrap(), RecordType::A);
        let (departures, upstream) = (Arc::new(Departures::default()), Arc::new(upstream()));
        let port: Arc<dyn UnderWay> = Arc::new(Asking(question("www.example.org.")));
        let own = departures.enter("10.0.0.1:40000".parse().unwrap(), &upstream, Arc::downgrade(&port));
        let returned = |peer: &str, name| departures.returned(peer.parse().unwrap(), &question(name)).is_some();
        for (peer, name, is_ours) in [
            ("10.0.0.1:40000", "www.example.org.", true),
            ("[::ffff:10.0.0.1]:40000", "WWW.example.org.", true),
            ("10.0.0.1:40000", "mail.example.org.", false),
            ("10.0.0.1:40001", "www.example.org.", false),
            ("10.0.0.2:40000", "www.example.org.", false),
        ] {
            assert_eq!(returned(peer, name), is_ours, "{name} from {peer}");
        }
        drop(own);
        assert!(!returned("10.0.0.1:40000", "www.example.org."));
    }

    #[test]
    fn an_upstream_that_is_ourselves_is_left_alone_for_a_while() {
        let (now, upstream) = (Instant::now(), upstream());
        assert!(!upstream.is_closed(now));
        assert!(upstream.mark(now));
        assert!(!upstream.mark(now), "no news");
        assert!(upstream.is_closed(now + PAUSE / 2));
        assert!(!upstream.is_closed(now + PAUSE * 2), "worth a try");
        assert!(!upstream.clear(now + PAUSE / 2));
        assert!(upstream.clear(now + PAUSE * 2));
        assert!(!upstream.clear(now + PAUSE * 2), "no news");
    }

    #[test]
    fn a_probe_is_known_as_long_as_it_is_under_way() {
        let (departures, upstream) = (Arc::new(Departures::default()), Arc::new(upstream()));
        for zone in [".", "example.org."] {
            let probe = departures.probe(&Name::parse(zone).unwrap(), &upstream).unwrap();
            let name = probe.name;
            assert!(departures.probed(&name).is_some(), "{name}");
            drop(probe);
            assert!(departures.probed(&name).is_none(), "{name}");
        }
    }
}
