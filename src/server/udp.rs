//! Queries over UDP: a batch comes in with one system call, is answered in place, and leaves with another.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::AsRawFd,
    sync::Arc,
    time::Instant,
};

use nix::{
    cmsg_space, libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, sendmsg,
    },
};
use smallvec::SmallVec;
use tokio::{io::Interest, net::UdpSocket as AsyncSocket};

use super::{
    answer::{Arrival, Handled, Job, handle},
    duty::Duty,
};
use crate::{chain::Transport, wire::MAX_MESSAGE};

/// How many datagrams one system call takes or gives.
const BATCH: usize = 32;
/// The longest query that is read, octets. CoreDNS stops at 512.
const LONGEST_QUERY: usize = 4_096;
/// Batches that are answered before others on the same core get a turn.
const TURN: usize = 8;

/// Answers queries that come to one socket until the address is given up.
pub(crate) async fn serve(socket: UdpSocket, mut duty: Duty) -> io::Result<()> {
    let local = socket.local_addr()?;
    let socket = Arc::new(AsyncSocket::from_std(socket)?);
    let mut batch = Batch::new(local);
    loop {
        tokio::select! {
            ready = socket.readable() => {
                ready?;
                for _ in 0..TURN {
                    match socket.try_io(Interest::READABLE, || batch.receive(&socket)) {
                        Ok(count) => batch.answer(count, &mut duty, &socket),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        // An ICMP error of an earlier answer, say: of no concern to the next query.
                        Err(error) => tracing::debug!(%error, "receive failed"),
                    }
                }
                tokio::task::yield_now().await;
            }
            () = duty.ended() => {
                // What is in the socket's queue already is still answered.
                while let Ok(count) = batch.receive(&socket) {
                    batch.answer(count, &mut duty, &socket);
                }
                return Ok(());
            }
        }
    }
}

/// Where a datagram came from, and which address it was sent to.
#[derive(Clone, Copy)]
struct Letter {
    length: usize,
    peer: SocketAddr,
    local: SocketAddr,
    cut: bool,
}

/// Buffers for one batch, made once.
struct Batch {
    /// The socket's own address; all zeros if it listens on every address.
    bound: SocketAddr,
    queries: Box<[u8]>,
    answers: Box<[u8]>,
    letters: SmallVec<[Letter; BATCH]>,
    incoming: MultiHeaders<SockaddrStorage>,
    outgoing: MultiHeaders<SockaddrStorage>,
}

impl Batch {
    fn new(bound: SocketAddr) -> Self {
        let wildcard = bound.ip().is_unspecified();
        let space = || match bound {
            _ if !wildcard => None,
            SocketAddr::V4(_) => Some(cmsg_space!(libc::in_pktinfo)),
            SocketAddr::V6(_) => Some(cmsg_space!(libc::in6_pktinfo)),
        };
        Self {
            bound,
            queries: vec![0; BATCH * LONGEST_QUERY].into(),
            // Mostly untouched, and so mostly not there: the kernel gives a page when it is written first.
            answers: vec![0; BATCH * MAX_MESSAGE].into(),
            letters: SmallVec::new(),
            incoming: MultiHeaders::preallocate(BATCH, space()),
            outgoing: MultiHeaders::preallocate(BATCH, space()),
        }
    }

