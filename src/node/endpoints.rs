use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    ask::{addresses_of, ask, ask_over, socket_to},
    nft::Tracking,
};
use crate::wire::{Name, RecordType};

/// How often the endpoints are looked for.
const EVERY: Duration = Duration::from_secs(10);
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an endpoint that is known may take to answer.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);
/// Where the pods of the cluster's DNS listen, unless it is said otherwise.
const PORT: u16 = 53;
/// So many endpoints are enough for the time without a node cache.
const ENOUGH: usize = 8;
/// How many queries find out about endpoints at first, and later on: each node asks, all the time.
const FIRST_PROBES: usize = 2 * ENOUGH;
const PROBES: usize = 2;
/// How many of the known endpoints must show that they live, each time.
const SIGNS: usize = 2;

/// Who answers when no node cache does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Named once and for all.
    pub fixed: Vec<SocketAddr>,
    /// A headless service whose addresses are asked for again and again.
    pub name: Option<Name>,
    /// The cluster's DNS: it is asked for the name. Where neither addresses nor a name are given, it is watched which
    /// pods answer in its name.
    pub servers: Vec<SocketAddr>,
}

impl Endpoints {
    /// Whether there is nobody to send queries to.
    pub const fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.servers.is_empty()
    }
}

/// Looks for the endpoints all the time; the receiver has what is known. Ends with the receiver.
pub(super) fn follow(endpoints: Endpoints) -> watch::Receiver<BTreeSet<SocketAddr>> {
    let (sender, receiver) = watch::channel(endpoints.fixed.iter().copied().collect());
    let mut search = match (endpoints.name, endpoints.fixed.is_empty()) {
        (Some(name), _) => Search::Name { name: Box::new(name), fixed: endpoints.fixed, servers: endpoints.servers },
        (None, true) => Search::Witness(Witness::new(endpoints.servers)),
        (None, false) => {
            // What is said once and for all needs no search; the sender must live as long as somebody listens.
            tokio::spawn(async move { sender.closed().await });
            return receiver;
        }
    };
    tokio::spawn(async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = sender.closed() => return,
            }
            let looked = tokio::task::spawn_blocking(move || {
                let found = search.look();
                (search, found)
            });
            let Ok((back, found)) = looked.await else { return };
            search = back;
            // The old ones are better than none.
            if let Some(found) = found.filter(|found| !found.is_empty()) {
                sender.send_if_modified(|known| {
                    let changed = *known != found;
                    *known = found;
                    changed
                });
            }
        }
    });
    receiver
}

enum Search {
    Name { name: Box<Name>, fixed: Vec<SocketAddr>, servers: Vec<SocketAddr> },
    Witness(Witness),
}

impl Search {
    /// The endpoints, or `None` if nobody could be asked.
    fn look(&mut self) -> Option<BTreeSet<SocketAddr>> {
        match self {
            Self::Name { name, fixed, servers } => {
                let found = addresses_of(name, servers)?.into_iter().map(|ip| SocketAddr::new(ip, PORT));
                Some(found.chain(fixed.iter().copied()).collect())
            }
            Self::Witness(witness) => {
                witness.look(Instant::now());
                Some(witness.known())
            }
        }
    }
}

/// Learns the endpoints of a service that has no headless twin: sends queries to its address, and asks the kernel where
/// they have gone. That holds for whoever translates the address in the kernel's connection tracking, and needs no
/// right to look into the cluster.
struct Witness {
    servers: Vec<SocketAddr>,
    /// Who has answered, and when.
    seen: Seen,
    begun: bool,
}

