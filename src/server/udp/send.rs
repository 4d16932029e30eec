use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd as _,
    sync::Arc,
};

use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg, sendmsg},
};
use smallvec::SmallVec;
use tokio::{io::Interest, net::UdpSocket};

use super::{
    BATCH, Letter, Reply,
    backlog::{Backlog, Pushed},
};
use crate::{metrics::Counter, server::duty::Duty};

/// Room for packet info on a socket that listens on every address.
pub(super) fn control_space(bound: SocketAddr) -> Option<Vec<u8>> {
    match bound {
        _ if !bound.ip().is_unspecified() => None,
        SocketAddr::V4(_) => Some(cmsg_space!(libc::in_pktinfo)),
        SocketAddr::V6(_) => Some(cmsg_space!(libc::in6_pktinfo)),
    }
}

/// Sends answers; its buffers are made once.
pub(super) struct Sender {
    bound: SocketAddr,
    headers: MultiHeaders<SockaddrStorage>,
    /// Answers that the kernel had no room for.
    backlog: Arc<Backlog>,
}

impl Sender {
    pub(super) fn new(bound: SocketAddr) -> Self {
        Self { bound, headers: MultiHeaders::preallocate(BATCH, control_space(bound)), backlog: Arc::default() }
    }

    /// Whether one more answer that the kernel has no room for would cost another one its place.
    pub(super) fn is_full(&self) -> bool {
        self.backlog.is_full()
    }

    /// Sends at most a batch of answers, those from one local address with one system call.
    pub(super) fn send(&mut self, replies: &[Reply<'_>], duty: &Duty, socket: &Arc<UdpSocket>) {
        let mut rest = replies;
        while let Some(first) = rest.first() {
            let local = first.letter.local;
            let same = rest.iter().take_while(|reply| reply.letter.local == local).count();
            let (group, behind) = rest.split_at(same);
            match self.send_group(group, local, socket) {
                Ok(0) => return,
                Ok(sent) => rest = if sent < group.len() { &rest[sent..] } else { behind },
                Err(Errno::EAGAIN) => return self.send_slowly(rest, socket, duty),
                Err(_) => {
                    // The first of the group cannot be sent (no route, say); the others may.
                    Lost::of(duty).count();
                    rest = &rest[1..];
                }
            }
        }
    }

    fn send_group(&mut self, group: &[Reply<'_>], local: SocketAddr, socket: &UdpSocket) -> nix::Result<usize> {
        let slices: SmallVec<[[IoSlice<'_>; 1]; BATCH]> =
            group.iter().map(|reply| [IoSlice::new(reply.bytes)]).collect();
        let peers: SmallVec<[Option<SockaddrStorage>; BATCH]> =
            group.iter().map(|reply| Some(SockaddrStorage::from(reply.letter.peer))).collect();
        let source = Source::of(self.bound, local);
        let control = source.control();
        let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let sent = sendmmsg(fd, &mut self.headers, slices.iter(), &peers, control.as_slice(), flags)?;
        Ok(sent.count())
    }

    /// The kernel's send queue is full: the rest leaves when there is room, the newest first. What is too much is let go.
    fn send_slowly(&self, rest: &[Reply<'_>], socket: &Arc<UdpSocket>, duty: &Duty) {
        let lost = Lost::of(duty);
        for reply in rest {
            match self.backlog.push(reply.bytes.to_vec(), reply.letter) {
                Pushed::Waits => {}
                Pushed::InPlaceOfAnother => lost.count(),
                Pushed::First => {
                    let (backlog, socket) = (Arc::clone(&self.backlog), Arc::clone(socket));
                    tokio::spawn(drain(backlog, socket, self.bound, lost.clone()));
                }
            }
        }
    }
}

/// Sends what waits until nothing does.
async fn drain(backlog: Arc<Backlog>, socket: Arc<UdpSocket>, bound: SocketAddr, lost: Lost) {
    while let Some((bytes, letter)) = backlog.pop() {
        if send_one(&socket, &bytes, letter, bound).await.is_err() {
            lost.count();
        }
    }
}

/// Counts answers that do not leave.
#[derive(Clone)]
struct Lost {
    errors: Counter,
    shed: Option<Counter>,
}

impl Lost {
    fn of(duty: &Duty) -> Self {
        let shed = duty.site().and_then(|(site, listener)| site.shed(listener));
        Self { errors: duty.parking().metrics.send_errors.clone(), shed: shed.map(|shed| shed.responses.clone()) }
    }

    fn count(&self) {
        self.errors.inc();
        if let Some(shed) = &self.shed {
            shed.inc();
        }
    }
}

async fn send_one(socket: &UdpSocket, bytes: &[u8], letter: Letter, bound: SocketAddr) -> io::Result<()> {
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
