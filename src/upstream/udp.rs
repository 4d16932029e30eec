use std::{
    cell::RefCell,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::{io::Interest, net::UdpSocket, time::timeout};

use super::{
    Ask, AskError, Protocol,
    error::local_address,
    matching::{answer_to, encoded},
};
use crate::{
    metrics::Counter,
    wire::{MAX_MESSAGE, Packet},
};

thread_local! {
    /// Whatever the client's size: a datagram is never cut here.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_MESSAGE]);
}

/// Asks over a socket of its own, so that port and id are fresh for each query (RFC 5452 section 9.2). What is no
/// answer to the question is passed over, and the wait goes on. An ICMP error ends it at once, as the socket is
/// connected.
pub(super) async fn exchange(
    remote: SocketAddr,
    source: Option<IpAddr>,
    ask: &Ask,
    patience: Duration,
    ignored: &Counter,
) -> Result<Packet, AskError> {
    let protocol = Protocol::Udp;
    let socket = connected(remote, source).map_err(|error| AskError::Dial { protocol, remote, error })?;
    let id = rand::random();
    let received = timeout(patience, async {
        socket.send(&encoded(ask, id)).await?;
        receive(&socket, ask, id, ignored).await
    });
    match received.await {
        Ok(Ok(packet)) => Ok(packet),
        Ok(Err(error)) => Err(AskError::Read { protocol, local: socket.local_addr().ok(), remote, error }),
        Err(_) => Err(AskError::Timeout { protocol, local: socket.local_addr().ok(), remote }),
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

async fn receive(socket: &UdpSocket, ask: &Ask, id: u16, ignored: &Counter) -> io::Result<Packet> {
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
            Ok(None) => ignored.inc(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
