use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use smallvec::SmallVec;
use tokio::net::UdpSocket;

use super::{BATCH, Letter, send::control_space};

/// The longest query that is read, octets. CoreDNS stops at 512.
const LONGEST_QUERY: usize = 4_096;

/// Room for the queries of a batch, octets.
pub(super) const ROOM: usize = BATCH * LONGEST_QUERY;

/// Takes queries from a socket.
pub(super) struct Receiver {
    /// The socket's own address; all zeros if it listens on every address.
    bound: SocketAddr,
    letters: SmallVec<[(Letter, usize); BATCH]>,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Receiver {
    pub(super) fn new(bound: SocketAddr) -> Self {
        let headers = MultiHeaders::preallocate(BATCH, control_space(bound));
        Self { bound, letters: SmallVec::new(), headers }
    }

    /// Takes what is there into `room`, at most a batch, and gives the number.
    pub(super) fn receive(&mut self, socket: &UdpSocket, room: &mut [u8]) -> io::Result<usize> {
        self.letters.clear();
        let mut slots = room.chunks_exact_mut(LONGEST_QUERY);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
        let fd = socket.as_raw_fd();
        let received = recvmmsg(fd, &mut self.headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        for message in received {
            let peer = message.address.as_ref().and_then(socket_address);
            let asked = message.cmsgs().ok().and_then(|mut messages| messages.find_map(|m| asked_address(&m)));
            let local = asked.map_or(self.bound, |address| SocketAddr::new(address, self.bound.port()));
            let letter = Letter { peer: peer.unwrap_or(self.bound), local };
            // A query that did not fit is longer than any real one; half of it answers FORMERR.
            let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
            self.letters.push((letter, if cut { message.bytes.min(12) } else { message.bytes }));
        }
        Ok(self.letters.len())
    }

    /// The batch that was received last, into this room.
    pub(super) fn letters<'a>(&'a self, room: &'a [u8]) -> impl Iterator<Item = (Letter, &'a [u8])> {
        let slots = room.chunks_exact(LONGEST_QUERY);
        self.letters.iter().zip(slots).map(|((letter, length), slot)| (*letter, &slot[..*length]))
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
