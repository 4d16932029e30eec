use std::{io, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use super::{Backend, Device, DeviceError, Events, LocalAddresses, Ports, Presence, SetupErrors, device::changed};

/// What the node cache does to its host.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The addresses to listen on.
    pub local: LocalAddresses,
    /// Name of the device that holds them; `None` if that is another's affair.
    pub device: Option<String>,
    /// Who holds the packet rules.
    pub backend: Backend,
    /// The port of DNS and that of `health`.
    pub ports: Ports,
    /// Leave everything as it is at the end.
    pub keep: bool,
    /// How often to look, besides events.
    pub interval: Duration,
}

/// Keeps the host as it must be, from the start of the process to its end.
pub struct Host {
    wanted: Wanted,
    device: Option<(Device, Events)>,
    presence: Option<Presence>,
    errors: SetupErrors,
}

/// Why the host cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// There is no netlink.
    #[error("cannot open netlink: {0}")]
    Netlink(#[source] io::Error),
    /// The device is not as it must be.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Asks a host that is being kept to let go.
#[derive(Clone)]
pub struct Keeping(mpsc::Sender<(Leave, oneshot::Sender<()>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    All,
}

impl Host {
    /// Makes the device, so that its addresses can be bound. What was made goes again if something fails.
    ///
    /// # Errors
    /// The device cannot be made.
    pub async fn prepare(wanted: Wanted, errors: SetupErrors) -> Result<Self, HostError> {
        let name = wanted.device.as_deref().unwrap_or_default();
        let presence = Presence::announce(name)
            .inspect_err(|error| {
                tracing::warn!("cannot tell other instances on this node that this one lives: {error}")
            })
            .ok();
        let mut host = Self { wanted, device: None, presence, errors };
        if let Some(name) = &host.wanted.device {
            host.device = Some(Device::open(name, &host.wanted.local).map_err(HostError::Netlink)?);
        }
        if let Err(error) = host.ensure_device().await {
            host.leave().await;
            return Err(error.into());
        }
        Ok(host)
    }

    /// Keeps everything in place until it is asked to leave.
    pub fn keep(mut self) -> Keeping {
        let (sender, mut requests) = mpsc::channel::<(Leave, oneshot::Sender<()>)>(2);
        tokio::spawn(async move {
            let mut ticks = interval(self.wanted.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let events = self.device.as_mut().map(|(_, events)| events);
                tokio::select! {
                    request = requests.recv() => {
                        let Some((Leave::All, done)) = request else { return };
                        self.leave().await;
                        _ = done.send(());
                        return;
                    }
                    _ = ticks.tick() => {}
                    () = changed(events) => {}
                }
                self.ensure().await;
            }
        });
        Keeping(sender)
    }

    /// Looks at everything and repairs what is broken; what cannot be is told and counted, and tried again.
    async fn ensure(&self) {
        if let Err(error) = self.ensure_device().await {
            tracing::error!("{error}");
        }
    }

    async fn ensure_device(&self) -> Result<(), DeviceError> {
        let Some((device, _)) = &self.device else { return Ok(()) };
        match device.ensure().await {
            Ok(done) => {
                done.iter().for_each(|made| tracing::info!("made {made}"));
                Ok(())
            }
            Err(error) => {
                match error {
                    DeviceError::Change { .. } => self.errors.interface_add.inc(),
                    DeviceError::Check(_) | DeviceError::Conflict(_) => self.errors.interface_check.inc(),
                }
                Err(error)
            }
        }
    }

    /// Takes everything away, if no other instance needs it.
    async fn leave(&mut self) {
        let Some(presence) = self.presence.take() else { return };
        if presence.leave() {
            tracing::info!("another instance serves this node: device and rules stay for it");
            return;
        }
        if self.wanted.keep {
            return;
        }
        if let Some((device, _)) = &self.device
            && let Err(error) = device.remove().await
        {
            tracing::error!("{error}");
        }
    }
}

impl Keeping {
    /// Takes everything away, if no other instance needs it.
    pub async fn leave(&self) {
        let (done, gone) = oneshot::channel();
        if self.0.send((Leave::All, done)).await.is_ok() {
            _ = gone.await;
        }
    }
}
