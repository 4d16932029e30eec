use std::{
    any::{Any, TypeId},
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;

use super::{
    BuildError, Context, LabelSource, Labels, Offered, Plugin, ProxyRules, Server, ServerSlot, StreamLimits, TcpLimits,
    Waiting, WatchUpstreams, ZoneSources, offer::Offers,
};
use crate::{
    corefile::Scheme,
    http::Handler,
    metrics::{Counter, Registry},
    tls::Credentials,
    wire::Name,
};

/// A server block while it is built: what its directives register. Everything registered lives and dies with the site.
pub struct Block<'a> {
    zones: &'a [Name],
    servers: Vec<String>,
    registry: &'a Arc<Registry>,
    shared: &'a Shared,
    probes: &'a Arc<Probes>,
    slot: &'a ServerSlot,
    control: &'a Control,
    name_servers: &'a dyn Fn(&[String]) -> Vec<String>,
    root: PathBuf,
    labels: Labels,
    sources: Vec<Box<dyn LabelSource>>,
    offers: Offers,
    watchers: Vec<Arc<dyn WatchUpstreams>>,
    parts: BlockParts,
}

/// What the directives of a block have registered.
#[derive(Default)]
pub struct BlockParts {
    /// Links of the chain, in the order of the directive table.
    pub links: Vec<Box<dyn Plugin>>,
    /// Hosts to listen on (`bind`); empty = all addresses.
    pub hosts: Vec<String>,
    /// HTTP endpoints.
    pub http: Vec<HttpEndpoint>,
    /// Tasks that run as long as the site is the one that serves.
    pub tasks: Vec<Waiting<()>>,
    /// What must come true, or the site never serves; each bounds its own time.
    pub conditions: Vec<Waiting<Result<(), BuildError>>>,
    /// Futures to wait for before the site serves; each bounds its own time.
    pub before_serving: Vec<Waiting<()>>,
    /// Tasks that start when the site serves and that need to know its addresses.
    pub after_start: Vec<Box<dyn FnOnce(Started) -> Waiting<()> + Send>>,
    /// What to do first when the process ends; the process waits for it.
    pub at_end: Vec<Waiting<()>>,
    /// What to do last when the process ends; bounds its own time.
    pub at_last: Vec<Waiting<()>>,
    /// What counts answers and queries over UDP that are let go, for each of the block's listeners (`shed`).
    pub shed: Vec<Shed>,
    /// How long to go on answering after SIGTERM (`health { lameduck }`).
    pub lameduck: Option<Duration>,
    /// From whom headers of the PROXY protocol are taken (`proxyproto`).
    pub proxied: Option<ProxyRules>,
    /// Limits of TCP connections (`timeouts`).
    pub tcp: TcpLimits,
    /// Who the block's encrypted listeners are (`tls`).
    pub tls: Option<Arc<Credentials>>,
    /// Limits of the block's encrypted listeners, by what they speak (`https`, `https3`, `quic`, `grpc_server`).
    pub streams: Vec<(Scheme, StreamLimits)>,
    /// What queries must be like to come here, and its name (`view`).
    pub view: Option<View>,
    /// How often to look for a changed Corefile (`reload`): interval and jitter.
    pub reload: Option<(Duration, Duration)>,
    /// `debug` stands in the block.
    pub debug: bool,
    /// `errors { stacktrace }` stands in the block.
    pub stacktrace: bool,
    /// Zones that can be handed over whole.
    pub sources: ZoneSources,
}

/// Counts what a listener lets go while its sockets cannot send as fast as answers are made.
#[derive(Clone)]
pub struct Shed {
    /// Queries that are not looked at.
    pub queries: Counter,
    /// Answers that are not sent.
    pub responses: Counter,
}

/// Lets only some queries into a block.
#[derive(Clone)]
pub struct View {
    /// The `view` label of metrics.
    pub name: String,
    /// Whether a query may come in.
    pub admits: Arc<dyn Fn(&Context) -> bool + Send + Sync>,
}

/// Where a site serves.
#[derive(Debug, Clone)]
pub struct Started {
    /// The addresses of the block's plain DNS listeners.
    pub addresses: Vec<SocketAddr>,
}

