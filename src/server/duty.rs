use std::sync::Arc;

use tokio::sync::watch;

use super::{
    door::Door,
    limits::{Parking, Patience},
    listen::ListenAddress,
    proxied::Proxied,
    site::{Guise, Site},
};
use crate::corefile::Scheme;

/// What a socket's task needs to know: the site that serves now, and when to end.
#[derive(Clone)]
pub(crate) struct Duty {
    address: ListenAddress,
    sites: watch::Receiver<Arc<Site>>,
    current: Arc<Site>,
    listener: Option<usize>,
    end: watch::Receiver<bool>,
    parking: Arc<Parking>,
    door: Arc<Door>,
}

impl Duty {
    pub(crate) fn new(
        address: ListenAddress,
        mut sites: watch::Receiver<Arc<Site>>,
        end: watch::Receiver<bool>,
        parking: Arc<Parking>,
        door: Arc<Door>,
    ) -> Self {
        let current = Arc::clone(&sites.borrow_and_update());
        let listener = current.listener(&address);
        Self { address, sites, current, listener, end, parking, door }
    }

    /// Takes over the site that serves now, if it has changed.
    pub(crate) fn refresh(&mut self) {
        if self.sites.has_changed().unwrap_or(false) {
            self.take_over();
        }
    }

    fn take_over(&mut self) {
        let next = Arc::clone(&self.sites.borrow_and_update());
        // The old site goes on for what is left in the queue of an address that the new one has given up.
        if let Some(listener) = next.listener(&self.address) {
            self.listener = Some(listener);
            self.current = next;
        }
    }

    /// The site as of the last refresh, and the number of this address in it; `None` if it does not serve the address.
    pub(crate) fn site(&self) -> Option<(&Arc<Site>, usize)> {
        self.listener.map(|listener| (&self.current, listener))
    }

    /// What is spoken at the address.
    pub(crate) const fn scheme(&self) -> Scheme {
        self.address.scheme
    }

    /// The address.
    pub(crate) const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Who has come in at the address.
    pub(crate) const fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// How the address takes headers of proxies; `None` if it does not look for them.
    pub(crate) fn proxied(&self) -> Option<&Arc<Proxied>> {
        self.site().and_then(|(site, listener)| site.proxied(listener))
    }

    /// The same, followed over reloads by somebody who keeps no site.
    pub(crate) fn follow_proxied(&self) -> FollowProxied {
        FollowProxied { address: self.address.clone(), sites: self.sites.clone(), current: self.proxied().cloned() }
    }

    /// How long somebody is waited for, as the current site has it.
    pub(crate) fn patience(&self) -> Patience {
        Patience::of(self.site().map(|(site, listener)| site.tcp(listener)).unwrap_or_default())
    }

    /// Who we are at the address, and its limits, as the current site has it.
    pub(crate) fn guise(&self) -> Option<&Guise> {
        self.site().and_then(|(site, listener)| site.guise(listener))
    }

    pub(crate) const fn parking(&self) -> &Arc<Parking> {
        &self.parking
    }

    /// Waits until there is another site, or none for this address. Does not borrow, so that it can be waited for along
    /// with many batches.
    pub(crate) fn turn(&self) -> impl Future<Output = Turn> + use<> {
        let (mut sites, mut end) = (self.sites.clone(), self.end.clone());
        async move {
            // An error means that the server is gone, which is an end as well.
            let other = tokio::select! {
                _ = end.wait_for(|end| *end) => false,
                changed = sites.changed() => changed.is_ok(),
            };
            if other { Turn::Other } else { Turn::Ended }
        }
    }

    /// Waits until the address is given up. Takes leave of an old site meanwhile: what nobody asks must not keep it.
    pub(crate) async fn ended(&mut self) {
        while self.turn().await == Turn::Other {
            self.take_over();
        }
    }
}

/// How an address takes headers of proxies, over reloads.
pub(crate) struct FollowProxied {
    address: ListenAddress,
    sites: watch::Receiver<Arc<Site>>,
    current: Option<Arc<Proxied>>,
}

impl FollowProxied {
    /// As the site has it that serves now.
    pub(crate) fn now(&mut self) -> Option<&Arc<Proxied>> {
        if self.sites.has_changed().unwrap_or(false) {
            let site = self.sites.borrow_and_update();
            if let Some(listener) = site.listener(&self.address) {
                self.current = site.proxied(listener).cloned();
            }
        }
        self.current.as_ref()
    }
}

/// What has become of a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There is another site to serve.
    Other,
    /// The address is given up.
    Ended,
}
