//! A whole compiled Corefile: which address and zone leads to which chain. The thing that a reload swaps.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use sha2::{Digest, Sha512};
use tokio::task::JoinHandle;

use super::{
    absent,
    listen::ListenAddress,
    metrics::Refusals,
    proxied::Proxied,
    route::{Routes, Target},
};
use crate::{
    chain::{
        Block, BlockParts, Build, Chain, Context, Control, Directive, DnsFamilies, DnsHandles, Exchange, HttpEndpoint,
        Inquire, Keys, Outcome, Place, Probes, ServerSlot, Shared, Shed, Started, StreamLimits, TcpLimits, Waiting,
    },
    corefile::{self, Corefile, Error, Errors, Key, Scheme, Token},
    metrics::Registry,
    tls::Credentials,
    wire::{Name, Question, Rcode, Response},
};

/// Directives that CoreDNS had once, and what has taken their place.
const GONE: [(&str, &str); 4] = [
    ("proxy", "`forward` has taken its place"),
    ("federation", "clusters have no federations any more; leave it out"),
    ("reverse", "`template` has taken its place"),
    ("startup", "`on startup` has taken its place"),
];

/// A Corefile whose every directive reads well, before anything of the outside world is touched.
pub(crate) struct Plan {
    blocks: Vec<PlannedBlock>,
    fingerprint: String,
}

struct PlannedBlock {
    keys: Vec<Key>,
    steps: Vec<(Token, Box<dyn Build>)>,
}

/// What a site is built from besides its plan.
pub(crate) struct Ground<'a> {
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) control: &'a Control,
    pub(crate) default_port: u16,
    pub(crate) shared: Shared,
    /// Readiness of what no directive knows of.
    pub(crate) probes: Arc<Probes>,
}

impl Plan {
    /// Reads every directive of every block, and reports all that is wrong.
    pub(crate) fn read(corefile: &Corefile, directives: &[Directive]) -> Result<Self, Errors> {
        let mut errors = Vec::new();
        let blocks = corefile.blocks.iter().map(|block| planned(block, directives, &mut errors)).collect();
        if !errors.is_empty() {
            return Err(Errors::new(errors));
        }
        let digest = Sha512::digest(corefile.canonical());
        let fingerprint = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        Ok(Self { blocks, fingerprint })
    }

    /// SHA-512 of what the Corefile says, in hexadecimal.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn planned(block: &corefile::Block, directives: &[Directive], errors: &mut Vec<Error>) -> PlannedBlock {
    let keys = Keys { zones: block.keys.iter().flat_map(|key| key.zones.iter().cloned()).collect() };
    for key in &block.keys {
        if key.scheme == Scheme::Unix {
            errors.push(key.token.error("`unix://` listeners are not built into seamark"));
        }
        if key.scheme.is_encrypted() && !block.stanzas.iter().any(|stanza| stanza.name.text == "tls") {
            let text = format!("`{}://` needs a certificate: add `tls CERT KEY` to this block", key.scheme);
            errors.push(key.token.error(text));
        }
    }
    for stanza in &block.stanzas {
        let word = &stanza.name.text;
        if !directives.iter().any(|directive| directive.name == word) {
            errors.push(unknown(&stanza.name, directives));
        }
    }
    let mut steps = Vec::new();
    // The order of the table, whatever the order in the file.
    for directive in directives {
        let Some(stanza) = block.stanzas.iter().find(|stanza| stanza.name.text == directive.name) else { continue };
        match (directive.parse)(stanza, &keys) {
            Ok(build) => steps.push((stanza.name.clone(), build)),
            Err(found) => errors.extend(found.within(directive.name).all),
        }
    }
    PlannedBlock { keys: block.keys.clone(), steps }
}

fn unknown(word: &Token, directives: &[Directive]) -> Error {
    if let Some(instead) = absent::instead_of(&word.text) {
        return word.error(format!("directive `{}` of CoreDNS is not built into seamark: {instead}", word.text));
    }
    if let Some((_, instead)) = GONE.iter().find(|(gone, _)| *gone == word.text) {
        return word.error(format!("Unknown directive '{}': {instead}", word.text));
    }
    let known: Vec<&str> = directives.iter().map(|directive| directive.name).collect();
    word.error(format!("Unknown directive '{}'{}", word.text, word.hint(&known)))
}

