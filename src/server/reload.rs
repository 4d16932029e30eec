use std::{
    collections::HashMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    door::Door,
    duty::Duty,
    limits::Parking,
    listen::{self, ListenAddress},
    metrics::{DoorMetrics, MemoMetrics, TransportMetrics},
    site::{Beginnings, Ground, Plan, Site},
    worker::Workers,
};
use crate::{
    chain::{Control, Directive, OnBindFailure, Probes, Shared},
    corefile::{self, Corefile, Errors},
    http,
    metrics::{Counter, GaugeFamily, Registry},
};

/// How long queries in work may take once the server ends.
const DRAIN: Duration = Duration::from_secs(5);

/// What a server is started with.
pub struct Settings {
    /// Where the Corefile comes from.
    pub source: Source,
    /// Port of keys that name none.
    pub default_port: u16,
    /// The directives in their order.
    pub directives: &'static [Directive],
    /// The process's metrics.
    pub registry: Arc<Registry>,
    /// How many worker threads.
    pub workers: usize,
    /// How many answers each of them gives again without a walk, at most.
    pub remembered: usize,
    /// Called when `debug` is switched on or off.
    pub set_debug: Box<dyn Fn(bool) + Send + Sync>,
    /// Whether a second instance may serve the same addresses, to take over or to hand over. Else a port that somebody
    /// serves stops the start.
    pub overlap: bool,
    /// Readiness of what no directive knows of: what `/ready` calls it, and whether it is so.
    pub readiness: Option<(&'static str, Arc<AtomicBool>)>,
}

/// Where the Corefile comes from.
pub enum Source {
    /// A file, read again at each reload.
    File(PathBuf),
    /// A text: standard input, or the built-in default.
    Text {
        /// What messages call it.
        name: String,
        /// The Corefile.
        text: String,
    },
}

/// Why the server does not start, or a new Corefile does not take over.
#[derive(Debug)]
pub enum StartError {
    /// The Corefile is wrong.
    Corefile(Errors),
    /// An address cannot be bound.
    Bind {
        /// The address, as the `server` label has it, or the directive and the address.
        place: String,
        /// What the system says.
        error: io::Error,
    },
    /// Threads cannot be started.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corefile(errors) => errors.fmt(f),
            Self::Bind { place, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "{place}: listen: address already in use: another program serves this port")
            }
            Self::Bind { place, error } => write!(f, "{place}: listen: {error}"),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Errors> for StartError {
    fn from(errors: Errors) -> Self {
        Self::Corefile(errors)
    }
}

/// A running server.
pub struct Server {
    settings: Settings,
    control: Control,
    ends: mpsc::UnboundedReceiver<String>,
    workers: Workers,
    parking: Arc<Parking>,
    sites: watch::Sender<Arc<Site>>,
    /// What ends the tasks of each address.
    listening: HashMap<ListenAddress, watch::Sender<bool>>,
    http: HashMap<String, http::Listener>,
    metrics: ReloadMetrics,
    /// Fingerprint of the last Corefile that was refused; it is not tried again until it changes.
    refused: Option<String>,
}

struct ReloadMetrics {
    failed: Counter,
    version: GaugeFamily,
    enabled: GaugeFamily,
}

impl ReloadMetrics {
    fn register(registry: &Registry) -> Self {
        let failed = registry.counter("coredns_reload_failed_total", "Reloads that failed.", &[]);
        Self {
            failed: failed.with_label_values::<&str>(&[]),
            version: registry.gauge(
                "coredns_reload_version_info",
                "The hash of the Corefile that serves.",
                &["hash", "value"],
            ),
            enabled: registry.gauge(
                "coredns_plugin_enabled",
                "Whether a plugin stands in a server block.",
                &["server", "zone", "view", "name"],
            ),
        }
    }
}

/// A site that is ready to take over, and what starts with it.
struct Prepared {
    site: Site,
    beginnings: Beginnings,
    sockets: Vec<(ListenAddress, Vec<listen::Sockets>)>,
    http: HashMap<String, http::Listener>,
}

impl Server {
    /// Reads the Corefile, binds everything, waits for what must be there first, and serves.
    ///
    /// # Errors
    /// The Corefile is wrong, or an address is taken.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let (control, ends) = Control::new();
        let plan = plan(&settings)?;
        let memo = MemoMetrics::register(&settings.registry);
        let workers = Workers::start(settings.workers, settings.remembered, &memo).map_err(StartError::System)?;
        let parking = Arc::new(Parking::new(TransportMetrics::register(&settings.registry)));
        let metrics = ReloadMetrics::register(&settings.registry);
        let none = HashMap::new();
        let prepared = prepare(&settings, &control, plan, Shared::default(), &workers, &none, &HashMap::new()).await?;
        let Prepared { site, mut beginnings, sockets, http } = prepared;
        serve_http(&site, &http);
        futures::future::join_all(std::mem::take(&mut beginnings.before_serving)).await;
        let site = Arc::new(site);
        let (sites, _) = watch::channel(Arc::clone(&site));
        let listening = HashMap::new();
        let mut server =
            Self { settings, control, ends, workers, parking, sites, listening, http, metrics, refused: None };
        server.begin(&site, beginnings, sockets);
        Ok(server)
    }

