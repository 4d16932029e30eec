use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use tokio::sync::watch;

use super::{Endpoints, LocalAddresses, NftError, endpoints::follow, nft::Nft};

/// Keeps the table that stays. Its last endpoints serve for as long as nobody writes others, also without any process.
pub(super) struct Fallback {
    nft: Nft,
    local: Vec<IpAddr>,
    port: u16,
    endpoints: watch::Receiver<BTreeSet<SocketAddr>>,
    written: BTreeSet<SocketAddr>,
}

impl Fallback {
    /// Begins to look for the endpoints. Needs a tokio runtime.
    pub(super) fn open(local: &LocalAddresses, port: u16, endpoints: Endpoints) -> Result<Self, NftError> {
        let nft = Nft::open()?;
        let mut endpoints = follow(endpoints);
        endpoints.mark_changed();
        Ok(Self { nft, local: local.iter().collect(), port, endpoints, written: BTreeSet::new() })
    }

    /// Waits until other endpoints are known.
    pub(super) async fn changed(&mut self) {
        if self.endpoints.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Writes the table if other endpoints are known than stand in it.
    pub(super) fn refresh(&mut self) -> Result<(), NftError> {
        let known = self.endpoints.borrow_and_update().clone();
        if known.is_empty() || known == self.written {
            return Ok(());
        }
        self.written = known;
        self.write()
    }

    /// Writes the table again if somebody has removed it; says whether it had to.
    pub(super) fn ensure(&self) -> Result<bool, NftError> {
        if self.written.is_empty() || self.nft.has_fallback()? {
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