    /// Takes what is there, at most a batch.
    fn receive(&mut self, socket: &AsyncSocket) -> io::Result<usize> {
        self.letters.clear();
        let mut slots = self.queries.chunks_exact_mut(LONGEST_QUERY);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
        let fd = socket.as_raw_fd();
        let received = recvmmsg(fd, &mut self.incoming, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        for message in received {
            let peer = message.address.as_ref().and_then(socket_address);
            let asked = message.cmsgs().ok().and_then(|mut messages| messages.find_map(|m| asked_address(&m)));
            let local = asked.map_or(self.bound, |address| SocketAddr::new(address, self.bound.port()));
            self.letters.push(Letter {
                length: message.bytes,
                peer: peer.unwrap_or(self.bound),
                local,
                cut: message.flags.contains(MsgFlags::MSG_TRUNC),
            });
        }
        Ok(self.letters.len())
    }

    /// Answers the batch that was received last.
    fn answer(&mut self, count: usize, duty: &mut Duty, socket: &Arc<AsyncSocket>) {
        let now = Instant::now();
        duty.refresh();
        let Some((site, listener)) = duty.site() else { return };
        let mut replies: SmallVec<[(usize, usize); BATCH]> = SmallVec::new();
        for (index, letter) in self.letters[..count].iter().enumerate() {
            let start = index * LONGEST_QUERY;
            // A query that did not fit is longer than any real one; half of it answers FORMERR.
            let query = &self.queries[start..start + letter.length.min(LONGEST_QUERY)];
            let query = if letter.cut { &query[..query.len().min(12)] } else { query };
            let out = &mut self.answers[index * MAX_MESSAGE..(index + 1) * MAX_MESSAGE];
            let arrival = Arrival { listener, peer: letter.peer, local: letter.local, transport: Transport::Udp, now };
            match handle(site, arrival, query, duty.parking(), out) {
                Handled::Reply(length) => replies.push((index, length)),
                Handled::Nothing => {}
                Handled::Parked(job) => {
                    tokio::spawn(send_later(job, Arc::clone(socket), *letter, self.bound));
                }
            }
        }
        self.send(&replies, duty, socket);
    }

    /// Sends replies, those from one local address with one system call.
    fn send(&mut self, replies: &[(usize, usize)], duty: &Duty, socket: &Arc<AsyncSocket>) {
        let mut rest = replies;
        while let Some(&(first, _)) = rest.first() {
            let local = self.letters[first].local;
            let same = rest.iter().take_while(|(index, _)| self.letters[*index].local == local).count();
            let (group, behind) = rest.split_at(same);
            match self.send_group(group, local, socket) {
                Ok(0) => return,
                Ok(sent) => rest = if sent < group.len() { &rest[sent..] } else { behind },
                Err(nix::errno::Errno::EAGAIN) => {
                    self.send_slowly(rest, socket, duty);
                    return;
                }
                Err(_) => {
                    // The first of the group cannot be sent (no route, say); the others may.
                    duty.parking().metrics.send_errors.inc();
                    rest = &rest[1..];
                }
            }
        }
    }

    fn send_group(&mut self, group: &[(usize, usize)], local: SocketAddr, socket: &AsyncSocket) -> nix::Result<usize> {
        let answers = &self.answers;
        let slices: SmallVec<[[IoSlice<'_>; 1]; BATCH]> =
            group.iter().map(|&(index, length)| [IoSlice::new(&answers[index * MAX_MESSAGE..][..length])]).collect();
        let peers: SmallVec<[Option<SockaddrStorage>; BATCH]> =
            group.iter().map(|(index, _)| Some(SockaddrStorage::from(self.letters[*index].peer))).collect();
        let source = Source::of(self.bound, local);
        let control = source.control();
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let sent = sendmmsg(fd, &mut self.outgoing, slices.iter(), &peers, control.as_slice(), flags)?;
        Ok(sent.count())
    }

    /// The kernel's send queue is full: the rest leaves when there is room.
    fn send_slowly(&self, rest: &[(usize, usize)], socket: &Arc<AsyncSocket>, duty: &Duty) {
        for &(index, length) in rest {
            let bytes = self.answers[index * MAX_MESSAGE..][..length].to_vec();
            let (socket, letter, bound) = (Arc::clone(socket), self.letters[index], self.bound);
            let errors = duty.parking().metrics.send_errors.clone();
            tokio::spawn(async move {
                if send_one(&socket, &bytes, letter, bound).await.is_err() {
                    errors.inc();
                }
            });
        }
    }
}

async fn send_later(job: Box<Job>, socket: Arc<AsyncSocket>, letter: Letter, bound: SocketAddr) {
    let reply = job.finish().await;
    if let Err(error) = send_one(&socket, &reply, letter, bound).await {
        tracing::debug!(%error, peer = %letter.peer, "cannot send an answer");
    }
}

async fn send_one(socket: &AsyncSocket, bytes: &[u8], letter: Letter, bound: SocketAddr) -> io::Result<()> {
    let peer = SockaddrStorage::from(letter.peer);
    let source = Source::of(bound, letter.local);
    socket
        .async_io(Interest::WRITABLE, || {
            let control = source.control();
            let slices = [IoSlice::new(bytes)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let sent = sendmsg(socket.as_raw_fd(), &slices, control.as_slice(), flags, Some(&peer))?;
            Ok(sent)
        })
        .await?;
    Ok(())
}

/// The address that an answer leaves from: the one that was asked.
enum Source {
    Bound,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Source {
    fn of(bound: SocketAddr, local: SocketAddr) -> Self {
        if !bound.ip().is_unspecified() || local.ip().is_unspecified() {
            return Self::Bound;
        }
        match (bound, local.ip()) {
            (SocketAddr::V4(_), IpAddr::V4(address)) => Self::V4(libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
                ipi_addr: libc::in_addr { s_addr: 0 },
            }),
            (_, IpAddr::V6(address)) => Self::v6(address),
            (_, IpAddr::V4(address)) => Self::v6(address.to_ipv6_mapped()),
        }
    }

    const fn v6(address: Ipv6Addr) -> Self {
        Self::V6(libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 0 })
    }

    fn control(&self) -> Option<ControlMessage<'_>> {
        match self {
            Self::Bound => None,
            Self::V4(info) => Some(ControlMessage::Ipv4PacketInfo(info)),
            Self::V6(info) => Some(ControlMessage::Ipv6PacketInfo(info)),
        }
    }
}

fn asked_address(message: &ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes())))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr))),
        _ => None,
    }
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::from(*v4)));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
}
