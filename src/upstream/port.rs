use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use smallvec::SmallVec;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::Interest,
    net::UdpSocket,
    sync::{Notify, oneshot},
    time::{MissedTickBehavior, interval},
};

use super::{
    Ask,
    departures::{Departure, Gate, UnderWay},
    error::local_address,
    matching::{answer_to, encoded},
};
use crate::{
    metrics::Counter,
    wire::{MAX_MESSAGE, Packet, Question, message_id},
};

/// How many datagrams one system call takes or gives.
const BATCH: usize = 16;
/// How often those whose time is over are looked for: an answer may be waited for this much longer.
const TICK: Duration = Duration::from_millis(20);
/// Queries under way from one port. The ids of more would be too easy to guess.
const MOST_WAITING: usize = 16_384;

/// A connected socket on a random port, with the queries that left from it. The kernel lets only the upstream's
/// datagrams in, and reports ICMP errors.
pub(super) struct Port {
    socket: UdpSocket,
    born: Instant,
    state: Mutex<State>,
    /// There is something to send, or the port is retired.
    news: Notify,
    ignored: Counter,
    open: Arc<AtomicUsize>,
    departure: OnceLock<Departure>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u16, Waiter, ById>,
    outbox: VecDeque<Vec<u8>>,
    sent: usize,
    /// No further query comes.
    retired: bool,
    /// The kernel's queue is full.
    blocked: bool,
}

type ById = std::hash::BuildHasherDefault<IdHasher>;
type Reply = oneshot::Sender<Result<Packet, Fault>>;

/// Ids are random already.
#[derive(Default)]
struct IdHasher(u64);

