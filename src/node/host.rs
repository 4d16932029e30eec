use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use super::{
    Backend, Device, DeviceError, Endpoints, Events, LocalAddresses, Ports, RulesError, SetupErrors,
    device::changed,
    fallback::Fallback,
    presence::{Leaving, Presence, tell_to_clean_up},
    rules::filled,
    selftest::SelfTest,
    switch::Switch,
};
use crate::metrics::Registry;

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
    /// Who answers when no node cache does; nobody is named = no table that stays.
    pub endpoints: Endpoints,
    /// The addresses that are tested, as somebody answers the self-test there.
    pub tested: Vec<IpAddr>,
    /// Leave everything as it is at the end.
    pub keep: bool,
    /// How often to look, besides events.
    pub interval: Duration,
}

/// Keeps the host as it must be, from the start of the process to its end.
pub struct Host {
    wanted: Wanted,
    device: Option<(Device, Events)>,
    switch: Switch,
    fallback: Option<Fallback>,
    /// Whether queries are to come here: not before somebody can answer them, and no more once the end has begun.
    intercepting: bool,
    presence: Option<Presence>,
    selftest: Option<SelfTest>,
    /// Firewalls that were named in the log already.
    closed: Vec<String>,
    /// Whether queries come here, as far as that is known.
    ready: Arc<AtomicBool>,
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
    /// The packet rules are not as they must be.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// Asks a host that is being kept to let go.
#[derive(Clone)]
pub struct Keeping(mpsc::Sender<(Leave, oneshot::Sender<()>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// No more queries are to come.
    Rules,
    /// Everything goes.
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
        let rules = filled(&wanted.local, wanted.ports);
        let switch = Switch::new(wanted.backend, rules).map_err(RulesError::Nft)?;
        let mut host = Self {
            wanted,
            device: None,
            switch,
            fallback: None,
            intercepting: false,
            presence,
            selftest: None,
            closed: Vec::new(),
            ready: Arc::default(),
            errors,
        };
        if let Some(name) = &host.wanted.device {
            host.device = Some(Device::open(name, &host.wanted.local).map_err(HostError::Netlink)?);
        }
        if let Err(error) = host.ensure_device().await {
            host.leave().await;
            return Err(error.into());
        }
        host.open_fallback();
        Ok(host)
    }

    /// Takes away whatever an instance may have left on the host, however it ended. Those that live are told to do so
    /// at their end; says how many they are.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub async fn clean_up(wanted: &Wanted) -> Result<usize, HostError> {
        let name = wanted.device.as_deref().unwrap_or_default();
        let living = tell_to_clean_up(name).map_err(HostError::Netlink)?;
        if living > 0 {
            return Ok(living);
        }
        let nobody = Fallback::open(&wanted.local, wanted.ports.dns, Endpoints::default());
        nobody.and_then(|fallback| fallback.remove()).map_err(RulesError::Nft)?;
        let rules = filled(&wanted.local, wanted.ports);
        Switch::new(wanted.backend, rules).map_err(RulesError::Nft)?.remove(false).await?;
        if !name.is_empty() {
            Device::open(name, &wanted.local).map_err(HostError::Netlink)?.0.remove().await?;
        }
        Ok(0)
    }

    /// The table that stays needs nftables, whoever holds the other rules. Without it a node cache that dies takes the
    /// node's DNS along, which is no reason not to serve.
    fn open_fallback(&mut self) {
        if self.wanted.endpoints.is_empty() {
            return;
        }
        let endpoints = self.wanted.endpoints.clone();
        match Fallback::open(&self.wanted.local, self.wanted.ports.dns, endpoints) {
            Ok(fallback) => self.fallback = Some(fallback),
            Err(error) => {
                self.errors.rules.inc();
                tracing::error!("no fallback to the cluster's DNS: {error}");
            }
        }
    }