impl Witness {
    const fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, seen: Seen(Vec::new()), begun: false }
    }

    fn known(&self) -> BTreeSet<SocketAddr> {
        self.seen.0.iter().map(|(endpoint, _)| *endpoint).collect()
    }

    fn look(&mut self, now: Instant) {
        let question = self.servers.first().and_then(|server| reverse(server.ip()));
        let Some(question) = question else { return };
        self.seen.check(now, |endpoint| ask(endpoint, &question, RecordType::PTR, SIGN_OF_LIFE).is_ok());
        let Ok(tracking) = Tracking::open().inspect_err(|error| tracing::warn!("connection tracking: {error}")) else {
            return;
        };
        let probes = if std::mem::replace(&mut self.begun, true) { PROBES } else { FIRST_PROBES };
        for server in &self.servers {
            for _ in 0..probes {
                if self.seen.0.len() >= ENOUGH {
                    return;
                }
                match answered_by(*server, &question, &tracking) {
                    Ok(endpoint) => self.seen.note(endpoint, now),
                    Err(error) => {
                        tracing::debug!("cannot learn who answers for {server}: {error}");
                        break;
                    }
                }
            }
        }
    }
}

/// Endpoints that have answered, and when they last did.
#[derive(Debug, Default)]
struct Seen(Vec<(SocketAddr, Instant)>);

impl Seen {
    fn note(&mut self, endpoint: SocketAddr, now: Instant) {
        match self.0.iter_mut().find(|(known, _)| *known == endpoint) {
            Some((_, when)) => *when = now,
            None => self.0.push((endpoint, now)),
        }
    }

    /// Asks those that were silent for longest, until some have answered; the others go. So a dead one costs the
    /// living a query, and when all are replaced at once all are found out at once.
    fn check(&mut self, now: Instant, mut answers: impl FnMut(SocketAddr) -> bool) {
        self.0.sort_by_key(|(_, when)| *when);
        let mut signs = 0;
        self.0.retain_mut(|(endpoint, when)| {
            if signs >= SIGNS {
                return true;
            }
            let alive = answers(*endpoint);
            if alive {
                *when = now;
                signs += 1;
            }
            alive
        });
    }
}

/// Asks a server, and says who has answered in its name.
fn answered_by(server: SocketAddr, question: &Name, tracking: &Tracking) -> io::Result<SocketAddr> {
    let socket = socket_to(server)?;
    ask_over(&socket, question, RecordType::PTR, PATIENCE)?;
    // What is not tracked was not translated here: it is asked again as it was asked now.
    Ok(tracking.destination(socket.local_addr()?, server)?.unwrap_or(server))
}

/// `10.0.96.10.in-addr.arpa`: a name that every cluster's DNS answers from memory, as it is the service's own.
fn reverse(ip: IpAddr) -> Option<Name> {
    let text = match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa."
        }
    };
    Name::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_is_silent_goes_and_makes_the_others_suspect() {
        let endpoint = |last: u8| SocketAddr::from(([10, 244, 0, last], 53));
        let start = Instant::now();
        for (silent, asked, left) in [
            (&[][..], &[1, 2][..], &[3, 4, 1, 2][..]),
            (&[1], &[1, 2, 3], &[4, 2, 3]),
            (&[1, 2, 3], &[1, 2, 3, 4], &[4]),
            (&[1, 2, 3, 4], &[1, 2, 3, 4], &[]),
        ] {
            let mut seen = Seen::default();
            for last in 1..=4 {
                seen.note(endpoint(last), start + Duration::from_secs(last.into()));
            }
            let mut found = Vec::new();
            seen.check(start + Duration::from_secs(10), |one| {
                found.push(one);
                !silent.iter().any(|last| endpoint(*last) == one)
            });
            seen.0.sort_by_key(|(_, when)| *when);
            let expected = |list: &[u8]| list.iter().map(|last| endpoint(*last)).collect::<Vec<_>>();
            assert_eq!(found, expected(asked), "asked when {silent:?} are silent");
            let known: Vec<_> = seen.0.iter().map(|(one, _)| *one).collect();
            assert_eq!(known, expected(left), "left when {silent:?} are silent");
        }
    }

    #[test]
    fn the_question_is_the_servers_own_name() {
        for (ip, name) in [
            ("10.96.0.11", "11.0.96.10.in-addr.arpa."),
            ("fd00::1:b", "b.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa."),
        ] {
            assert_eq!(reverse(ip.parse().unwrap()), Some(Name::parse(name).unwrap()), "{ip}");
        }
    }
}
