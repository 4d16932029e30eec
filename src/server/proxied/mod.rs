//! Clients behind a proxy that says who they are, with a header of the PROXY protocol in front of a datagram, a
//! connection or its TLS handshake (`proxyproto`). Answers go to the proxy; all else is about the client.

mod sessions;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    os::fd::AsRawFd as _,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::sys::socket::{MsgFlags, recv};
use tokio::{
    io::{AsyncReadExt as _, Interest},
    net::TcpStream,
};

use crate::{
    chain::{Manner, ProxyRules},
    metrics::{Counter, Gauge, Registry},
    wire::{Carrier, LONGEST_PROXY_HEADER, Preamble, ProxyHeader},
};
use sessions::Ends;
pub(super) use sessions::Sessions;

/// How long a header holds for a QUIC connection that is about to begin, and for how many at once.
const BEGINNINGS: (Duration, usize) = (Duration::from_secs(30), 10_240);

/// Who asks, and whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// What a proxy says of the client besides, if somebody wants to know it.
    pub(crate) tlvs: Option<Arc<[u8]>>,
}

impl Client {
    /// Somebody who speaks for himself.
    pub(crate) const fn itself([peer, local]: Ends) -> Self {
        Self { peer, local, tlvs: None }
    }
}

/// How a listener takes headers.
pub(crate) struct Proxied {
    rules: ProxyRules,
    malformed: Counter,
    rejected: Counter,
    sessions: Gauge,
}

impl Proxied {
    /// `server` is the listener's label.
    pub(crate) fn new(rules: ProxyRules, registry: &Registry, server: &str) -> Self {
        let help = "Connections and datagrams that were turned away for the sake of their PROXY header, by reason.";
        let refused = registry.counter("seamark_proxyproto_refused_total", help, &["server", "reason"]);
        let help = "Addresses of proxies whose datagrams need no PROXY header, because there was one before.";
        let sessions = registry.gauge("seamark_proxyproto_sessions", help, &["server"]);
        Self {
            rules,
            malformed: refused.with_label_values(&[server, "malformed"]),
            rejected: refused.with_label_values(&[server, "policy"]),
            sessions: sessions.with_label_values(&[server]),
        }
    }

    /// The client of a datagram and its message; `None` if there is nothing to answer.
    pub(crate) fn open<'m>(
        &self,
        ends: Ends,
        datagram: &'m [u8],
        sessions: &Sessions,
        now: Instant,
    ) -> Option<(Client, &'m [u8])> {
        let itself = Client::itself(ends);
        let manner = self.rules.manner(ends[0].ip());
        if manner == Manner::Skip {
            return Some((itself, datagram));
        }
        let Some((header, message)) = self.split(datagram)? else {
            let known = self.rules.sessions.filter(|_| manner == Manner::Use);
            let client = known.and_then(|(time, _)| sessions.find(ends, now, time));
            return Some((client.unwrap_or(itself), datagram));
        };
        let (client, message) = match manner {
            Manner::Reject => {
                self.rejected.inc();
                return None;
            }
            Manner::Use => {
                let client = self.client(&header, ends);
                if let Some(terms) = self.rules.sessions.filter(|_| header.ends.is_some()) {
                    self.sessions.set(sessions.keep(ends, client.clone(), now, terms) as i64);
                }
                (client, message)
            }
            _ => (itself, message),
        };
        // Some proxies send the header alone.
        (!message.is_empty()).then_some((client, message))
    }

    /// The message of a datagram that belongs to a connection of QUIC. Its client is remembered: [`Proxied::beginner`]
    /// is asked when the connection begins.
    pub(crate) fn uncover<'m>(
        &self,
        ends: Ends,
        datagram: &'m [u8],
        sessions: &Sessions,
        now: Instant,
    ) -> Option<&'m [u8]> {
        let has_header = self.rules.manner(ends[0].ip()) == Manner::Use;
        let (client, message) = self.open(ends, datagram, sessions, now)?;
        if has_header && self.rules.sessions.is_none() {
            if client == Client::itself(ends) {
                sessions.forget(ends);
            } else {
                self.sessions.set(sessions.keep(ends, client, now, BEGINNINGS) as i64);
            }
        }
        (!message.is_empty()).then_some(message)
    }

    /// For whom a connection of QUIC begins.
    pub(crate) fn beginner(&self, ends: Ends, sessions: &Sessions, now: Instant) -> Client {
        let (time, _) = self.rules.sessions.unwrap_or(BEGINNINGS);
        let known = (self.rules.manner(ends[0].ip()) == Manner::Use).then(|| sessions.find(ends, now, time));
        known.flatten().unwrap_or_else(|| Client::itself(ends))
    }

    /// Header and message of a datagram, or that it has no header; `None` if it is to be let go.
    #[expect(clippy::option_option, reason = "nothing to answer is something else than no header")]
    fn split<'m>(&self, datagram: &'m [u8]) -> Option<Option<(ProxyHeader<'m>, &'m [u8])>> {
        match Preamble::of(datagram) {
            Preamble::Nothing => Some(None),
            // Too short to be a header or a query.
            Preamble::Part if datagram.len() < 12 => Some(None),
            Preamble::Whole(header, length) if matches!(header.carrier, Carrier::Itself | Carrier::Datagram) => {
                Some(Some((header, &datagram[length..])))
            }
            _ => {
                self.malformed.inc();
                None
            }
        }
    }

    fn client(&self, header: &ProxyHeader<'_>, ends: Ends) -> Client {
        let Some([peer, local]) = header.ends else { return Client::itself(ends) };
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let tlvs = if self.rules.keeps_tlvs { header.tlvs().map(Arc::from) } else { None };
        Client { peer: canonical(peer), local: canonical(local), tlvs }
    }

    /// Takes the header off a connection that has just been accepted; what is behind it stays to be read. To be bounded
    /// in time by the caller.
    ///
    /// # Errors
    /// The header is none, or not wanted, or the connection ends in it.
    pub(crate) async fn greet(&self, stream: &mut TcpStream, ends: Ends) -> io::Result<Client> {
        let manner = self.rules.manner(ends[0].ip());
        if manner == Manner::Skip {
            return Ok(Client::itself(ends));
        }
        let mut octets = vec![0; LONGEST_PROXY_HEADER];
        let mut seen = 0;
        loop {
            seen = peek(stream, seen, &mut octets).await?;
            let (client, length) = match Preamble::of(&octets[..seen]) {
                Preamble::Part => continue,
                Preamble::Nothing => return Ok(Client::itself(ends)),
                Preamble::Whole(header, length) => match manner {
                    Manner::Reject => {
                        self.rejected.inc();
                        return Err(io::Error::other("a PROXY header is not wanted of this peer"));
                    }
                    Manner::Use => (self.client(&header, ends), length),
                    _ => (Client::itself(ends), length),
                },
                Preamble::Malformed => {
                    self.malformed.inc();
                    return Err(io::Error::other("the PROXY header is malformed"));
                }
            };
            stream.read_exact(&mut octets[..length]).await?;
            return Ok(client);
        }
    }
}

/// Waits until more than `seen` octets can be read, and copies them without taking them off the stream.
async fn peek(stream: &TcpStream, seen: usize, octets: &mut [u8]) -> io::Result<usize> {
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let looked = stream.try_io(Interest::READABLE, || {
            let count = recv(stream.as_raw_fd(), octets, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)?;
            // Not before something else has arrived, unless nothing will.
            if count > seen || ready.is_read_closed() { Ok(count) } else { Err(io::ErrorKind::WouldBlock.into()) }
        });
        match looked {
            Ok(count) if count > seen => return Ok(count),
            Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
