use std::{
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};

use crate::server::{
    door::Door,
    duty::{Duty, FollowProxied},
    proxied::Proxied,
};

/// A socket of QUIC that takes the headers of proxies off its datagrams. To QUIC a connection is one with the proxy: who
/// is behind it is remembered at the door, and asked for when the connection begins.
pub(super) struct Uncovered {
    socket: Arc<dyn AsyncUdpSocket>,
    local: SocketAddr,
    door: Arc<Door>,
    proxied: Mutex<FollowProxied>,
}

impl Uncovered {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>, duty: &Duty) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self { socket, local, door: Arc::clone(duty.door()), proxied: Mutex::new(duty.follow_proxied()) })
    }

    /// Takes headers off what one system call has brought, in place. Gives the datagrams that are left.
    fn uncover(&self, proxied: &Proxied, octets: &mut [u8], meta: &mut RecvMeta) {
        let now = Instant::now();
        let asked = meta.dst_ip.map_or(self.local, |ip| SocketAddr::new(ip, self.local.port()));
        let (ends, stride) = ([meta.addr, asked], meta.stride.max(1));
        let (mut free, mut length) = (0, None);
        for from in (0..meta.len).step_by(stride) {
            let datagram = &octets[from..meta.len.min(from + stride)];
            let Some(message) = proxied.uncover(ends, datagram, self.door.sessions(), now) else { continue };
            // Those of one call are of one length, but for the last. What does not fit is lost, as on the network.
            let whole = *length.get_or_insert(message.len());
            if message.len() > whole || free % whole != 0 {
                continue;
            }
            let start = from + datagram.len() - message.len();
            let end = start + message.len();
            octets.copy_within(start..end, free);
            free += end - start;
        }
        meta.len = free;
        meta.stride = length.unwrap_or_default();
    }
}

impl AsyncUdpSocket for Uncovered {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.socket).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.socket.poll_recv(cx, buffers, meta))?;
        let mut proxied = self.proxied.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(proxied) = proxied.now() {
            for (buffer, meta) in buffers.iter_mut().zip(meta).take(count) {
                self.uncover(proxied, buffer, meta);
            }
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

impl fmt::Debug for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uncovered").field("socket", &self.socket).finish_non_exhaustive()
    }
}
