use std::{collections::HashSet, path::PathBuf, time::Duration};

use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza},
    kubernetes::{
        Access, Cluster, Details, Selector, Served, Source, Watching,
        answer::{PodMode, Policy},
    },
    wire::Name,
};

const PROPERTIES: [&str; 19] = [
    "kubeconfig",
    "endpoint",
    "tls",
    "manifests",
    "namespaces",
    "namespace_labels",
    "labels",
    "pods",
    "endpoint_pod_names",
    "noendpoints",
    "zonal",
    "ignore",
    "ttl",
    "fallthrough",
    "multicluster",
    "startup_timeout",
    "apiserver_qps",
    "apiserver_burst",
    "apiserver_max_inflight",
];

/// Properties that CoreDNS had once, and what to do instead.
const GONE: [(&str, &str); 4] = [
    ("upstream", "aliases are followed through this server itself; leave it out"),
    ("resyncperiod", "nothing is read anew without need; leave it out"),
    ("transfer", "the directive `transfer` has taken its place"),
    ("federation", "clusters have no federations any more; leave it out"),
];

/// The `kubernetes` directive.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) zones: Vec<Name>,
    pub(super) policy: Policy,
    pub(super) fallthrough: Option<ZoneSet>,
    pub(super) startup_timeout: Duration,
    pub(super) watching: Watching,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

/// Properties that decide together how the cluster is reached.
#[derive(Default)]
struct Reach {
    kubeconfig: Option<Access>,
    endpoint: Option<String>,
    tls: Option<[PathBuf; 3]>,
    manifests: Option<PathBuf>,
}

impl Reach {
    fn source(self) -> Source {
        match (self.manifests, self.kubeconfig, self.endpoint) {
            (Some(path), _, _) => Source::Manifests(path),
            (None, Some(access), _) => Source::Api(access),
            (None, None, Some(url)) => Source::Api(Access::Endpoint { url, tls: self.tls }),
            (None, None, None) => Source::Api(Access::InCluster),
        }
    }
}