    /// A line for each zone, as CoreDNS prints them at start.
    pub fn banner(&self) -> Vec<String> {
        self.sites.borrow().banner().to_vec()
    }

    /// Serves until something ends the process: gives the reason if that is an error.
    pub async fn run(&mut self, mut signals: mpsc::Receiver<Signal>) -> Option<String> {
        let mut next = self.next_look();
        loop {
            tokio::select! {
                signal = signals.recv() => match signal {
                    Some(Signal::Reload) => {
                        self.reload(true).await;
                        next = self.next_look();
                    }
                    Some(Signal::End { lameduck }) => {
                        self.end(lameduck, &mut signals).await;
                        return None;
                    }
                    None => return None,
                },
                reason = self.ends.recv() => return reason,
                () = sleep_until(next.unwrap_or_else(far)), if next.is_some() => {
                    self.reload(false).await;
                    next = self.next_look();
                }
            }
        }
    }

    /// When to look at the file again: the interval, earlier or later by at most half the jitter.
    fn next_look(&self) -> Option<Instant> {
        let (interval, jitter) = self.sites.borrow().reload()?;
        let jitter = jitter.min(interval / 2);
        let shift = jitter.mul_f64(rand::random::<f64>());
        Some(Instant::now() + interval + shift - jitter / 2)
    }

    /// Builds a new site beside the one that serves, and swaps them. Any error leaves the old one untouched.
    /// `always` also if the Corefile says what it said before.
    async fn reload(&mut self, always: bool) {
        match self.try_reload(always).await {
            Ok(true) => {
                self.refused = None;
                tracing::info!(target: "plugin/reload", "Reloading complete");
            }
            Ok(false) => {}
            Err(error) => {
                self.metrics.failed.inc();
                tracing::error!(
                    target: "plugin/reload",
                    "Corefile changed but reload failed, the old configuration keeps serving: {error}"
                );
            }
        }
    }

