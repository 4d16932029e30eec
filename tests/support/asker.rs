use std::{
    collections::HashMap,
    fs::File,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sched::{CloneFlags, setns};

use super::server::pause;

/// Time between two questions.
const EVERY: Duration = Duration::from_millis(2);
/// When a question is asked again, and when it counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pod that asks all the time, each question from a port of its own, as resolvers do, with one retry after a second.
pub(crate) struct Asker {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

/// What became of the questions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) asked: usize,
    /// Answered at the second try.
    pub(crate) retried: usize,
    /// Not answered at all.
    pub(crate) lost: usize,
}

/// The longest step of the clock. A machine that stands still for longer does not make a question late: who should
/// answer it stands still as well.
const STEP: Duration = Duration::from_millis(50);

struct Pending {
    socket: UdpSocket,
    /// By the asker's clock.
    asked: Duration,
    tries: usize,
}

impl Asker {
    /// Begins to ask a server from within a network. The question is `kubernetes.default.svc.cluster.local A`.
    pub(crate) fn start(network: File, server: SocketAddr) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET).expect("root is needed");
            ask(server, &ended)
        });
        Self { end, thread }
    }

    /// Stops asking, and waits for what is under way.
    pub(crate) fn stop(self) -> Tally {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().expect("the asker")
    }
}

fn ask(server: SocketAddr, end: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let mut pending: HashMap<u16, Pending> = HashMap::new();
    let mut last = Instant::now();
    let (mut now, mut next) = (Duration::ZERO, Duration::ZERO);
    let mut id = 0;
    let mut buffer = [0; 1024];
    loop {
        now += last.elapsed().min(STEP);
        last = Instant::now();
        let ending = end.load(Ordering::Relaxed);
        if ending && pending.is_empty() {
            return tally;
        }
        if !ending && now >= next {
            next += EVERY;
            id = (id + 1) % 60_000;
            let any: SocketAddr = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().expect("an address");
            let socket = UdpSocket::bind(any).expect("a socket");
            socket.set_nonblocking(true).expect("a socket");
            _ = socket.connect(server);
            _ = socket.send(&question(id));
            pending.insert(id, Pending { socket, asked: now, tries: 1 });
            tally.asked += 1;
        }
        pending.retain(|id, waiting| {
            match waiting.socket.recv(&mut buffer) {
                // An address, and not an error: the count of answers is not zero.
                Ok(length) if length > 12 && buffer[..2] == id.to_be_bytes() && buffer[7] > 0 => {
                    tally.retried += usize::from(waiting.tries > 1);
                    return false;
                }
                Ok(_) => {}
                // A port that nobody serves: a resolver waits for its retry then.
                Err(error) => assert!(error.kind() != ErrorKind::InvalidInput, "{error}"),
            }
            if now - waiting.asked < PATIENCE {
                return true;
            }
            if waiting.tries > 1 {
                tally.lost += 1;
                return false;
            }
            waiting.tries += 1;
            waiting.asked = now;
            _ = waiting.socket.send(&question(*id));
            true
        });
        if now < next {
            pause(1);
        }
    }
}

fn question(id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in ["kubernetes", "default", "svc", "cluster", "local"] {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}
