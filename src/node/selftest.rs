use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{LocalAddresses, ask::ask, metrics::intercepted, nft::Nft};
use crate::{
    metrics::{Gauge, Registry},
    wire::{Name, NameError, Rcode, RecordType},
};

/// A name that only a node cache of ours knows: whoever else is asked says NXDOMAIN (RFC 6761 section 6.4).
const NAME: &str = "node-cache.seamark.invalid";
/// How often to ask.
const EVERY: Duration = Duration::from_secs(2);
/// How long to wait for an answer that comes from this very process.
const PATIENCE: Duration = Duration::from_secs(1);
/// After this time without any answer the process counts as stuck.
const STUCK: Duration = Duration::from_secs(15);

/// Those of the addresses that a Corefile binds by number.
pub fn bound(corefile: &str, local: &LocalAddresses) -> Vec<IpAddr> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let binds: Vec<_> =
        corefile.lines().map(words).filter(|words| words.first().is_some_and(|w| w == "bind")).collect();
    local.iter().filter(|ip| binds.iter().flatten().any(|word| word.parse() == Ok(*ip))).collect()
}

/// The server block that answers the self-test on these addresses.
pub(super) fn block(addresses: &[IpAddr], port: u16) -> String {
    if addresses.is_empty() {
        return String::new();
    }
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!("\n{NAME}:{port} {{\n    bind {}\n    whoami\n}}\n", addresses.join(" "))
}

/// Asks each local address, on a thread of its own, for a name that only a node cache knows. So it sees what it cannot
/// know from its own state: that somebody else gets the queries, and that nothing answers any more, be it a firewall or
/// this process itself. It ends when it is dropped.
pub(super) struct SelfTest {
    _end: Sender<()>,
}

/// Who answers the queries to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// A node cache of ours.
    Ours,
    /// Somebody else, with this code.
    Others(Rcode),
    /// Nobody.
    Nobody,
}

impl SelfTest {
    /// Starts. `ready` follows the outcome.
    ///
    /// # Errors
    /// The name does not read, or there is no thread.
    pub(super) fn start(
        addresses: Vec<SocketAddr>,
        registry: &Registry,
        ready: Arc<AtomicBool>,
    ) -> Result<Self, SelfTestError> {
        let name = Name::parse(NAME)?;
        let (sender, end) = channel();
        let places = addresses.into_iter().map(|address| Place::new(address, registry)).collect();
        let run = move || run(places, &name, &ready, &end);
        thread::Builder::new().name("self-test".to_owned()).spawn(run)?;
        Ok(Self { _end: sender })
    }
}

/// Why there is no self-test.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// Its name does not read.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The system gives no thread.
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

struct Place {
    address: SocketAddr,
    gauge: Gauge,
    last: Option<Answer>,
}

impl Place {
    fn new(address: SocketAddr, registry: &Registry) -> Self {
        Self { address, gauge: intercepted(registry, address.ip()), last: None }
    }

    fn test(&mut self, name: &Name) -> Answer {
        let answer = match ask(self.address, name, RecordType::A, PATIENCE) {
            Ok(message) if message.flags.rcode() == Rcode::NOERROR && message.flags.authoritative() => Answer::Ours,
            Ok(message) => Answer::Others(message.flags.rcode()),
            Err(_) => Answer::Nobody,
        };
        self.gauge.set(i64::from(answer == Answer::Ours));
        if self.last.replace(answer) != Some(answer) {
            self.tell(answer);
        }
        answer
    }

    fn tell(&self, answer: Answer) {
        let ip = self.address.ip();
        match answer {
            Answer::Ours => tracing::info!("self-test: queries to {ip} come here"),
            Answer::Others(rcode) => tracing::warn!(
                "self-test: queries to {ip} do not come here, somebody else answers them ({rcode}): is kube-proxy in IPVS mode, or replaced by eBPF?"
            ),
            Answer::Nobody => {
                let closed = Nft::open().and_then(|nft| nft.closed_chains()).unwrap_or_default();
                let hint = if closed.is_empty() {
                    String::new()
                } else {
                    format!(": a firewall drops what it does not know: {}", closed.join("; "))
                };
                tracing::warn!("self-test: queries to {ip} are not answered{hint}");
            }
        }
    }
}