    async fn try_reload(&mut self, always: bool) -> Result<bool, StartError> {
        let plan = match plan(&self.settings) {
            Ok(plan) => plan,
            Err(error) => {
                // The same broken text is reported once, not at each look.
                let text = error.to_string();
                let known = self.refused.as_ref() == Some(&text);
                self.refused = Some(text);
                return if known && !always { Ok(false) } else { Err(error) };
            }
        };
        let current = Arc::clone(&self.sites.borrow());
        let same = plan.fingerprint() == current.fingerprint();
        if !always && (same || self.refused.as_deref() == Some(plan.fingerprint())) {
            if same {
                self.refused = None;
            }
            return Ok(false);
        }
        tracing::info!(target: "plugin/reload", "Reloading");
        self.refused = Some(plan.fingerprint().to_owned());
        let shared = Shared::after(current.shared());
        let prepared =
            prepare(&self.settings, &self.control, plan, shared, &self.workers, &self.listening, &self.http).await;
        if matches!(prepared, Err(StartError::Bind { .. })) {
            // The address may be free the next time: it may even be our own, still being given up.
            self.refused = None;
        }
        let prepared = prepared?;
        let Prepared { site, mut beginnings, sockets, http } = prepared;
        futures::future::join_all(std::mem::take(&mut beginnings.before_serving)).await;
        self.http.extend(http);
        serve_http(&site, &self.http);
        let site = Arc::new(site);
        self.sites.send_replace(Arc::clone(&site));
        self.begin(&site, beginnings, sockets);
        current.end();
        Ok(true)
    }

    /// Lets a site serve: workers on new addresses, none on those given up, its tasks running.
    fn begin(&mut self, site: &Arc<Site>, beginnings: Beginnings, sockets: Vec<(ListenAddress, Vec<listen::Sockets>)>) {
        for (address, sockets) in sockets {
            let (end, ended) = watch::channel(false);
            let metrics = address
                .scheme
                .is_encrypted()
                .then(|| DoorMetrics::register(&self.settings.registry, address.scheme, &address.label()));
            let door = Arc::new(Door::new(metrics));
            let duty = Duty::new(address.clone(), self.sites.subscribe(), ended, Arc::clone(&self.parking), door);
            self.workers.listen(sockets, &duty);
            self.listening.insert(address, end);
        }
        self.listening.retain(|address, end| site.listener(address).is_some() || end.send(true).is_err());
        self.http.retain(|address, _| site.http().iter().any(|endpoint| endpoint.address == *address));
        site.begin(beginnings);
        (self.settings.set_debug)(site.debug());
        self.metrics.version.reset();
        self.metrics.version.with_label_values(&["sha512", site.fingerprint()]).set(1);
        self.metrics.enabled.reset();
        for [server, zone, view, name] in site.enabled() {
            self.metrics.enabled.with_label_values(&[server, zone, view, name]).set(1);
        }
        if site.reload().is_some() {
            tracing::info!(target: "plugin/reload", "Running configuration SHA512 = {}", site.fingerprint());
        }
    }

    /// Ends: says so to `ready`, goes on answering for the lameduck time, then finishes what is in work.
    async fn end(&mut self, lameduck: bool, signals: &mut mpsc::Receiver<Signal>) {
        let site = Arc::clone(&self.sites.borrow());
        site.probes().end();
        tokio::select! {
            _ = futures::future::join_all(site.take_endings()) => {}
            () = hurried(signals) => {}
        }
        if lameduck && !site.lameduck().is_zero() {
            tracing::info!(target: "plugin/health", "Going into lameduck mode for {:?}", site.lameduck());
            tokio::select! {
                () = sleep(site.lameduck()) => {}
                () = hurried(signals) => {}
            }
        }
        for end in self.listening.values() {
            _ = end.send(true);
        }
        let idle = async {
            // A task that has not taken its last look at its socket still holds the receiving end.
            while self.listening.values().any(|end| end.receiver_count() > 0) || self.parking.waiting() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(DRAIN, idle).await.is_err() {
            tracing::warn!(waiting = self.parking.waiting(), "some queries were not finished in time");
        }
        futures::future::join_all(site.take_last()).await;
        site.end();
    }
}

/// What a person or the system wants of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Read the Corefile again.
    Reload,
    /// End; with or without going on answering for a while.
    End {
        /// Whether to wait out `health { lameduck }`.
        lameduck: bool,
    },
}