/// A running configuration.
pub(crate) struct Site {
    number: u64,
    addresses: HashMap<ListenAddress, usize>,
    routes: Vec<Routes>,
    /// Limits of TCP connections, by listener.
    tcp: Vec<TcpLimits>,
    /// By listener; `None` for plain DNS.
    guises: Vec<Option<Guise>>,
    /// What counts what is let go over UDP, by listener; `None` without `shed`.
    shed: Vec<Option<Shed>>,
    /// How headers of proxies are taken, by listener; `None` without `proxyproto`.
    proxied: Vec<Option<Arc<Proxied>>>,
    /// What to do first when the process ends.
    at_end: Mutex<Vec<Waiting<()>>>,
    /// And what to do last.
    at_last: Mutex<Vec<Waiting<()>>>,
    dropped: Vec<DnsHandles>,
    refusals: Refusals,
    enabled: Vec<[String; 4]>,
    fingerprint: String,
    banner: Vec<String>,
    lameduck: Duration,
    reload: Option<(Duration, Duration)>,
    debug: bool,
    http: Vec<HttpEndpoint>,
    probes: Arc<Probes>,
    shared: Shared,
    slot: ServerSlot,
    tasks: RwLock<Vec<JoinHandle<()>>>,
}

/// Who we are at an encrypted listener, and what it may carry.
#[derive(Clone)]
pub(crate) struct Guise {
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) limits: StreamLimits,
}

/// What starts with a site: taken out when it is built, used when it is published.
#[derive(Default)]
pub(crate) struct Beginnings {
    /// What must come true; gives what stands in the way.
    pub(crate) conditions: Vec<Waiting<Option<Error>>>,
    pub(crate) before_serving: Vec<Waiting<()>>,
    tasks: Vec<Waiting<()>>,
    after_start: Vec<(Started, Vec<AfterStart>)>,
}

type AfterStart = Box<dyn FnOnce(Started) -> Waiting<()> + Send>;

impl Site {
    /// Brings a plan to life. Nothing of it serves yet.
    pub(crate) fn build(plan: Plan, ground: Ground<'_>) -> Result<(Self, Beginnings), Errors> {
        let Plan { blocks, fingerprint } = plan;
        let mut builder = Builder::new(ground, fingerprint);
        let mut errors = Vec::new();
        for block in blocks {
            errors.extend(builder.block(block));
        }
        if errors.is_empty() { Ok(builder.finish()) } else { Err(Errors::new(errors)) }
    }

