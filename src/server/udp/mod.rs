//! Queries over UDP: a batch comes in with one system call, is answered in place, and leaves with another.
//!
//! ```text
//!   receive.rs ──► answer::handle ──► send.rs            answered at once
//!                        └──► Job ──► Outbox ──► send.rs  had to wait for somebody
//! ```

mod backlog;
mod receive;
mod send;

use std::{
    cell::RefCell,
    io,
    net::{SocketAddr, UdpSocket},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use smallvec::SmallVec;
use tokio::{io::Interest, net::UdpSocket as AsyncSocket, sync::Notify, time::timeout};

use super::{
    answer::{Arrival, Finished, Handled, Job, handle},
    duty::{Duty, Turn},
    memo,
    proxied::Client,
};
use crate::{chain::Transport, wire::MAX_MESSAGE};
use receive::Receiver;
use send::Sender;

/// How many datagrams one system call takes or gives.
const BATCH: usize = 32;
/// Batches that are answered before others on the same core get a turn.
const TURN: usize = 8;
/// How often a socket that was given up is read, as long as queries of it wait for somebody.
const LOOK: Duration = Duration::from_millis(5);
/// How long it goes on at most: no query takes longer.
const DRAIN: Duration = Duration::from_secs(5);

/// Where a datagram came from, and which address it was sent to.
#[derive(Clone, Copy)]
struct Letter {
    peer: SocketAddr,
    local: SocketAddr,
}

/// An answer and where it goes.
struct Reply<'a> {
    bytes: &'a [u8],
    letter: Letter,
}

/// Answers queries that come to one socket until the address is given up.
pub(crate) async fn serve(socket: UdpSocket, duty: Duty) -> io::Result<()> {
    let bound = socket.local_addr()?;
    let socket = Arc::new(AsyncSocket::from_std(socket)?);
    let mut receiver = Receiver::new(bound);
    let mut desk = Desk { sender: Sender::new(bound), socket: Arc::clone(&socket), outbox: Arc::default(), duty };
    let outbox = Arc::clone(&desk.outbox);
    let mut turn = pin!(desk.duty.turn());
    loop {
        tokio::select! {
            ready = socket.readable() => {
                ready?;
                desk.take_turn(&mut receiver).await;
            }
            () = outbox.news.notified() => desk.send_late(),
            what = &mut turn => match what {
                Turn::Ended => break,
                // A socket that nobody asks must not keep the old site.
                Turn::Other => {
                    desk.duty.refresh();
                    turn.set(desk.duty.turn());
                }
            },
        }
    }
    // What waits for somebody is still answered: each such query holds the outbox. So is what is in the socket's queue, and
    // what the kernel goes on putting there while the socket is open.
    let end = Instant::now() + DRAIN;
    loop {
        for _ in 0..TURN {
            if desk.take_batch(&mut receiver).is_err() {
                break;
            }
        }
        desk.send_late();
        if Arc::strong_count(&outbox) == 2 || Instant::now() >= end {
            return Ok(());
        }
        _ = timeout(LOOK, outbox.news.notified()).await;
    }
}

/// Where the queries of one socket are answered.
struct Desk {
    sender: Sender,
    socket: Arc<AsyncSocket>,
    outbox: Arc<Outbox>,
    duty: Duty,
}

/// Where the queries and answers of a batch stand: one at a time on each thread, whatever the number of its sockets.
struct Room {
    queries: Box<[u8]>,
    answers: Box<[u8]>,
}

thread_local! {
    // Mostly untouched, and so mostly not there: the kernel gives a page when it is written first.
    static ROOM: RefCell<Room> = RefCell::new(Room {
        queries: vec![0; receive::ROOM].into(),
        answers: vec![0; BATCH * MAX_MESSAGE].into(),
    });
}