async fn hurried(signals: &mut mpsc::Receiver<Signal>) {
    while let Some(signal) = signals.recv().await {
        if signal == (Signal::End { lameduck: false }) {
            return;
        }
    }
    std::future::pending().await
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}

fn plan(settings: &Settings) -> Result<Plan, StartError> {
    let environment = |name: &str| std::env::var(name).ok();
    let corefile: Corefile = match &settings.source {
        Source::File(path) => corefile::load(path, &environment)?,
        Source::Text { name, text } => corefile::parse(name, text, Path::new(""), &environment)?,
    };
    corefile.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let corefile = if corefile.blocks.is_empty() { default_site(settings)? } else { corefile };
    Ok(Plan::read(&corefile, settings.directives)?)
}

/// Without any server block CoreDNS answers every name with who asked.
fn default_site(settings: &Settings) -> Result<Corefile, Errors> {
    let text = format!(".:{} {{\n    whoami\n    log\n}}\n", settings.default_port);
    corefile::parse("(built-in)", &text, Path::new(""), &|_| None)
}

/// What is wrong with a Corefile, without serving it. `name` is what messages call it.
///
/// # Errors
/// All that can be found before anything of the outside world is touched.
pub fn check(
    name: &str,
    text: &str,
    directory: &Path,
    environment: corefile::Environment<'_>,
    directives: &[Directive],
) -> Result<(), Errors> {
    let corefile = corefile::parse(name, text, directory, environment)?;
    Plan::read(&corefile, directives).map(drop)
}

async fn prepare(
    settings: &Settings,
    control: &Control,
    plan: Plan,
    shared: Shared,
    workers: &Workers,
    listening: &HashMap<ListenAddress, watch::Sender<bool>>,
    serving: &HashMap<String, http::Listener>,
) -> Result<Prepared, StartError> {
    let probes = Arc::new(Probes::default());
    if let Some((name, is_ready)) = &settings.readiness {
        let is_ready = Arc::clone(is_ready);
        probes.add(name, Box::new(move || is_ready.load(Ordering::Relaxed)));
    }
    let ground = Ground { registry: &settings.registry, control, default_port: settings.default_port, shared, probes };
    let (site, mut beginnings) = Site::build(plan, ground)?;
    let outcomes = futures::future::join_all(std::mem::take(&mut beginnings.conditions)).await;
    let wrong: Vec<_> = outcomes.into_iter().flatten().collect();
    if !wrong.is_empty() {
        return Err(Errors::new(wrong).into());
    }
    let mut sockets = Vec::new();
    for address in site.addresses().filter(|address| !listening.contains_key(address)) {
        // Our own socket for something else stands there until the new site serves.
        let is_ours = listening.keys().any(|known| known.collides_with(address));
        let bound = listen::bind(address, workers.count(), settings.overlap || is_ours)
            .map_err(|error| StartError::Bind { place: address.label(), error })?;
        sockets.push((address.clone(), bound));
    }
    let mut http = HashMap::new();
    for endpoint in site.http() {
        let address = &endpoint.address;
        if serving.contains_key(address) || http.contains_key(address) {
            continue;
        }
        match http::Listener::bind(address, settings.overlap).await {
            Ok(listener) => _ = http.insert(address.clone(), listener),
            Err(error) if endpoint.on_bind_failure == OnBindFailure::Fatal => {
                return Err(StartError::Bind { place: format!("plugin/{}: {address}", endpoint.directive), error });
            }
            Err(error) => tracing::error!("plugin/{}: cannot listen on {address}: {error}", endpoint.directive),
        }
    }
    Ok(Prepared { site, beginnings, sockets, http })
}

fn serve_http(site: &Site, listeners: &HashMap<String, http::Listener>) {
    for (address, listener) in listeners {
        let endpoints = site.http().iter().filter(|endpoint| endpoint.address == *address);
        listener.serve(endpoints.map(|e| (e.path.to_owned(), e.handler.clone())).collect());
    }
}
