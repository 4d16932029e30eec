//! The device that holds the local addresses.
//!
//! ```text
//!   netlink.rs   what is there (links, addresses), requests, events
//!     plan.rs    what is missing, what is in the way, what goes at the end
//! ```
//!
//! A dummy device is best. Where the kernel has none, a bridge without ports serves as well, and `lo` where there is no
//! bridge either. What we make has a mark, the device an alias and an address a protocol number, so that another
//! instance knows it, and nothing else is ever removed.

mod netlink;
mod plan;

use std::{io, net::IpAddr};

use futures::StreamExt as _;

pub use netlink::Events;
use netlink::Netlink;
pub use plan::Conflict;
use plan::{Kind, Place, plan, removal};

use super::LocalAddresses;

/// The device with the local addresses.
pub struct Device {
    netlink: Netlink,
    name: String,
    local: Vec<IpAddr>,
}

/// Why the device is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The host could not be looked at.
    #[error("cannot list devices and addresses: {0}")]
    Check(#[source] io::Error),
    /// What is there is in the way.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Something could not be made or removed.
    #[error("{what}: {error}{}", hint(.error, .what))]
    Change {
        /// What was to be done.
        what: String,
        /// What the kernel says.
        error: io::Error,
    },
}

fn hint(error: &io::Error, what: &str) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) if what.contains("::") => " (is IPv6 off on this host?)",
        Some(libc::EPERM | libc::EACCES) => " (the process needs the capability NET_ADMIN)",
        Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT) => " (this kernel lacks the address family)",
        _ => "",
    }
}

impl Device {
    /// Opens netlink. Needs a tokio runtime. The events say that a device or an address has changed.
    ///
    /// # Errors
    /// There is no netlink.
    pub fn open(name: &str, local: &LocalAddresses) -> io::Result<(Self, Events)> {
        let (netlink, events) = Netlink::open()?;
        Ok((Self { netlink, name: name.to_owned(), local: local.iter().collect() }, events))
    }

    /// Makes what is missing; says what that was, in words for the log.
    ///
    /// # Errors
    /// Something is in the way, or the kernel does not do it.
    pub async fn ensure(&self) -> Result<Vec<String>, DeviceError> {
        let mut done = Vec::new();
        let mut on_loopback = false;
        loop {
            let host = self.netlink.host().await.map_err(DeviceError::Check)?;
            let plan = plan(&host, &self.name, &self.local, on_loopback)?;
            let Place::There(index) = plan.place else {
                match self.make().await? {
                    Some(made) => done.push(made),
                    None => on_loopback = true,
                }
                continue;
            };
            for ip in plan.missing {
                let place = if on_loopback { "lo" } else { &self.name };
                let change = |error| DeviceError::Change { what: format!("cannot add {ip} to {place}"), error };
                self.netlink.add_address(index, ip).await.map_err(change)?;
                done.push(format!("address {ip} on {place}"));
            }
            return Ok(done);
        }
    }

    /// Makes the device; `None` if the kernel has neither kind.
    async fn make(&self) -> Result<Option<String>, DeviceError> {
        for (kind, name) in [(Kind::Dummy, "dummy"), (Kind::Bridge, "bridge without ports")] {
            match self.netlink.add_device(&self.name, kind).await {
                Ok(()) => return Ok(Some(format!("device {} ({name})", self.name))),
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
                // Another instance was faster.
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                    return Ok(Some(format!("device {}", self.name)));
                }
                Err(error) => {
                    return Err(DeviceError::Change { what: format!("cannot make device {}", self.name), error });
                }
            }
        }
        Ok(None)
    }

    /// Takes away what we made, here or in an instance before.
    ///
    /// # Errors
    /// The kernel does not do it.
    pub async fn remove(&self) -> Result<(), DeviceError> {
        let host = self.netlink.host().await.map_err(DeviceError::Check)?;
        let removal = removal(&host, &self.name, &self.local);
        for address in removal.addresses {
            let change = |error| DeviceError::Change { what: format!("cannot remove {}", address.ip), error };
            self.netlink.remove_address(address.index, address.ip).await.map_err(change)?;
        }
        if let Some(index) = removal.device {
            let change = |error| DeviceError::Change { what: format!("cannot remove device {}", self.name), error };
            self.netlink.remove_device(index).await.map_err(change)?;
        }
        Ok(())
    }
}

/// Waits for the next change of a device or an address; for ever if nobody tells.
pub(super) async fn changed(events: Option<&mut Events>) {
    let Some(events) = events else { return std::future::pending().await };
    if events.next().await.is_none() {
        std::future::pending::<()>().await;
    }
    // A change comes as several messages: one look is enough for all that are there.
    while events.try_recv().is_ok() {}
}
