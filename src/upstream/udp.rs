use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::{io::Interest, net::UdpSocket};

use super::{Ask, answer_to, any_like, encoded};
use crate::wire::{MAX_MESSAGE, Packet};

thread_local! {
    static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; MAX_MESSAGE]);
}

/// Asks over a socket of its own, so that port and id are fresh for each query (RFC 5452). What is no answer to the
/// question is passed over, and the wait goes on. An ICMP error ends it at once, as the socket is connected.
pub(super) async fn exchange(address: SocketAddr, source: Option<IpAddr>, ask: &Ask) -> io::Result<Packet> {
    let socket = UdpSocket::bind(any_like(address, source)).await?;
    socket.connect(address).await?;
    let (id, query) = encoded(ask);
    socket.send(&query).await?;
    loop {
        // An ICMP error shows as an error only: the socket does not become readable by it.
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error()
            && let Some(error) = socket.take_error()?
        {
            return Err(error);
        }
        let received = BUFFER
            .with_borrow_mut(|buffer| socket.try_recv(buffer).map(|length| answer_to(ask, id, &buffer[..length])));
        match received {
            Ok(Some(packet)) => return Ok(packet),
            Ok(None) => tracing::debug!(%address, "passed over a datagram that is no answer"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