    /// Another one for each site.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The addresses to listen on, in order.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        self.addresses.keys()
    }

    /// The number of an address in this site.
    pub(crate) fn listener(&self, address: &ListenAddress) -> Option<usize> {
        self.addresses.get(address).copied()
    }

    /// The block that answers a query; `None` if it is refused.
    pub(crate) fn target(&self, cx: &Context) -> Option<&Target> {
        let routes = &self.routes[usize::from(cx.place.listener)];
        let question = &cx.query.question;
        if !routes.takes_class(question.class) {
            return None;
        }
        routes.find(cx).filter(|target| !target.chain.is_empty())
    }

    /// Whether some block of a listener takes updates.
    pub(crate) fn takes_updates(&self, listener: usize) -> bool {
        self.routes[listener].takes_updates()
    }

    /// Whether equal queries to a listener go to the same block, whoever asks.
    pub(crate) fn is_same_for_all(&self, listener: usize) -> bool {
        self.routes[listener].is_same_for_all()
    }

    /// Limits of TCP connections of a listener.
    pub(crate) fn tcp(&self, listener: usize) -> TcpLimits {
        self.tcp.get(listener).copied().unwrap_or_default()
    }

    /// Who we are at a listener, if it is encrypted.
    pub(crate) fn guise(&self, listener: usize) -> Option<&Guise> {
        self.guises.get(listener)?.as_ref()
    }

    /// What counts what a listener lets go; `None` if it does not.
    pub(crate) fn shed(&self, listener: usize) -> Option<&Shed> {
        self.shed.get(listener)?.as_ref()
    }

    /// How a listener takes headers of proxies; `None` if it does not look for them.
    pub(crate) fn proxied(&self, listener: usize) -> Option<&Arc<Proxied>> {
        self.proxied.get(listener)?.as_ref()
    }

    /// What to do first when the process ends; there once.
    pub(crate) fn take_endings(&self) -> Vec<Waiting<()>> {
        std::mem::take(&mut *self.at_end.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What to do last when the process ends; there once.
    pub(crate) fn take_last(&self) -> Vec<Waiting<()>> {
        std::mem::take(&mut *self.at_last.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Counts a query that no block answers for.
    pub(crate) fn count_dropped(&self, cx: &Context, response_size: usize) {
        self.dropped[usize::from(cx.place.listener)].observe(&Exchange {
            transport: cx.transport,
            peer: cx.peer,
            record_type: cx.query.question.record_type,
            dnssec_ok: cx.query.dnssec_ok(),
            request_size: cx.query.size,
            response_size,
            rcode: Rcode::REFUSED,
            plugin: "",
            duration: cx.start.elapsed(),
        });
    }

    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A line for each zone, as CoreDNS prints them at start.
    pub(crate) fn banner(&self) -> &[String] {
        &self.banner
    }

    pub(crate) const fn lameduck(&self) -> Duration {
        self.lameduck
    }

    pub(crate) const fn reload(&self) -> Option<(Duration, Duration)> {
        self.reload
    }

    pub(crate) const fn debug(&self) -> bool {
        self.debug
    }

    pub(crate) fn http(&self) -> &[HttpEndpoint] {
        &self.http
    }

    pub(crate) fn probes(&self) -> &Probes {
        &self.probes
    }

    pub(crate) const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Labels of `coredns_plugin_enabled`: server, zone, view, plugin.
    pub(crate) fn enabled(&self) -> &[[String; 4]] {
        &self.enabled
    }

    /// Starts the tasks of a site that now serves.
    pub(crate) fn begin(self: &Arc<Self>, beginnings: Beginnings) {
        let site: Arc<dyn Inquire> = Arc::clone(self) as Arc<dyn Inquire>;
        self.slot.fill(Arc::downgrade(&site));
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        tasks.extend(beginnings.tasks.into_iter().map(tokio::spawn));
        for (started, starts) in beginnings.after_start {
            tasks.extend(starts.into_iter().map(|start| tokio::spawn(start(started.clone()))));
        }
    }

    /// Ends the tasks. Queries in work are still answered.
    pub(crate) fn end(&self) {
        let tasks = std::mem::take(&mut *self.tasks.write().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.end();
    }
}

impl Inquire for Site {
    fn share_block(&self, cx: &Context, other: &Question) -> bool {
        let routes = &self.routes[usize::from(cx.place.listener)];
        let block = |cx: &Context| routes.find(cx).map(|target| Arc::as_ptr(&target.chain));
        let mut instead = cx.clone();
        instead.query.question = other.clone();
        block(cx) == block(&instead)
    }

    fn inquire(&self, mut cx: Context) -> Waiting<Option<Response>> {
        let target: Option<Target> = self.target(&cx).cloned();
        Box::pin(async move {
            let Some(target) = target else { return Some(Response::new(Rcode::REFUSED)) };
            cx.place = target.place;
            match target.chain.walk(&mut cx) {
                Outcome::Answered(response) => Some(response),
                Outcome::Parked(parked) => Some(parked.finish(&mut cx).await),
                Outcome::Dropped => None,
            }
        })
    }
}

struct Builder<'a> {
    ground: Ground<'a>,
    site: Site,
    listeners: Vec<ListenAddress>,
    beginnings: Beginnings,
    dns: DnsFamilies,
}

impl<'a> Builder<'a> {
    fn new(ground: Ground<'a>, fingerprint: String) -> Self {
        let dns = DnsFamilies::register(ground.registry);
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let site = Site {
            number: NUMBER.fetch_add(1, Relaxed),
            addresses: HashMap::new(),
            routes: Vec::new(),
            tcp: Vec::new(),
            guises: Vec::new(),
            shed: Vec::new(),
            proxied: Vec::new(),
            at_end: Mutex::default(),
            at_last: Mutex::default(),
            dropped: Vec::new(),
            refusals: Refusals::register(ground.registry),
            enabled: Vec::new(),
            fingerprint,
            banner: Vec::new(),
            lameduck: Duration::ZERO,
            reload: None,
            debug: false,
            http: Vec::new(),
            probes: Arc::clone(&ground.probes),
            shared: Shared::default(),
            slot: ServerSlot::default(),
            tasks: RwLock::default(),
        };
        Self { ground, site, listeners: Vec::new(), beginnings: Beginnings::default(), dns }
    }

    /// Builds a block; gives what went wrong.
    fn block(&mut self, block: PlannedBlock) -> Vec<Error> {
        let PlannedBlock { keys, steps } = block;
        let (zones, mut errors) = zones(&keys);
        let default_port = self.ground.default_port;
        let label = |hosts: &[String]| addresses(&keys, hosts, default_port).iter().map(ListenAddress::label).collect();
        let Ground { registry, control, shared, .. } = &self.ground;
        let mut building = Block::new(&zones, registry, shared, &self.site.probes, &self.site.slot, control, &label);
        for (word, step) in steps {
            if let Err(error) = step.build(&mut building) {
                errors.push(word.error(error.0).within(&word.text));
            }
            for condition in std::mem::take(&mut building.parts().conditions) {
                let word = word.clone();
                let placed = async move { condition.await.err().map(|error| word.error(error.0).within(&word.text)) };
                self.beginnings.conditions.push(Box::pin(placed));
            }
        }
        let parts = building.into_parts();
        if errors.is_empty() {
            errors.extend(self.wire_up(&keys, &zones, parts));
        }
        errors
    }

    /// Puts a built block behind its addresses and zones.
    fn wire_up(&mut self, keys: &[Key], zones: &[Name], parts: BlockParts) -> Vec<Error> {
        let BlockParts { links, hosts, http, tasks, before_serving, after_start, lameduck, reload, .. } = parts;
        let BlockParts { debug, tcp, view, tls, streams, at_end, at_last, shed, proxied, .. } = parts;
        self.site.at_end.get_mut().unwrap_or_else(PoisonError::into_inner).extend(at_end);
        self.site.at_last.get_mut().unwrap_or_else(PoisonError::into_inner).extend(at_last);
        let panics = self.ground.registry.counter("coredns_panics_total", "Panics that were recovered from.", &[]);
        let chain = Arc::new(Chain::new(links, panics.with_label_values::<&str>(&[]), !debug));
        let places = addresses(keys, &hosts, self.ground.default_port);
        let mut errors = Vec::new();
        for (number, address) in places.iter().enumerate() {
            if let Some(other) = self.site.addresses.keys().find(|other| address.collides_with(other)) {
                let key = keys.iter().find(|key| key.scheme == address.scheme).unwrap_or(&keys[0]);
                let text = format!("{} and {} cannot share a port", address.label(), other.label());
                errors.push(key.token.error(text));
                continue;
            }
            let listener = self.listener(address);
            self.site.tcp[listener] = tcp.or(self.site.tcp[listener]);
            if let Some(shed) = shed.get(number) {
                self.site.shed[listener] = Some(shed.clone());
            }
            if let Some(rules) = &proxied {
                let proxied = Proxied::new(rules.clone(), self.ground.registry, &address.label());
                self.site.proxied[listener] = Some(Arc::new(proxied));
            }
            let own = streams.iter().find(|(scheme, _)| *scheme == address.scheme);
            let limits = own.map(|(_, limits)| *limits).unwrap_or_default();
            let Some(credentials) = tls.as_ref().filter(|_| address.scheme.is_encrypted()) else { continue };
            let earlier = self.site.guises[listener].take();
            if earlier.as_ref().is_some_and(|earlier| !Arc::ptr_eq(&earlier.credentials, credentials)) {
                let key = keys.iter().find(|key| key.scheme == address.scheme).unwrap_or(&keys[0]);
                let text = format!("another block has other words behind `tls` for {}", address.label());
                errors.push(key.token.error(text));
            }
            let limits = limits.or(earlier.map(|earlier| earlier.limits).unwrap_or_default());
            self.site.guises[listener] = Some(Guise { credentials: Arc::clone(credentials), limits });
        }
        if !errors.is_empty() {
            return errors;
        }
        for key in keys {
            for address in addresses(std::slice::from_ref(key), &hosts, self.ground.default_port) {
                let server = places.iter().position(|place| *place == address).unwrap_or_default();
                for zone in &key.zones {
                    let number = zones.iter().position(|known| Name::parse(zone).as_ref() == Ok(known));
                    let listener = self.listener(&address);
                    let place =
                        Place { listener: listener as u16, server: server as u16, zone: number.unwrap_or(0) as u16 };
                    self.enable(&address, zone, view.as_ref().map_or("", |view| &view.name), &chain);
                    let known = &zones[usize::from(place.zone)];
                    if !self.site.routes[listener]
                        .add(known, Target { chain: Arc::clone(&chain), place, view: view.clone() })
                    {
                        let text = format!("zone `{zone}` is already defined for {}", address.label());
                        errors.push(key.token.error(text));
                    }
                    self.site.banner.push(banner_line(zone, &address));
                }
            }
        }
        let plain = places.iter().filter(|place| place.scheme == Scheme::Dns);
        let started = Started { addresses: plain.filter_map(|place| place.socket_address().ok()).collect() };
        self.beginnings.tasks.extend(tasks);
        self.beginnings.before_serving.extend(before_serving);
        self.beginnings.after_start.push((started, after_start));
        self.site.http.extend(http);
        self.site.lameduck = lameduck.map_or(self.site.lameduck, |time| time.max(self.site.lameduck));
        self.site.reload = reload.or(self.site.reload);
        self.site.debug |= debug;
        errors
    }

    fn enable(&mut self, address: &ListenAddress, zone: &str, view: &str, chain: &Chain) {
        let names = chain.names().map(|name| [address.label(), zone.to_owned(), view.to_owned(), name.to_owned()]);
        self.site.enabled.extend(names);
    }

    fn listener(&mut self, address: &ListenAddress) -> usize {
        if let Some(known) = self.site.addresses.get(address) {
            return *known;
        }
        let number = self.site.routes.len();
        self.site.addresses.insert(address.clone(), number);
        self.listeners.push(address.clone());
        self.site.routes.push(Routes::default());
        self.site.tcp.push(TcpLimits::default());
        self.site.guises.push(None);
        self.site.shed.push(None);
        self.site.proxied.push(None);
        self.site.dropped.push(self.dns.bind(&address.label(), "dropped", ""));
        number
    }

    fn finish(self) -> (Site, Beginnings) {
        let Self { ground, mut site, beginnings, .. } = self;
        site.shared = ground.shared;
        site.shared.forget_previous();
        site.banner.sort();
        (site, beginnings)
    }
}

/// The zones of a block, each once.
fn zones(keys: &[Key]) -> (Vec<Name>, Vec<Error>) {
    let mut zones = Vec::new();
    let mut errors = Vec::new();
    for key in keys {
        for zone in &key.zones {
            match Name::parse(zone) {
                Ok(name) if !zones.contains(&name) => zones.push(name),
                Ok(_) => {}
                Err(error) => errors.push(key.token.error(format!("`{zone}`: {error}"))),
            }
        }
    }
    (zones, errors)
}

/// The addresses of a block, each once: every port of its keys on every host.
fn addresses(keys: &[Key], hosts: &[String], default_port: u16) -> Vec<ListenAddress> {
    let mut addresses = Vec::new();
    for key in keys {
        let port = key.port_or(default_port);
        let hosts: Vec<Option<String>> =
            if hosts.is_empty() { vec![None] } else { hosts.iter().cloned().map(Some).collect() };
        for host in hosts {
            let address = ListenAddress { scheme: key.scheme, host, port };
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

fn banner_line(zone: &str, address: &ListenAddress) -> String {
    let scheme = if address.scheme == Scheme::Dns { String::new() } else { format!("{}://", address.scheme) };
    match &address.host {
        None => format!("{scheme}{zone}:{}", address.port),
        Some(host) => format!("{scheme}{zone}:{} on {host}", address.port),
    }
}
