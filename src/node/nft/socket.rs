use std::io;

use futures::FutureExt as _;
use rtnetlink::sys::{
    AsyncSocket as _, AsyncSocketExt as _, Socket, SocketAddr, TokioSocket, protocols::NETLINK_NETFILTER,
};

use super::transaction::{Reply, Transaction, replies};

/// NFNLGRP_NFTABLES: changes of tables, chains and rules.
const CHANGES: u32 = 7;
/// Room for a datagram from the kernel, octets.
const DATAGRAM: usize = 1 << 16;

/// A conversation with nftables. The kernel works while a message is sent, so that the answer is there at once.
pub(super) struct Conversation {
    socket: Socket,
    port: u32,
}

impl Conversation {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        // An error need not repeat what was asked.
        _ = socket.set_cap_ack(true);
        Ok(Self { socket, port })
    }

    /// The socket's number, which no other socket of the host's network has.
    pub(super) const fn port(&self) -> u32 {
        self.port
    }

    /// Makes changes, all or none.
    pub(super) fn apply(&self, transaction: Transaction) -> io::Result<()> {
        let (bytes, expected) = transaction.finish();
        self.socket.send(&bytes, 0)?;
        let mut acknowledged = 0;
        let mut first = None;
        self.receive(|reply| {
            if let Reply::Outcome { error, .. } = reply {
                acknowledged += 1;
                if error != 0 {
                    first.get_or_insert(error);
                }
            }
            true
        })?;
        match first {
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None if acknowledged < expected => Err(io::Error::other("nftables has not answered")),
            None => Ok(()),
        }
    }

    /// Asks for a list, and hands each part to `take`: family and attributes.
    pub(super) fn list(&self, question: &[u8], mut take: impl FnMut(u8, &[u8])) -> io::Result<()> {
        self.socket.send(question, 0)?;
        let mut failed = 0;
        let mut complete = false;
        self.receive(|reply| {
            match reply {
                Reply::Part { family, attributes } => take(family, attributes),
                Reply::Outcome { error, .. } => failed = error,
                Reply::Done => complete = true,
            }
            !complete && failed == 0
        })?;
        match failed {
            0 if complete => Ok(()),
            0 => Err(io::Error::other("nftables has not answered")),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Asks for one thing, and gives its attributes; `None` if it is not there.
    pub(super) fn one(&self, question: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.socket.send(question, 0)?;
        let mut found = None;
        let mut failed = 0;
        self.receive(|reply| {
            match reply {
                Reply::Part { attributes, .. } => found = Some(attributes.to_vec()),
                Reply::Outcome { error, .. } => failed = error,
                Reply::Done => {}
            }
            false
        })?;
        match failed {
            0 | libc::ENOENT => Ok(found),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Takes replies until `go_on` says no or there are no more.
    fn receive(&self, mut go_on: impl FnMut(Reply<'_>) -> bool) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(DATAGRAM);
        loop {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => {
                    for reply in replies(&buffer) {
                        if !go_on(reply) {
                            return Ok(());
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Hears of changes that anybody makes to the tables of these names.
pub struct Changes {
    socket: TokioSocket,
    names: Vec<Vec<u8>>,
}

impl Changes {
    /// Begins to listen. Needs a tokio runtime.
    ///
    /// # Errors
    /// There is no nftables, or no right to listen.
    pub(crate) fn listen(names: &[&str]) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        socket.socket_mut().bind_auto()?;
        socket.socket_mut().add_membership(CHANGES)?;
        let names = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { socket, names })
    }

    /// Waits until somebody changes one of the tables.
    pub(crate) async fn next(&mut self) {
        let mut touched = false;
        while !touched {
            touched = self.heard().await;
        }
        // A change comes as several messages: one look is enough for all that are there.
        while self.heard().now_or_never().is_some() {}
    }

    async fn heard(&mut self) -> bool {
        match self.socket.recv_from_full().await {
            Ok((datagram, _)) => {
                self.names.iter().any(|name| datagram.windows(name.len()).any(|part| part == name.as_slice()))
            }
            // More changes than the kernel could tell: one may have been ours.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => true,
            Err(error) => {
                tracing::warn!("changes of packet rules are not heard any more: {error}");
                std::future::pending().await
            }
        }
    }
}