    /// Whether queries come here; false until [`Host::keep`] and after the end has begun.
    pub fn readiness(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ready)
    }

    /// Sends queries here, and keeps everything in place until it is asked to leave. Rules that cannot be put in now
    /// are tried again: until then pods ask cluster DNS as they did before.
    ///
    /// # Errors
    /// The process has no right to put in rules, and never will.
    pub async fn keep(mut self, registry: &Registry) -> Result<Keeping, HostError> {
        self.intercepting = true;
        if let Err(error) = self.ensure_rules().await {
            if error.is_final() {
                self.leave().await;
                return Err(error.into());
            }
            tracing::error!("{error}");
        }
        self.begin_tests(registry);
        let (sender, requests) = mpsc::channel(2);
        tokio::spawn(self.stay(requests));
        Ok(Keeping(sender))
    }

    fn begin_tests(&mut self, registry: &Registry) {
        if self.wanted.tested.is_empty() {
            self.ready.store(true, Ordering::Relaxed);
            return;
        }
        let port = self.wanted.ports.dns;
        let tested = self.wanted.tested.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        match SelfTest::start(tested, registry, Arc::clone(&self.ready)) {
            Ok(selftest) => self.selftest = Some(selftest),
            Err(error) => tracing::error!("no self-test: {error}"),
        }
    }

    async fn stay(mut self, mut requests: mpsc::Receiver<(Leave, oneshot::Sender<()>)>) {
        let mut ticks = interval(self.wanted.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let events = self.device.as_mut().map(|(_, events)| events);
            tokio::select! {
                request = requests.recv() => {
                    let Some((leave, done)) = request else { return };
                    match leave {
                        Leave::Rules => self.stop_intercepting().await,
                        Leave::All => self.leave().await,
                    }
                    _ = done.send(());
                    if leave == Leave::All {
                        return;
                    }
                }
                _ = ticks.tick() => self.name_firewalls(),
                () = learnt(self.fallback.as_mut()) => self.refresh_fallback(),
                () = changed(events) => {}
                () = self.switch.changed() => {}
            }
            self.ensure().await;
        }
    }

    /// Looks at everything and repairs what is broken; what cannot be is told and counted, and tried again.
    async fn ensure(&mut self) {
        if let Err(error) = self.ensure_device().await {
            tracing::error!("{error}");
        }
        if let Err(error) = self.ensure_rules().await {
            tracing::error!("{error}");
        }
        match self.fallback.as_ref().map_or(Ok(false), Fallback::ensure) {
            Ok(true) => tracing::info!("put in the fallback to the cluster's DNS, which had been removed"),
            Ok(false) => {}
            Err(error) => {
                self.errors.rules.inc();
                tracing::error!("fallback to the cluster's DNS: {error}");
            }
        }
    }

    fn refresh_fallback(&mut self) {
        if let Some(fallback) = &mut self.fallback
            && let Err(error) = fallback.refresh()
        {
            self.errors.rules.inc();
            tracing::error!("fallback to the cluster's DNS: {error}");
        }
    }

    /// Names, once, the firewalls that may keep pods from us. The self-test comes from the host itself, which many of
    /// them let pass.
    fn name_firewalls(&mut self) {
        let Ok(closed) = self.switch.closed_chains() else { return };
        for chain in closed.iter().filter(|chain| !self.closed.contains(chain)) {
            tracing::warn!(
                "{chain} drops what it does not know: it must let in UDP and TCP to the local addresses; with -rulesbackend iptables the rules that do so are put in"
            );
        }
        self.closed = closed;
    }

    async fn ensure_rules(&mut self) -> Result<(), RulesError> {
        if !self.intercepting {
            return Ok(());
        }
        match self.switch.ensure().await {
            Ok(changed) => {
                if changed {
                    tracing::info!("put in the packet rules");
                }
                Ok(())
            }
            Err(error) => {
                if error.is_lock() {
                    self.errors.rules_lock.inc()
                } else {
                    self.errors.rules.inc()
                }
                Err(error)
            }
        }
    }

    /// From now on pods ask cluster DNS, or another instance of this node. Rules go before anything else does: while
    /// they stand nobody but us may answer.
    async fn stop_intercepting(&mut self) {
        if !std::mem::take(&mut self.intercepting) {
            return;
        }
        self.selftest = None;
        self.ready.store(false, Ordering::Relaxed);
        let left = self.presence.as_ref().is_some_and(Presence::has_company);
        if self.wanted.keep && !left {
            return;
        }
        if let Err(error) = self.switch.remove(left).await {
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

    /// Takes everything away, if no other instance needs it. The fallback stays, as it is for the time without us.
    pub async fn leave(&mut self) {
        self.stop_intercepting().await;
        let leaving = self.presence.take().map(Presence::leave);
        let leaving = leaving.unwrap_or(Leaving { others: false, clean_up: false });
        if leaving.others {
            tracing::info!("another instance serves this node: the device stays for it");
            return;
        }
        if leaving.clean_up {
            if let Some(Err(error)) = self.fallback.as_ref().map(Fallback::remove) {
                tracing::error!("fallback to the cluster's DNS: {error}");
            }
            // Those that were to be kept.
            if let Err(error) = self.switch.remove(false).await {
                tracing::error!("{error}");
            }
        }
        if self.wanted.keep && !leaving.clean_up {
            return;
        }
        if let Some((device, _)) = &self.device
            && let Err(error) = device.remove().await
        {
            tracing::error!("{error}");
        }
    }
}

/// Waits until other endpoints of the cluster's DNS are known; for ever if there is no fallback.
async fn learnt(fallback: Option<&mut Fallback>) {
    match fallback {
        Some(fallback) => fallback.changed().await,
        None => std::future::pending().await,
    }
}

impl Keeping {
    /// Lets no more queries come here.
    pub async fn stop_intercepting(&self) {
        self.ask(Leave::Rules).await;
    }

    /// Takes everything away, if no other instance needs it.
    pub async fn leave(&self) {
        self.ask(Leave::All).await;
    }

    async fn ask(&self, leave: Leave) {
        let (done, gone) = oneshot::channel();
        if self.0.send((leave, done)).await.is_ok() {
            _ = gone.await;
        }
    }
}