impl Config {
    pub(super) fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let texts = instance.args().zones_or(&keys.zones)?;
        let mut zones = Vec::new();
        for text in &texts {
            zones.push(Name::parse(text).map_err(|error| instance.error(error.to_string()))?);
        }
        let Some(primary) = zones.iter().find(|zone| !is_reverse(zone)) else {
            return Err(instance.error("needs at least one zone that is not a reverse zone"));
        };
        let mut config = Self {
            policy: Policy {
                ttl: 5,
                namespaces: HashSet::new(),
                pods: PodMode::Disabled,
                endpoint_pod_names: false,
                ignore_empty: false,
                no_endpoints: false,
                zonal: false,
                multicluster: Vec::new(),
                primary: *primary,
                own_addresses: Vec::new(),
            },
            zones,
            fallthrough: None,
            startup_timeout: Duration::from_secs(5),
            watching: Watching {
                source: Source::Api(Access::InCluster),
                labels: None,
                namespace_labels: None,
                endpoints: true,
                pods: false,
                details: Details::default(),
                multicluster: false,
                max_inflight: 0,
                node: None,
            },
        };
        let mut reach = Reach::default();
        for line in &instance.lines {
            config.property(line, &mut reach).map_err(|error| error.within(&line.word.text))?;
        }
        config.watching.source = reach.source();
        config.finish(&instance.lines)?;
        Ok(config)
    }

    fn property(&mut self, line: &Line, reach: &mut Reach) -> Result<(), Error> {
        match line.word.text.as_str() {
            "kubeconfig" => reach.kubeconfig = Some(kubeconfig(line)?),
            "endpoint" => {
                reach.endpoint = Some(line.args().require("a URL")?.text.clone());
                line.no_block()?;
            }
            "tls" => reach.tls = Some(tls(line)?),
            "manifests" => reach.manifests = Some(PathBuf::from(&line.args().one("a file or a directory")?.text)),
            "namespaces" => {
                line.args().require("a namespace")?;
                line.no_block()?;
                let names = line.args.iter().map(|word| word.text.to_ascii_lowercase().into_bytes().into());
                self.policy.namespaces.extend(names);
            }
            "namespace_labels" => self.watching.namespace_labels = Some(selector(line)?),
            "labels" => self.watching.labels = Some(selector(line)?),
            "pods" => self.policy.pods = pods(line)?,
            "endpoint_pod_names" => self.policy.endpoint_pod_names = on(line)?,
            "noendpoints" => self.policy.no_endpoints = on(line)?,
            "zonal" => self.policy.zonal = on(line)?,
            "ignore" => self.policy.ignore_empty = ignore(line)?,
            "ttl" => {
                let mut args = line.args();
                self.policy.ttl = args.integer("seconds", 0..=3600)? as u32;
                args.finish()?;
            }
            "fallthrough" => self.fallthrough = Some(ZoneSet::read(&line.args().fallthrough()?, &line.word)?),
            "multicluster" => self.multicluster(line)?,
            "startup_timeout" => {
                let mut args = line.args();
                self.startup_timeout = args.duration("how long to wait")?;
                args.finish()?;
            }
            "apiserver_qps" => not_negative(line)?,
            "apiserver_burst" => _ = line.args().one("a number")?.integer("burst", 0..=i64::MAX)?,
            "apiserver_max_inflight" => {
                let word = line.args().one("a number")?;
                self.watching.max_inflight = word.integer("requests", 0..=i64::from(u32::MAX))? as usize;
            }
            word => {
                let gone = GONE.iter().find(|(gone, _)| *gone == word);
                return Err(gone.map_or_else(|| line.unknown(&PROPERTIES), |(_, instead)| line.error(*instead)));
            }
        }
        Ok(())
    }

    fn multicluster(&mut self, line: &Line) -> Result<(), Error> {
        line.no_block()?;
        for word in &line.args {
            for text in word.zones()? {
                let zone = Name::parse(&text).map_err(|error| word.error(error.to_string()))?;
                if !self.zones.contains(&zone) {
                    return Err(word.error(format!("`{text}` is not a zone of this plugin")));
                }
                self.policy.multicluster.push(zone);
            }
        }
        Ok(())
    }

    /// Checks what concerns several properties, and sets what follows from them.
    fn finish(&mut self, lines: &[Line]) -> Result<(), Error> {
        let at = |word: &str| lines.iter().find(|line| line.word.text == word);
        if let (Some(line), false) = (at("namespace_labels"), self.policy.namespaces.is_empty()) {
            return Err(line.error("namespaces and namespace_labels cannot both be set"));
        }
        if let (Some(line), true) = (at("zonal"), self.policy.no_endpoints) {
            return Err(line.error("zonal needs endpoints, and `noendpoints` is set"));
        }
        self.watching.endpoints = !self.policy.no_endpoints;
        self.watching.pods = self.policy.pods == PodMode::Verified;
        self.watching.multicluster = !self.policy.multicluster.is_empty();
        Ok(())
    }
}

fn is_reverse(zone: &Name) -> bool {
    let mut labels: Vec<Vec<u8>> = zone.labels().map(<[u8]>::to_ascii_lowercase).collect();
    let arpa = labels.pop();
    let kind = labels.pop();
    // The whole of `in-addr.arpa` alone does not count as reverse for CoreDNS, and Talos relies on it.
    !labels.is_empty() && arpa.as_deref() == Some(b"arpa") && matches!(kind.as_deref(), Some(b"in-addr" | b"ip6"))
}

fn kubeconfig(line: &Line) -> Result<Access, Error> {
    let mut args = line.args();
    let file = PathBuf::from(&args.require("a file")?.text);
    let context = args.next().map(|word| word.text.clone());
    args.finish()?;
    Ok(Access::Kubeconfig { file, context })
}