fn run(mut places: Vec<Place>, name: &Name, ready: &AtomicBool, end: &Receiver<()>) {
    let mut watchdog = Watchdog::default();
    loop {
        let answers: Vec<Answer> = places.iter_mut().map(|place| place.test(name)).collect();
        // Once the end has begun this thread has no say any more.
        if end.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        ready.store(answers.iter().all(|answer| *answer == Answer::Ours), Ordering::Relaxed);
        let ours = answers.contains(&Answer::Ours);
        let silent = answers.iter().all(|answer| *answer == Answer::Nobody);
        if watchdog.bites(ours, silent, Instant::now()) {
            // The kernel takes the rules away with the process, and pods ask cluster DNS at their next try.
            eprintln!("[FATAL] nothing was answered for {} s: this process is stuck", STUCK.as_secs());
            std::process::abort();
        }
        if end.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// Ends a process that answered once and answers nothing any more. One that never answered is left to people: it would
/// end again and again.
#[derive(Debug, Default)]
struct Watchdog {
    has_answered: bool,
    silent_since: Option<Instant>,
}

impl Watchdog {
    fn bites(&mut self, ours: bool, silent: bool, now: Instant) -> bool {
        self.has_answered |= ours;
        if !silent {
            self.silent_since = None;
            return false;
        }
        let since = *self.silent_since.get_or_insert(now);
        self.has_answered && now.saturating_duration_since(since) >= STUCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Answer::{Nobody, Others, Ours};

    #[test]
    fn only_a_process_that_has_answered_can_be_stuck() {
        let start = Instant::now();
        let bites = |story: &[(u64, Answer)]| {
            let mut watchdog = Watchdog::default();
            let step = |(second, answer): &(u64, Answer)| {
                let (ours, silent) = (*answer == Ours, *answer == Nobody);
                watchdog.bites(ours, silent, start + Duration::from_secs(*second)).then_some(*second)
            };
            story.to_vec().iter().find_map(step)
        };
        let refused = Others(Rcode::REFUSED);
        for (story, expected) in [
            (&[(0, Ours), (2, Nobody), (10, Nobody), (17, Nobody)][..], Some(17)),
            (&[(0, Ours), (2, Nobody), (16, Nobody)], None),
            (&[(0, Ours), (2, Nobody), (10, Ours), (12, Nobody), (20, Nobody)], None),
            (&[(0, Ours), (2, Nobody), (10, refused), (20, Nobody)], None),
            (&[(0, Nobody), (20, Nobody), (99, Nobody)], None),
            (&[(0, refused), (20, Nobody), (99, Nobody)], None),
        ] {
            assert_eq!(bites(story), expected, "{story:?}");
        }
    }

    #[test]
    fn addresses_that_the_corefile_binds_are_tested() {
        let local = LocalAddresses::parse("169.254.20.53,10.96.0.10,fd00::53").unwrap();
        for (corefile, expected) in [
            (". {\n bind 169.254.20.53 fd00:0::53\n}\na {\n\tbind 10.0.0.1\n}", "169.254.20.53 fd00::53"),
            (". {\n bind 0.0.0.0\n}", ""),
            (". {\n # bind 10.96.0.10\n}", ""),
            (". {\n whoami\n}", ""),
        ] {
            let found: Vec<String> = bound(corefile, &local).iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{corefile}");
        }
        assert_eq!(block(&[], 53), "");
        let expected = "\nnode-cache.seamark.invalid:53 {\n    bind 10.96.0.10\n    whoami\n}\n";
        assert_eq!(block(&["10.96.0.10".parse().unwrap()], 53), expected);
    }
}