impl std::hash::Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| hash << 8 | u64::from(byte));
    }
    fn write_u16(&mut self, id: u16) {
        // The table takes some bits from the top and some from the bottom.
        self.0 = u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

struct Waiter {
    /// Which query of the port it is: an id may be drawn again.
    number: usize,
    ask: Arc<Ask>,
    deadline: Instant,
    reply: Reply,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Timeout,
    Socket(io::ErrorKind),
}

impl Port {
    /// Opens a port. Its task runs on this thread's runtime and ends when the port is older than `life`, or retired,
    /// and nobody waits.
    pub(super) fn open(
        remote: SocketAddr,
        source: Option<IpAddr>,
        life: Duration,
        ignored: Counter,
        open: Arc<AtomicUsize>,
        gate: Option<&Gate>,
    ) -> io::Result<Arc<Self>> {
        let socket = connected(remote, source)?;
        open.fetch_add(1, Relaxed);
        let (state, news) = (Mutex::default(), Notify::new());
        let port =
            Arc::new(Self { socket, born: Instant::now(), state, news, ignored, open, departure: OnceLock::new() });
        if let (Some(gate), Some(local)) = (gate, port.local()) {
            let under_way: Weak<dyn UnderWay> = Arc::downgrade(&port) as _;
            _ = port.departure.set(gate.open(local, under_way));
        }
        tokio::spawn(Arc::clone(&port).run(life));
        Ok(port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    pub(super) fn sent(&self) -> usize {
        self.state().sent
    }

    /// Sends a query soon, together with others of this moment, and gives its id and number. `None` if the port takes no
    /// more.
    pub(super) fn enter(&self, ask: Arc<Ask>, deadline: Instant, reply: Reply) -> Option<(u16, usize)> {
        let mut state = self.state();
        if state.retired || state.waiting.len() >= MOST_WAITING {
            return None;
        }
        let mut id = rand::random();
        while state.waiting.contains_key(&id) {
            id = rand::random();
        }
        state.outbox.push_back(encoded(&ask, id));
        let number = state.sent;
        state.waiting.insert(id, Waiter { number, ask, deadline, reply });
        state.sent += 1;
        let first = state.outbox.len() == 1 && !state.blocked;
        drop(state);
        if first {
            self.news.notify_one();
        }
        Some((id, number))
    }

    /// Forgets a query that nobody waits for any more.
    pub(super) fn leave(&self, (id, number): (u16, usize)) {
        let mut state = self.state();
        if state.waiting.get(&id).is_some_and(|waiter| waiter.number == number) {
            state.waiting.remove(&id);
        }
    }

    /// Takes no further query.
    pub(super) fn retire(&self) {
        self.state().retired = true;
        self.news.notify_one();
    }

    async fn run(self: Arc<Self>, life: Duration) {
        let _ending = Ending(&self);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let blocked = self.state().blocked;
            let interest = Interest::READABLE | Interest::ERROR;
            let interest = if blocked { interest | Interest::WRITABLE } else { interest };
            tokio::select! {
                biased;
                () = self.news.notified() => self.send(),
                // An ICMP error shows as an error only: the socket does not become readable by it.
                ready = self.socket.ready(interest) => match ready {
                    Ok(ready) => {
                        if ready.is_error() {
                            self.take_error();
                        }
                        self.receive();
                        if blocked && ready.is_writable() {
                            self.send();
                        }
                    }
                    Err(error) => self.fail(error.kind()),
                },
                now = tick.tick() => self.sweep(now.into_std()),
            }
            let mut state = self.state();
            state.retired |= self.age(Instant::now()) >= life;
            if state.retired && state.waiting.is_empty() {
                return;
            }
        }
    }

    /// Sends what is in the outbox. What does not fit into the kernel's queue goes when there is room.
    fn send(&self) {
        let mut state = self.state();
        state.blocked = false;
        while !state.outbox.is_empty() {
            let count = state.outbox.len().min(BATCH);
            let slices: SmallVec<[[IoSlice<'_>; 1]; BATCH]> =
                state.outbox.iter().take(count).map(|query| [IoSlice::new(query)]).collect();
            let sent =
                self.socket.try_io(Interest::WRITABLE, || BUFFERS.with_borrow_mut(|b| b.send(&self.socket, &slices)));
            drop(slices);
            match sent {
                Ok(sent) => drop(state.outbox.drain(..sent.max(1))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // What is known of its readiness is out of date.
                    _ = self.socket.try_io(Interest::WRITABLE, || Err::<(), _>(error));
                    state.blocked = true;
                    return;
                }
                Err(error) => {
                    // The socket's error of an earlier datagram, or no way out at all: all wait for the same upstream.
                    drop(state);
                    return self.fail(error.kind());
                }
            }
        }
    }

    /// Fails all who wait if there was an ICMP error, and waits for the next one.
    fn take_error(&self) {
        let blocked = || io::Error::from(io::ErrorKind::WouldBlock);
        _ = self.socket.try_io(Interest::ERROR, || Err::<(), _>(blocked()));
        if let Ok(Some(error)) = self.socket.take_error() {
            self.fail(error.kind());
        }
    }

    /// Gives out the answers that are there.
    fn receive(&self) {
        loop {
            let received = self.socket.try_io(Interest::READABLE, || {
                let count = BUFFERS.with_borrow_mut(|buffers| {
                    let mut state = self.state();
                    buffers.receive(&self.socket, |bytes| self.take(&mut state, bytes))
                })?;
                // A batch that is not full has emptied the queue: no need to ask once more.
                if count < BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match received {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.fail(error.kind()),
            }
        }
    }

    fn take(&self, state: &mut State, bytes: &[u8]) {
        let id = message_id(bytes).unwrap_or_default();
        let answer = state.waiting.get(&id).and_then(|waiter| answer_to(&waiter.ask, id, bytes));
        match (answer, state.waiting.entry(id)) {
            (Some(packet), std::collections::hash_map::Entry::Occupied(waiter)) => {
                _ = waiter.remove().reply.send(Ok(packet));
            }
            _ => self.ignored.inc(),
        }
    }

    fn sweep(&self, now: Instant) {
        let over = |_: &u16, waiter: &mut Waiter| waiter.deadline <= now;
        let over: SmallVec<[Waiter; 8]> = self.state().waiting.extract_if(over).map(|(_, waiter)| waiter).collect();
        over.into_iter().for_each(|waiter| _ = waiter.reply.send(Err(Fault::Timeout)));
    }

    /// Tells all who wait that there is no way.
    fn fail(&self, kind: io::ErrorKind) {
        let mut state = self.state();
        state.outbox.clear();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(|waiter| _ = waiter.reply.send(Err(Fault::Socket(kind))));
    }
}

/// However the task ends, nobody must wait for it any more.
struct Ending<'a>(&'a Port);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.state().retired = true;
        self.0.fail(io::ErrorKind::UnexpectedEof);
    }
}

impl UnderWay for Port {
    fn asks(&self, question: &Question) -> bool {
        self.state().waiting.values().any(|waiter| waiter.ask.question == *question)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

/// A socket that hears only this upstream. The kernel picks a random port.
fn connected(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(remote), Type::DGRAM.nonblocking(), None)?;
    if source.is_some() {
        socket.bind(&local_address(remote, source).into())?;
    }
    socket.connect(&remote.into())?;
    UdpSocket::from_std(socket.into())
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers::new());
}

/// Room for one batch, made once for a thread. Whatever the client's size: a datagram is never cut here. Mostly
/// untouched, and so mostly not there: the kernel gives a page when it is written first.
struct Buffers {
    bytes: Box<[u8]>,
    incoming: MultiHeaders<SockaddrStorage>,
    outgoing: MultiHeaders<SockaddrStorage>,
}

impl Buffers {
    fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * MAX_MESSAGE].into(),
            incoming: MultiHeaders::preallocate(BATCH, None),
            outgoing: MultiHeaders::preallocate(BATCH, None),
        }
    }

    fn send(&mut self, socket: &UdpSocket, slices: &[[IoSlice<'_>; 1]]) -> io::Result<usize> {
        let nobody = [None; BATCH];
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        Ok(sendmmsg(fd, &mut self.outgoing, slices, &nobody[..slices.len()], [], flags)?.count())
    }

    fn receive(&mut self, socket: &UdpSocket, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut slots = self.bytes.chunks_exact_mut(MAX_MESSAGE);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let received = recvmmsg(fd, &mut self.incoming, slices.iter_mut(), flags, None)?;
        let lengths: SmallVec<[usize; BATCH]> = received.map(|message| message.bytes).collect();
        for (slot, &length) in self.bytes.chunks_exact(MAX_MESSAGE).zip(&lengths) {
            take(&slot[..length]);
        }
        Ok(lengths.len())
    }
}
