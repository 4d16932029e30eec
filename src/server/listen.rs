use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd,
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::corefile::Scheme;

/// Receive and send buffers asked of the kernel, octets; it may give less.
const SOCKET_BUFFER: usize = 4 << 20;
/// Connections that may wait for being accepted.
const BACKLOG: i32 = 1024;

/// An address that server blocks listen on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ListenAddress {
    /// What is spoken there: plain DNS over UDP and TCP, or something encrypted over one of both.
    pub(crate) scheme: Scheme,
    /// As `bind` wrote it; `None` = all addresses.
    pub(crate) host: Option<String>,
    /// The port.
    pub(crate) port: u16,
}

impl ListenAddress {
    /// The `server` label: `dns://:53`, `tls://127.0.0.1:853`.
    pub(crate) fn label(&self) -> String {
        format!("{}://{self}", self.scheme)
    }

    /// Whether both want the same socket and cannot share it.
    pub(crate) fn collides_with(&self, other: &Self) -> bool {
        let ports = |address: &Self| (address.scheme.takes_tcp(), address.scheme.takes_udp());
        let ((tcp, udp), (other_tcp, other_udp)) = (ports(self), ports(other));
        let same_place = (&self.host, self.port) == (&other.host, other.port);
        same_place && self.scheme != other.scheme && (tcp && other_tcp || udp && other_udp)
    }

    /// Where to bind. All addresses means both families if the host has IPv6.
    pub(crate) fn socket_address(&self) -> io::Result<SocketAddr> {
        let Some(host) = &self.host else {
            let any = if has_ipv6() { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
            return Ok(SocketAddr::new(any, self.port));
        };
        if let Some((address, interface)) = host.split_once('%') {
            let address: Ipv6Addr = address.parse().map_err(io::Error::other)?;
            let scope = nix::net::if_::if_nametoindex(interface)?;
            return Ok(SocketAddrV6::new(address, self.port, 0, scope).into());
        }
        let address: IpAddr = host.parse().map_err(io::Error::other)?;
        Ok(SocketAddr::new(address, self.port))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => write!(f, ":{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

fn has_ipv6() -> bool {
    Socket::new(Domain::IPV6, Type::DGRAM, None)
        .and_then(|socket| socket.bind(&SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0).into()))
        .is_ok()
}

/// The sockets of one worker for one address.
pub(crate) struct Sockets {
    /// One for each family: a socket of both costs a tenth more for each query over IPv4.
    pub(crate) udp: Vec<std::net::UdpSocket>,
    /// None if only datagrams are taken.
    pub(crate) tcp: Option<std::net::TcpListener>,
}

/// Binds an address for this many workers, each with sockets of its own.
///
/// The kernel spreads queries over the workers' sockets. That a second program could bind the same port unnoticed and
/// take a share of the queries is the trap of SO_REUSEPORT, so that the port is first bound without it, unless an
/// `overlap` with another instance is wanted.
pub(crate) fn bind(address: &ListenAddress, workers: usize, overlap: bool) -> io::Result<Vec<Sockets>> {
    let place = address.socket_address()?;
    let bound = |shared| {
        let udp = families(place).filter(|_| address.scheme.takes_udp()).map(|place| udp(place, shared));
        let udp = udp.map(|socket| socket.map(Into::into)).collect::<io::Result<Vec<_>>>()?;
        let tcp = address.scheme.takes_tcp().then(|| tcp(place, shared)).transpose()?;
        Ok::<_, io::Error>(Sockets { udp, tcp: tcp.map(Into::into) })
    };
    if !overlap {
        drop(bound(false)?);
    }
    (0..workers).map(|_| bound(true)).collect()
}

/// All addresses of both families are one place for each.
fn families(place: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let both = place.is_ipv6() && place.ip().is_unspecified();
    let ipv4 = both.then(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), place.port()));
    ipv4.into_iter().chain([place])
}

fn udp(place: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(place), Type::DGRAM, Some(Protocol::UDP))?;
    if place.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    // More room than the default helps over bursts; less is no reason not to start.
    _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    if place.ip().is_unspecified() {
        // To answer from the address that was asked.
        if place.is_ipv6() {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&place.into())?;
    tracing::trace!(fd = socket.as_raw_fd(), %place, "bound");
    Ok(socket)
}

fn tcp(place: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(place), Type::STREAM, Some(Protocol::TCP))?;
    if place.is_ipv6() {
        socket.set_only_v6(!place.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&place.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}
