use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use super::{
    config::Options,
    metrics::MemberMetrics,
    proxy::{Member, Proxy},
    target::{Scheme, Server, To, neither},
};
use crate::{
    chain::{Block, BuildError},
    metrics::Registry,
    upstream::{Departures, Found, HostError, Hosts, Means, Secure, Tls, Upstream, resolv_conf},
    wire::Name,
};

/// How often files are looked at, and the least time between two look-ups of a host.
const LOOK: Duration = Duration::from_secs(5);
/// How long the addresses of a host are relied upon at most.
const RELY: Duration = Duration::from_secs(30);
/// Who knows hosts, unless `resolver` says so.
const SYSTEM: &str = "/etc/resolv.conf";

/// All upstreams that are in use, by everything that makes them what they are. One that a new site, or a changed
/// file, asks for again goes on with its connections and with what is known of its health.
#[derive(Default)]
pub(super) struct Known {
    members: Mutex<HashMap<String, Weak<Member>>>,
    /// Where their queries leave from.
    departures: Arc<Departures>,
}

impl Known {
    fn find(&self, key: String, make: impl FnOnce() -> Member) -> Arc<Member> {
        let mut known = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(member) = known.get(&key).and_then(Weak::upgrade) {
            return member;
        }
        known.retain(|_, member| member.strong_count() > 0);
        let member = Arc::new(make());
        known.insert(key, Arc::downgrade(&member));
        member
    }
}

fn known(block: &Block<'_>) -> Result<Arc<Known>, BuildError> {
    block.shared("upstreams of forward", || Ok(Known::default()))
}

/// Finds the upstreams of a line, and finds them again.
pub(super) struct Members {
    to: Vec<To>,
    options: Options,
    tls: Option<Arc<Tls>>,
    found: HashMap<Name, Resolved>,
    known: Arc<Known>,
    registry: Arc<Registry>,
    /// Where connections live.
    runtime: Handle,
}

/// What is known of a host.
struct Resolved {
    found: Found,
    /// When to ask again.
    due: Instant,
    /// Whether the last time nobody knew.
    failing: bool,
}

impl Resolved {
    fn new(found: Found) -> Self {
        let due = Instant::now() + found.ttl.clamp(LOOK, RELY);
        Self { found, due, failing: false }
    }
}

impl Members {
    /// Of a line with these targets. Hosts are not looked up yet.
    pub(super) fn new(to: Vec<To>, options: &Options, block: &Block<'_>) -> Result<Self, BuildError> {
        let to: Vec<To> = to.into_iter().map(To::settled).collect();
        // A path from the root may appear later; who writes any other has it in hand.
        let is_missing = |path: &&String| !path.starts_with('/') && !Path::new(path).exists();
        let files = to.iter().filter_map(|to| if let To::File(path) = to { Some(path) } else { None });
        if let Some(path) = files.into_iter().find(is_missing) {
            return Err(BuildError(neither(path)));
        }
        let is_encrypted = |to: &To| to.server().is_some_and(|server| server.scheme != Scheme::Plain);
        // Files that are named must be there, whether they are needed or not.
        let named = options.tls.identity.is_some() || options.tls.authorities.is_some();
        let tls = if named || to.iter().any(is_encrypted) {
            Some(Arc::new(Tls::load(&options.tls).map_err(|error| BuildError(error.to_string()))?))
        } else {
            None
        };
        for server in to.iter().filter_map(To::server).filter(|server| server.host().is_none()) {
            if server.addresses(|_| None).is_empty() {
                return Err(BuildError(format!("there is no interface for the zone of `{server}`")));
            }
        }
        Ok(Self {
            to,
            options: options.clone(),
            tls,
            found: HashMap::new(),
            known: known(block)?,
            registry: Arc::clone(block.registry()),
            runtime: Handle::current(),
        })
    }

    /// Where queries to all upstreams leave from.
    pub(super) fn departures(block: &Block<'_>) -> Result<Arc<Departures>, BuildError> {
        Ok(Arc::clone(&known(block)?.departures))
    }

    /// Whether some are given by name.
    pub(super) fn has_hosts(&self) -> bool {
        self.hosts().next().is_some()
    }

    /// Whether who they are may change.
    pub(super) fn are_followed(&self) -> bool {
        self.to.iter().any(To::is_followed)
    }

    fn hosts(&self) -> impl Iterator<Item = &Name> {
        self.to.iter().filter_map(To::server).filter_map(Server::host)
    }

    /// The upstreams as far as they are known, each once.
    pub(super) fn now(&self) -> Vec<Arc<Member>> {
        let mut members: Vec<Arc<Member>> = Vec::new();
        let mut add = |address, server: Option<&Server>| {
            let member = self.member(address, server);
            if !members.iter().any(|known| Arc::ptr_eq(known, &member)) {
                members.push(member);
            }
        };
        for to in &self.to {
            match to {
                To::File(file) => named_by(file).into_iter().for_each(|address| add(address, None)),
                To::Server(server) | To::FileOrHost(_, server) => {
                    let found = |host: &Name| self.found.get(host).map(|resolved| resolved.found.clone());
                    server.addresses(found).into_iter().for_each(|address| add(address, Some(server)));
                }
            }
        }
        members
    }

