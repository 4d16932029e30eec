use std::{io, net::SocketAddr, sync::Arc};

pub use rustls::pki_types::ServerName;
use tokio::runtime::Handle;

use super::{
    Answer, Ask, AskError, Connecting, Patience, Protocol, Tls,
    dial::Dial,
    grpc::Grpc,
    https::Https,
    quic::{self, Quic},
    stream::Pool,
    trunk::Trunk,
};
use crate::{
    metrics::Counter,
    wire::{Packet, Rcode, RecordType, Response},
};

/// How an encrypted upstream is reached.
#[derive(Debug, Clone)]
pub struct Secure {
    /// Over what.
    pub means: Means,
    /// Whom its certificate must name.
    pub name: ServerName<'static>,
    /// Whom to believe, and who we are.
    pub tls: Arc<Tls>,
}

/// What encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Means {
    /// TLS, messages as over TCP (RFC 7858).
    Tls,
    /// HTTPS (RFC 8484).
    Https {
        /// GET instead of POST.
        get: bool,
    },
    /// QUIC (RFC 9250).
    Quic,
}

/// The connections to an upstream.
pub(super) enum Road {
    /// Those that a plain one has beside datagrams.
    Plain(Pool),
    Tls(Pool),
    Https(Trunk<Https>),
    Quic(Trunk<Quic>),
    Grpc(Trunk<Grpc>),
}

impl Road {
    pub(super) fn encrypted(
        remote: SocketAddr,
        secure: &Secure,
        connecting: &Connecting,
        runtime: Handle,
        ignored: Counter,
    ) -> Self {
        let Secure { means, name, tls } = secure;
        let (source, connecting) = (connecting.source, connecting.clone());
        match means {
            Means::Tls => Self::Tls(Pool::new(remote, Dial::Tls(tls.dot(name.clone())), connecting, runtime, ignored)),
            Means::Https { get } => {
                let authority = authority(name, remote);
                let https = Https { remote, source, handshake: tls.https(name.clone()), authority, get: *get };
                Self::Https(Trunk::new(https, remote, connecting, runtime, ignored))
            }
            Means::Quic => {
                let (config, witness) = tls.quic();
                let config = quic::configuration(config, connecting.expire);
                let quic = Quic { remote, source, config, witness, name: name.to_str().into_owned() };
                Self::Quic(Trunk::new(quic, remote, connecting, runtime, ignored))
            }
        }
    }

    pub(super) fn grpc(
        remote: SocketAddr,
        tls: Option<(&Tls, ServerName<'static>)>,
        connecting: &Connecting,
        runtime: Handle,
        ignored: Counter,
    ) -> Self {
        let authority = match &tls {
            Some((_, name)) => authority(name, remote),
            None => remote.to_string(),
        };
        let dial = tls.map_or(Dial::Plain, |(tls, name)| Dial::Tls(tls.https(name)));
        let grpc = Grpc { remote, source: connecting.source, dial, authority };
        Self::Grpc(Trunk::new(grpc, remote, connecting.clone(), runtime, ignored))
    }

    /// The only protocol, if there is only one.
    pub(super) const fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(_) => Some(Protocol::Tls),
            Self::Https(_) => Some(Protocol::Https),
            Self::Quic(_) => Some(Protocol::Quic),
            Self::Grpc(_) => Some(Protocol::Grpc),
        }
    }

    pub(super) async fn exchange(&self, ask: &Arc<Ask>, patience: Patience) -> Result<Answer, AskError> {
        match self {
            Self::Plain(pool) | Self::Tls(pool) => pool.exchange(ask, patience).await,
            Self::Https(trunk) => trunk.exchange(ask, patience).await,
            Self::Quic(trunk) => match refusal(ask) {
                Some(packet) => Ok(Answer { packet, kept: true }),
                None => trunk.exchange(ask, patience).await,
            },
            Self::Grpc(trunk) => match trunk.exchange(ask, patience).await {
                Err(error) if is_nowhere(&error) => {
                    let packet = Packet::of(&ask.question, &Response::new(Rcode::NXDOMAIN));
                    packet.map(|packet| Answer { packet, kept: true }).map_err(|_| error)
                }
                answer => answer,
            },
        }
    }
}

/// Zones are not transferred over QUIC here, as CoreDNS has it: such an answer is several messages.
fn refusal(ask: &Ask) -> Option<Packet> {
    let transfer = matches!(ask.question.record_type, RecordType::AXFR | RecordType::IXFR);
    if transfer { Packet::of(&ask.question, &Response::new(Rcode::NOTIMP)).ok() } else { None }
}

/// Whether the server says outside of DNS that there is no such name.
fn is_nowhere(error: &AskError) -> bool {
    matches!(error, AskError::Read { error, .. } if error.kind() == io::ErrorKind::NotFound)
}

/// What stands in the URI for the host: the server's name, or its address as it is written there.
fn authority(name: &ServerName<'_>, remote: SocketAddr) -> String {
    let host = match name {
        ServerName::DnsName(name) => name.as_ref().to_owned(),
        _ if remote.is_ipv6() => format!("[{}]", remote.ip()),
        _ => remote.ip().to_string(),
    };
    if remote.port() == 443 { host } else { format!("{host}:{}", remote.port()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Flags, Name, Question};

    #[test]
    fn the_authority_is_the_name_or_the_address() {
        for (name, remote, expected) in [
            ("dns.example.org", "192.0.2.1:443", "dns.example.org"),
            ("dns.example.org", "[2001:db8::1]:8443", "dns.example.org:8443"),
            ("192.0.2.1", "192.0.2.1:443", "192.0.2.1"),
            ("2001:db8::1", "[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            let name = ServerName::try_from(name).unwrap();
            assert_eq!(authority(&name, remote.parse().unwrap()), expected);
        }
    }

    #[test]
    fn transfers_over_quic_are_refused() {
        for (kind, refused) in [(RecordType::A, false), (RecordType::AXFR, true), (RecordType::IXFR, true)] {
            let question = Question::new(Name::parse("example.org").unwrap(), kind);
            let refusal = refusal(&Ask { question, flags: Flags(0), edns: None });
            assert_eq!(refusal.map(|packet| packet.header().rcode()), refused.then_some(Rcode::NOTIMP), "{kind}");
        }
    }
}