impl Desk {
    /// Answers what is in the socket's queue, but no more than some batches.
    async fn take_turn(&mut self, receiver: &mut Receiver) {
        for _ in 0..TURN {
            let socket = Arc::clone(&self.socket);
            let received = socket.try_io(Interest::READABLE, || {
                let count = self.take_batch(receiver)?;
                // A batch that is not full has emptied the queue: no need to ask once more.
                if count < BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match received {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error of an earlier answer, say: of no concern to the next query.
                Err(error) => tracing::debug!(%error, "receive failed"),
            }
        }
        tokio::task::yield_now().await;
    }

    /// Answers what is in the socket's queue, at most a batch, and gives the number.
    fn take_batch(&mut self, receiver: &mut Receiver) -> io::Result<usize> {
        ROOM.with_borrow_mut(|room| {
            let count = receiver.receive(&self.socket, &mut room.queries)?;
            self.answer(receiver.letters(&room.queries), &mut room.answers);
            Ok(count)
        })
    }

    fn answer<'a>(&mut self, letters: impl Iterator<Item = (Letter, &'a [u8])>, answers: &mut [u8]) {
        let now = Instant::now();
        self.duty.refresh();
        let Some((site, listener)) = self.duty.site() else { return };
        if let Some(shed) = site.shed(listener)
            && self.sender.is_full()
        {
            shed.queries.inc_by(letters.count() as u64);
            return;
        }
        let proxied = site.proxied(listener);
        let mut replies: SmallVec<[Reply<'_>; BATCH]> = SmallVec::new();
        // One answer behind the other: what is written to stays small, though each has room for the longest.
        let mut free = answers;
        for (letter, query) in letters {
            let Some(out) = free.get_mut(..MAX_MESSAGE) else { break };
            let Letter { peer, local } = letter;
            let mut arrival = Arrival { listener, peer, local, transport: Transport::Udp, now, tlvs: None };
            let (client, query) = match proxied {
                None => (None, query),
                // The answer goes to the proxy all the same.
                Some(proxied) => match proxied.open([peer, local], query, self.duty.door().sessions(), now) {
                    Some((client, query)) => (Some(client), query),
                    None => continue,
                },
            };
            if let Some(Client { peer, local, tlvs }) = &client {
                arrival = Arrival { peer: *peer, local: *local, tlvs: tlvs.as_ref(), ..arrival };
            }
            match handle(site, arrival, query, self.duty.parking(), out) {
                Handled::Reply(length) | Handled::Series(length, _) => {
                    let (bytes, behind) = std::mem::take(&mut free).split_at_mut(length);
                    free = behind;
                    replies.push(Reply { bytes, letter });
                }
                Handled::Nothing => {}
                Handled::Parked(job) => {
                    tokio::spawn(finish(job, letter, Arc::clone(&self.outbox)));
                }
            }
        }
        memo::settle();
        self.sender.send(&replies, &self.duty, &self.socket);
    }

    /// Sends what is in the outbox.
    fn send_late(&mut self) {
        let finished = std::mem::take(&mut *self.outbox.finished());
        let replies: SmallVec<[Reply<'_>; BATCH]> =
            finished.iter().map(|(finished, letter)| Reply { bytes: &finished.bytes, letter: *letter }).collect();
        for batch in replies.chunks(BATCH) {
            self.sender.send(batch, &self.duty, &self.socket);
        }
    }
}

/// Answers to queries that had to wait: those of one moment leave with one system call.
#[derive(Default)]
struct Outbox {
    finished: Mutex<Vec<(Finished, Letter)>>,
    news: Notify,
}

impl Outbox {
    fn finished(&self) -> MutexGuard<'_, Vec<(Finished, Letter)>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the answer and puts it into the outbox.
async fn finish(job: Box<Job>, letter: Letter, outbox: Arc<Outbox>) {
    let answer = job.finish().await;
    let mut finished = outbox.finished();
    finished.push((answer, letter));
    let first = finished.len() == 1;
    drop(finished);
    if first {
        outbox.news.notify_one();
    }
}