    fn member(&self, address: SocketAddr, server: Option<&Server>) -> Arc<Member> {
        let (options, registry) = (&self.options, &self.registry);
        let secure = server.and_then(|server| self.secure(server));
        let key = format!("{address} {secure:?} {:?} {:?}", options.connecting, options.probing());
        self.known.find(key, || {
            let (connecting, runtime) = (&options.connecting, self.runtime.clone());
            let upstream = match &secure {
                None => Upstream::new(address, connecting, runtime, registry),
                Some(secure) => Upstream::encrypted(address, secure, connecting, runtime, registry),
            };
            let upstream = upstream.departing(&self.known.departures);
            Member { upstream, metrics: MemberMetrics::register(registry, address) }
        })
    }

    fn secure(&self, server: &Server) -> Option<Secure> {
        let means = match server.scheme {
            Scheme::Plain => return None,
            Scheme::Tls => Means::Tls,
            Scheme::Https => Means::Https { get: self.options.doh_get },
            Scheme::Quic => Means::Quic,
        };
        let name = server.certified(self.options.server_name.as_ref());
        Some(Secure { means, name, tls: Arc::clone(self.tls.as_ref()?) })
    }

    /// Who knows hosts: asked anew each time, as the file may have changed.
    fn resolver(&self) -> Hosts {
        let written = &self.options.resolver;
        let servers = if written.is_empty() { named_by(SYSTEM) } else { written.clone() };
        Hosts::new(&servers, &self.runtime, &self.registry)
    }

    /// Looks all hosts up.
    pub(super) async fn resolve(&mut self) -> Result<(), BuildError> {
        let resolver = self.resolver();
        let hosts: Vec<Name> = self.hosts().copied().collect();
        for (host, found) in look_up(&resolver, hosts).await {
            let found = found.map_err(|error| BuildError(failure(&host, &error)))?;
            self.found.insert(host, Resolved::new(found));
        }
        Ok(())
    }

    /// Looks those hosts up that are due. What is known stays if nobody knows better. Gives whether something has
    /// changed.
    async fn refresh(&mut self) -> bool {
        let now = Instant::now();
        let due: Vec<Name> = self.found.iter().filter(|(_, known)| known.due <= now).map(|(host, _)| *host).collect();
        if due.is_empty() {
            return false;
        }
        let mut changed = false;
        for (host, found) in look_up(&self.resolver(), due).await {
            let Some(known) = self.found.get_mut(&host) else { continue };
            match found {
                Ok(found) => {
                    changed |= !same(&known.found, &found);
                    *known = Resolved::new(found);
                }
                Err(error) => {
                    if !known.failing {
                        let text = failure(&host, &error);
                        tracing::warn!(target: "plugin/forward", "{text}; its last addresses stay in use");
                    }
                    known.failing = true;
                    known.due = Instant::now() + LOOK;
                }
            }
        }
        changed
    }

    /// Takes over what files and nameservers say whenever it changes.
    pub(super) async fn follow(&mut self, proxy: &Proxy) {
        let look = |to: &[To]| to.iter().map(seen).collect::<Vec<_>>();
        let mut known = look(&self.to);
        loop {
            sleep(LOOK).await;
            let now = look(&self.to);
            let changed = self.refresh().await;
            if now == known && !changed {
                continue;
            }
            known = now;
            let (old, new) = (proxy.members(), self.now());
            let is_same = old.len() == new.len() && old.iter().zip(&new).all(|(old, new)| Arc::ptr_eq(old, new));
            if new.is_empty() || is_same {
                continue;
            }
            let addresses: Vec<SocketAddr> = new.iter().map(|member| member.upstream.address()).collect();
            tracing::info!(target: "plugin/forward", upstreams = ?addresses, "the upstreams have changed");
            proxy.replace(new);
        }
    }
}

async fn look_up(resolver: &Hosts, hosts: Vec<Name>) -> Vec<(Name, Result<Found, HostError>)> {
    futures::future::join_all(hosts.into_iter().map(async |host| (host, resolver.find(&host).await))).await
}

fn failure(host: &Name, error: &HostError) -> String {
    format!("failed to resolve \"{}\": {error}", host.to_string().trim_end_matches('.'))
}

/// Nameservers turn the order of addresses; that is no change.
fn same(old: &Found, new: &Found) -> bool {
    old.addresses.len() == new.addresses.len() && old.addresses.iter().all(|known| new.addresses.contains(known))
}

/// The nameservers of a file. One that cannot be read, or that names nobody, is passed over.
fn named_by(file: &str) -> Vec<SocketAddr> {
    match std::fs::read(file) {
        Ok(bytes) => {
            let found = resolv_conf::nameservers(&String::from_utf8_lossy(&bytes));
            if found.is_empty() {
                tracing::warn!(target: "plugin/forward", "{file} names no nameserver");
            }
            found
        }
        Err(error) => {
            tracing::warn!(target: "plugin/forward", "{file}: cannot be read: {error}");
            Vec::new()
        }
    }
}

/// What a file looks like: when it was written and how long it is.
fn seen(target: &To) -> Option<(SystemTime, u64)> {
    let To::File(file) = target else { return None };
    let metadata = std::fs::metadata(Path::new(file)).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