/// An HTTP endpoint that a directive asks for.
#[derive(Clone)]
pub struct HttpEndpoint {
    /// Address as the Corefile has it: `:8080`, `localhost:9153`.
    pub address: String,
    /// Path, compared as a whole.
    pub path: &'static str,
    /// Makes the reply.
    pub handler: Handler,
    /// What a taken port means.
    pub on_bind_failure: OnBindFailure,
    /// Name of the directive, for messages.
    pub directive: &'static str,
}

/// What it means that an HTTP endpoint's address cannot be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBindFailure {
    /// The server does not start.
    Fatal,
    /// It is logged as an error, and the server starts.
    Log,
}

impl<'a> Block<'a> {
    /// A block in which nothing is registered yet. `name_servers` turns bind hosts into server labels.
    pub fn new(
        zones: &'a [Name],
        registry: &'a Arc<Registry>,
        shared: &'a Shared,
        probes: &'a Arc<Probes>,
        slot: &'a ServerSlot,
        control: &'a Control,
        name_servers: &'a dyn Fn(&[String]) -> Vec<String>,
    ) -> Self {
        let servers = name_servers(&[]);
        Self {
            zones,
            servers,
            registry,
            shared,
            probes,
            slot,
            control,
            name_servers,
            root: PathBuf::new(),
            labels: Labels::default(),
            sources: Vec::new(),
            offers: Offers::default(),
            watchers: Vec::new(),
            parts: BlockParts::default(),
        }
    }

    /// The block's zones; [`super::Place::zone`] is an index into them.
    pub const fn zones(&self) -> &[Name] {
        self.zones
    }

    /// Labels of the block's listeners such as `dns://:53`; [`super::Place::server`] is an index into them.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// The hosts that the block listens on; empty = all addresses.
    pub fn hosts(&self) -> &[String] {
        &self.parts.hosts
    }

    /// The name of the host, which is the pod's name in Kubernetes.
    pub fn host_name(&self) -> String {
        let read = std::fs::read_to_string("/proc/sys/kernel/hostname");
        read.map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
    }

    /// The value of the `view` label; empty without a view.
    pub fn view(&self) -> &str {
        self.parts.view.as_ref().map_or("", |view| &view.name)
    }

    /// Says where files are that have no leading `/` (`root`).
    pub fn set_root(&mut self, root: PathBuf) {
        self.root = root;
    }

    /// Where a file is that the Corefile names.
    pub fn path(&self, file: &Path) -> PathBuf {
        self.root.join(file)
    }

    /// The process's metrics.
    pub const fn registry(&self) -> &Arc<Registry> {
        self.registry
    }

    /// Appends a link to the chain.
    pub fn link(&mut self, plugin: impl Plugin) {
        self.parts.links.push(Box::new(plugin));
    }

    /// Listens on these hosts instead of on all addresses. Must be called by directives that stand before all that
    /// ask for [`Block::servers`]; the directive table sees to that.
    pub fn listen_on(&mut self, hosts: impl IntoIterator<Item = String>) {
        self.parts.hosts.extend(hosts);
        self.servers = (self.name_servers)(&self.parts.hosts);
    }

    /// Serves an HTTP path.
    pub fn http(&mut self, endpoint: HttpEndpoint) {
        self.parts.http.push(endpoint);
    }

    /// Runs a task as long as the site serves.
    pub fn task(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.parts.tasks.push(Box::pin(task));
    }

    /// Waits for a future before the site serves, which it does not if the future fails. The future must bound its own
    /// time.
    pub fn condition(&mut self, future: impl Future<Output = Result<(), BuildError>> + Send + 'static) {
        self.parts.conditions.push(Box::pin(future));
    }

    /// Waits for a future before the site serves. The future must bound its own time.
    pub fn before_serving(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.parts.before_serving.push(Box::pin(future));
    }

    /// Runs a task once the site serves.
    pub fn after_start<F>(&mut self, start: impl FnOnce(Started) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.parts.after_start.push(Box::new(move |started| Box::pin(start(started))));
    }

    /// Does something first when the process ends, not at a reload.
    pub fn at_end(&mut self, last: impl Future<Output = ()> + Send + 'static) {
        self.parts.at_end.push(Box::pin(last));
    }

    /// Does something last when the process ends, when no more queries come; not at a reload. The future must bound its
    /// own time.
    pub fn at_last(&mut self, last: impl Future<Output = ()> + Send + 'static) {
        self.parts.at_last.push(Box::pin(last));
    }