fn tls(line: &Line) -> Result<[PathBuf; 3], Error> {
    let mut args = line.args();
    let mut file = |what: &str| args.require(what).map(|word| PathBuf::from(&word.text));
    let files = [file("a certificate")?, file("its key")?, file("the certificate of the authority")?];
    args.finish()?;
    Ok(files)
}

/// The words of a selector are joined: it may hold blanks.
fn selector(line: &Line) -> Result<String, Error> {
    line.args().require("a label selector")?;
    line.no_block()?;
    let words: Vec<&str> = line.args.iter().map(|word| word.text.as_str()).collect();
    let text = words.join(" ");
    Selector::parse(&text).map_err(|error| line.args[0].error(error))?;
    Ok(text)
}

fn pods(line: &Line) -> Result<PodMode, Error> {
    let word = line.args().one("`disabled`, `insecure` or `verified`")?;
    match word.text.as_str() {
        "disabled" => Ok(PodMode::Disabled),
        "insecure" => Ok(PodMode::Insecure),
        "verified" => Ok(PodMode::Verified),
        _ => Err(word.unknown("mode", &["disabled", "insecure", "verified"])),
    }
}

fn on(line: &Line) -> Result<bool, Error> {
    line.no_args()?;
    Ok(true)
}

/// No word at all is accepted and means nothing, as in CoreDNS.
fn ignore(line: &Line) -> Result<bool, Error> {
    let mut args = line.args();
    let Some(word) = args.next() else { return Ok(false) };
    if word.text != "empty_service" {
        return Err(word.unknown("thing to ignore", &["empty_service"]));
    }
    args.finish()?;
    Ok(true)
}

fn not_negative(line: &Line) -> Result<(), Error> {
    let word = line.args().one("a number")?;
    if word.float("requests per second")? < 0. {
        return Err(word.error("expected a number of at least 0"));
    }
    Ok(())
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers(
            "answers from the cluster",
            ZoneSet::new(self.zones.clone()),
            self.fallthrough.clone().unwrap_or_default(),
        )
    }

    fn build(mut self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        // What nobody reads is not kept.
        self.watching.details = Details {
            pod_labels: self.watching.pods && block.labels().are_enabled(),
            targets: self.policy.endpoint_pod_names,
            zones: self.policy.zonal,
        };
        let key = format!("{:?}", self.watching);
        let watching = self.watching.clone();
        let registry = std::sync::Arc::clone(block.registry());
        let cluster = block.shared::<Cluster>(&key, || {
            Cluster::start(&watching, &registry).map_err(|error| BuildError(error.to_string()))
        })?;
        self.policy.own_addresses = super::own_addresses(block.hosts());
        let probed = std::sync::Arc::clone(&cluster);
        block.probe("kubernetes", move || probed.is_synced());
        let waiting = std::sync::Arc::clone(&cluster);
        let patience = self.startup_timeout;
        block.before_serving(async move {
            if !waiting.wait_synced(patience).await {
                let text = "starting server with unsynced Kubernetes API";
                tracing::warn!(target: "plugin/kubernetes", "{text}");
            }
        });
        let zones = ZoneSet::new(self.zones);
        block.label_source(super::labels::ClusterLabels::new(&zones, &self.policy, &cluster));
        let live = super::source::LiveZones {
            zones: zones.clone(),
            policy: self.policy.clone(),
            cluster: std::sync::Arc::clone(&cluster),
        };
        block.sources().add(live.clone());
        block.task(live.announce(block.sources()));
        let served = Served {
            cluster: std::sync::Arc::clone(&cluster),
            zones: zones.iter().copied().collect(),
            policy: self.policy.clone(),
        };
        block.offered().give(served);
        let server = block.server();
        block.link(super::Kubernetes {
            zones,
            policy: self.policy,
            fallthrough: self.fallthrough.unwrap_or_default(),
            cluster,
            server,
        });
        Ok(())
    }
}
