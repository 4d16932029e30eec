use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{LocalAddresses, NftError, ask::ask, nft::Nft};
use crate::wire::{Message, Name, RData, Rcode, RecordType};

/// How long a server may take to name the endpoints.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where the pods of the cluster's DNS listen, unless it is said otherwise.
const PORT: u16 = 53;

/// Who answers when no node cache does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Named once and for all.
    pub fixed: Vec<SocketAddr>,
    /// A headless service whose addresses are asked for again and again.
    pub name: Option<Name>,
    /// Whom to ask for it.
    pub servers: Vec<SocketAddr>,
}

impl Endpoints {
    /// Whether anybody is named.
    pub const fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.name.is_none()
    }
}

/// Keeps the table that stays. Its last endpoints serve for as long as nobody writes others, also without any process.
pub(super) struct Fallback {
    nft: Nft,
    local: Vec<IpAddr>,
    port: u16,
    endpoints: Endpoints,
    written: BTreeSet<SocketAddr>,
}

impl Fallback {
    pub(super) fn open(local: &LocalAddresses, port: u16, endpoints: Endpoints) -> Result<Self, NftError> {
        Ok(Self { nft: Nft::open()?, local: local.iter().collect(), port, endpoints, written: BTreeSet::new() })
    }

    /// Asks for the endpoints anew, if they have a name, and writes the table if they have changed.
    pub(super) async fn refresh(&mut self) -> Result<(), NftError> {
        let mut known: BTreeSet<SocketAddr> = self.endpoints.fixed.iter().copied().collect();
        if let Some(name) = &self.endpoints.name {
            let (name, servers) = (*name, self.endpoints.servers.clone());
            match tokio::task::spawn_blocking(move || look_up(&name, &servers)).await {
                Ok(Some(found)) => known.extend(found),
                // The old ones are better than none.
                _ => known.extend(&self.written),
            }
        }
        if known == self.written {
            return Ok(());
        }
        self.written = known;
        self.write()
    }

    /// Writes the table again if somebody has removed it; says whether it had to.
    pub(super) fn ensure(&self) -> Result<bool, NftError> {
        let endpoints: Vec<_> = self.written.iter().copied().collect();
        if endpoints.is_empty() || self.nft.has_fallback(&self.local, &endpoints)? {
            return Ok(false);
        }
        self.write().map(|()| true)
    }

    /// Removes the table.
    pub(super) fn remove(&self) -> Result<(), NftError> {
        self.nft.remove_fallback()
    }

    fn write(&self) -> Result<(), NftError> {
        let endpoints: Vec<_> = self.written.iter().copied().collect();
        self.nft.write_fallback(&self.local, self.port, &endpoints)?;
        let listed: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
        tracing::info!("without a node cache the cluster's DNS answers: {}", listed.join(" "));
        Ok(())
    }
}

/// The addresses of a name, both families, from the first server that knows any; `None` if none does.
fn look_up(name: &Name, servers: &[SocketAddr]) -> Option<Vec<SocketAddr>> {
    for server in servers {
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            match ask(*server, name, kind, PATIENCE) {
                Ok(message) if message.flags.rcode() == Rcode::NOERROR => found.extend(addresses(&message)),
                Ok(message) => tracing::warn!("{server} says {} to {name} {kind}", message.flags.rcode()),
                Err(error) => tracing::warn!("cannot ask {server} for {name} {kind}: {error}"),
            }
        }
        if !found.is_empty() {
            return Some(found);
        }
    }
    None
}

fn addresses(message: &Message) -> impl Iterator<Item = SocketAddr> {
    let address = |data: &RData| match data {
        RData::A(v4) => Some(IpAddr::from(*v4)),
        RData::Aaaa(v6) => Some(IpAddr::from(*v6)),
        _ => None,
    };
    let found = message.records().answer.iter().filter_map(move |record| address(&record.data));
    found.map(|ip| SocketAddr::new(ip, PORT))
}
