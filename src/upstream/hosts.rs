use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::{Ask, AskError, Connecting, Protocol, Upstream};
use crate::{
    metrics::Registry,
    wire::{Edns, Flags, Message, Name, Packet, Question, RData, Rcode, RecordType},
};

/// How long one nameserver may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How often all nameservers are asked in turn.
const ROUNDS: usize = 2;
/// How long finding the addresses of a host may take in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// What we say that we take over UDP, octets; the size that passes everywhere (RFC 9715).
const UDP_SIZE: u16 = 1232;

/// Finds the addresses of hosts through nameservers. Names are absolute: no search list.
pub struct Hosts {
    servers: Vec<Upstream>,
}

/// The addresses of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// IPv4 first, each once, in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// How long they may be relied upon.
    pub ttl: Duration,
}

/// Why the addresses of a host are not known.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no nameserver to ask.
    #[error("there is no nameserver to ask")]
    Nobody,
    /// The nameservers do not answer.
    #[error("{0}")]
    Ask(#[from] AskError),
    /// The nameservers take too long.
    #[error("the nameservers have not answered in time")]
    Late,
    /// A nameserver has refused or failed.
    #[error("{0} answers {1}")]
    Refused(SocketAddr, Rcode),
    /// The name has no address.
    #[error("the name has no address")]
    NoAddress,
}

impl Hosts {
    /// A finder that asks these nameservers, one after the other.
    pub fn new(servers: &[SocketAddr], runtime: &Handle, registry: &Registry) -> Self {
        let server = |&address| Upstream::new(address, &Connecting::default(), runtime.clone(), registry);
        Self { servers: servers.iter().map(server).collect() }
    }

    /// The addresses of a host.
    ///
    /// # Errors
    /// There is none, or nobody who knows.
    pub async fn find(&self, host: &Name) -> Result<Found, HostError> {
        let both = async { tokio::join!(self.ask(host, RecordType::A), self.ask(host, RecordType::AAAA)) };
        let (four, six) = timeout(PATIENCE, both).await.map_err(|_| HostError::Late)?;
        match (four, six) {
            (Ok(four), Ok(six)) => Found::of(four.into_iter().chain(six)),
            (Ok(one), Err(error)) | (Err(error), Ok(one)) if one.is_empty() => Err(error),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Found::of(one),
            (Err(error), Err(_)) => Err(error),
        }
    }

    async fn ask(&self, host: &Name, kind: RecordType) -> Result<Vec<(IpAddr, u32)>, HostError> {
        let question = Question::new(*host, kind);
        let ask = Arc::new(Ask { question, flags: Flags(Flags::RD), edns: Some(Edns::new(UDP_SIZE, false)) });
        let mut trouble = HostError::Nobody;
        let end = Instant::now() + PATIENCE;
        for server in self.servers.iter().cycle().take(ROUNDS * self.servers.len()) {
            if Instant::now() >= end {
                break;
            }
            match exchange(server, &ask).await {
                Ok(packet) => match packet.header().rcode() {
                    Rcode::NOERROR => return Ok(addresses(&packet)),
                    Rcode::NXDOMAIN => return Ok(Vec::new()),
                    rcode => trouble = HostError::Refused(server.address(), rcode),
                },
                Err(error) => trouble = error.into(),
            }
        }
        Err(trouble)
    }
}

async fn exchange(server: &Upstream, ask: &Arc<Ask>) -> Result<Packet, AskError> {
    let packet = server.ask(ask, Protocol::Udp, ANSWER).await?.packet;
    if !packet.header().truncated() {
        return Ok(packet);
    }
    Ok(server.ask(ask, Protocol::Tcp, ANSWER).await?.packet)
}

/// All addresses of the answer: the nameserver has followed aliases.
fn addresses(packet: &Packet) -> Vec<(IpAddr, u32)> {
    let Ok(message) = Message::parse(packet.bytes()) else { return Vec::new() };
    let records = message.into_records().answer;
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::V4(*address)),
        RData::Aaaa(address) => Some(IpAddr::V6(*address)),
        _ => None,
    };
    records.iter().filter_map(|record| Some((address(&record.data)?, record.ttl))).collect()
}

impl Found {
    fn of(records: impl IntoIterator<Item = (IpAddr, u32)>) -> Result<Self, HostError> {
        let mut found = Self { addresses: Vec::new(), ttl: Duration::MAX };
        for (address, ttl) in records {
            if !found.addresses.contains(&address) {
                found.addresses.push(address);
            }
            found.ttl = found.ttl.min(Duration::from_secs(ttl.into()));
        }
        if found.addresses.is_empty() { Err(HostError::NoAddress) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{NameRef, Record, Response};

    #[test]
    fn all_addresses_of_an_answer_count_with_the_shortest_ttl() {
        let host = Name::parse("dns.example.org").unwrap();
        let record = |ttl, data| Record::of_question(ttl, data);
        let alias = Name::parse("a.example.net").unwrap();
        let response = Response::answer([
            record(300, RData::Cname(NameRef::from(alias))),
            record(60, RData::A([192, 0, 2, 1].into())),
            record(20, RData::A([192, 0, 2, 2].into())),
            record(60, RData::A([192, 0, 2, 1].into())),
        ]);
        let packet = Packet::of(&Question::new(host, RecordType::A), &response).unwrap();
        let found = Found::of(addresses(&packet)).unwrap();
        assert_eq!(found.addresses, [IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])]);
        assert_eq!(found.ttl, Duration::from_secs(20));
        assert!(matches!(Found::of([]), Err(HostError::NoAddress)));
    }
}