    /// An expensive thing that outlives a reload as long as its key does not change: the watched cluster, a cache,
    /// a pool. Made if neither this site nor the one before has it.
    ///
    /// # Errors
    /// What `make` says.
    pub fn shared<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T, BuildError>,
    ) -> Result<Arc<T>, BuildError> {
        self.shared.find(key, make)
    }

    /// What some directive of this block gives to the others, whether it is built already or not.
    pub fn offered<T: Send + Sync + 'static>(&mut self) -> Offered<T> {
        self.offers.of()
    }

    /// Wants to know what directives further on ask of upstreams.
    pub fn watch_upstreams(&mut self, watcher: Arc<dyn WatchUpstreams>) {
        self.watchers.push(watcher);
    }

    /// Those who want to know what is asked of upstreams.
    pub fn watchers(&self) -> Arc<[Arc<dyn WatchUpstreams>]> {
        self.watchers.as_slice().into()
    }

    /// Answers `ready` for this plugin.
    pub fn probe(&self, plugin: &'static str, is_ready: impl Fn() -> bool + Send + Sync + 'static) {
        self.probes.add(plugin, Box::new(is_ready));
    }

    /// All readiness probes of the site, those of later blocks included.
    pub fn probes(&self) -> Arc<Probes> {
        Arc::clone(self.probes)
    }

    /// The labels of the block's queries, for plugins that read them and for those that note some on the way.
    pub fn labels(&self) -> Labels {
        self.labels.clone()
    }

    /// Gives queries of this block the labels that a plugin knows.
    pub fn label_source(&mut self, source: impl LabelSource) {
        self.sources.push(Box::new(source));
    }

    /// The whole server, for looking names up as a client would.
    pub fn server(&self) -> Server {
        self.slot.server()
    }

    /// The block's zones that can be handed over whole; plugins that have some add themselves.
    pub fn sources(&self) -> ZoneSources {
        self.parts.sources.clone()
    }

    /// How to end the process.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Sets what is not a list: lameduck, reload interval, debug, stacktrace.
    pub const fn parts(&mut self) -> &mut BlockParts {
        &mut self.parts
    }

    /// What has been registered.
    pub fn into_parts(self) -> BlockParts {
        self.labels.complete(self.sources);
        self.parts
    }
}

/// Things kept across reloads by type and key.
#[derive(Default)]
pub struct Shared {
    previous: HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>,
    current: Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>,
}

impl Shared {
    /// An empty store that looks into an earlier one before it makes anything.
    #[must_use]
    pub fn after(earlier: &Self) -> Self {
        let previous = earlier.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { previous, current: Mutex::default() }
    }

    /// Forgets what the earlier site had and this one did not ask for.
    pub fn forget_previous(&mut self) {
        self.previous.clear();
    }

    fn find<T: Send + Sync + 'static>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T, BuildError>,
    ) -> Result<Arc<T>, BuildError> {
        let key = (TypeId::of::<T>(), key.to_owned());
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = current.get(&key).or_else(|| self.previous.get(&key)).cloned()
            && let Ok(found) = found.downcast::<T>()
        {
            current.insert(key, Arc::clone(&found) as Arc<dyn Any + Send + Sync>);
            return Ok(found);
        }
        let made = Arc::new(make()?);
        current.insert(key, Arc::clone(&made) as Arc<dyn Any + Send + Sync>);
        Ok(made)
    }
}

/// Says whether a plugin is ready.
pub type Probe = Box<dyn Fn() -> bool + Send + Sync>;

/// The readiness probes of a site.
#[derive(Default)]
pub struct Probes {
    probes: Mutex<Vec<(&'static str, Probe)>>,
    ending: AtomicBool,
}

impl Probes {
    /// Adds one; `plugin` is what `/ready` says while it is not ready.
    pub fn add(&self, plugin: &'static str, probe: Probe) {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner).push((plugin, probe));
    }

    /// From now on the site is not ready: the process ends soon, and no new client should come.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether the process ends soon.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Names of the plugins that are not ready, sorted, each once.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = probes.iter().filter(|(_, probe)| !probe()).map(|(name, _)| *name).collect();
        if self.is_ending() {
            names.push("lameduck");
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Lets a plugin end the process, as `loop` must.
#[derive(Clone)]
pub struct Control(mpsc::UnboundedSender<String>);

impl Control {
    /// A control and the other end of it, where the reason arrives.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Ends the process with exit code 1 after logging `reason` as fatal.
    pub fn exit(&self, reason: String) {
        _ = self.0.send(reason);
    }
}
