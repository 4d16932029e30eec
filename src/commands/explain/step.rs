//! What becomes of one name: which block and directive it comes to, and what they say, as far as files tell.

use std::{fmt, net::IpAddr, path::Path};

use crate::{
    chain::Kind,
    commands::picture::{Part, Picture},
    kubernetes::{
        Details, Selection,
        answer::{self, Answer, PodMode, Policy},
        grammar::{self, Dialect, Lookup},
        index::Index,
        manifests,
    },
    versions::Seen,
    wire::{Name, Question, RData, RecordType},
};

/// A name on the way.
pub(super) struct Step {
    pub(super) name: Name,
    /// Who is asked, in words.
    pub(super) who: String,
    pub(super) outcome: Outcome,
    /// It is a name of the cluster.
    pub(super) of_cluster: bool,
}

/// What the resolver hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// The name exists, and has no address.
    NoData,
    /// NXDOMAIN.
    NoName,
    /// Another code, or silence.
    Other(String),
    /// Nobody knows here; this is supposed.
    Supposed { exists: bool, unless: String },
}

impl Outcome {
    /// Whether the resolver goes no further. It passes over SERVFAIL as over NXDOMAIN (glibc).
    pub(super) fn ends(&self) -> bool {
        match self {
            Self::Addresses(_) | Self::Supposed { exists: true, .. } => true,
            Self::NoData | Self::NoName | Self::Supposed { exists: false, .. } => false,
            Self::Other(code) => !code.starts_with("SERVFAIL"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(found) => {
                let found: Vec<String> = found.iter().map(IpAddr::to_string).collect();
                f.write_str(&found.join(", "))
            }
            Self::NoData => f.write_str("exists without an address"),
            Self::NoName => f.write_str("does not exist (NXDOMAIN)"),
            Self::Other(code) => f.write_str(code),
            Self::Supposed { exists: true, unless } => write!(f, "supposed to exist: {unless}"),
            Self::Supposed { exists: false, unless } => write!(f, "supposed not to exist: {unless}"),
        }
    }
}

/// The objects that a `kubernetes` with `manifests` would answer from.
pub(super) struct Objects {
    index: Index,
    policy: Policy,
}

impl Objects {
    fn of(part: &Part<'_>) -> Option<Result<Self, String>> {
        let line = |word: &str| part.lines().find(|line| line.word.text == word);
        let path = Path::new(&line("manifests")?.args.first()?.text);
        let pods = line("pods").and_then(|line| line.args.first()).map_or("", |word| word.text.as_str());
        let pods = match pods {
            "insecure" => PodMode::Insecure,
            "verified" => PodMode::Verified,
            _ => PodMode::Disabled,
        };
        let Kind::Answers { zones, .. } = &part.role.kind else { return None };
        let policy = Policy {
            ttl: 5,
            namespaces: Default::default(),
            pods,
            endpoint_pod_names: line("endpoint_pod_names").is_some(),
            ignore_empty: false,
            no_endpoints: line("noendpoints").is_some(),
            zonal: line("zonal").is_some(),
            multicluster: Vec::new(),
            primary: zones.iter().find(|zone| !zone.to_string().ends_with(".arpa.")).copied()?,
            own_addresses: Vec::new(),
        };
        let details = Details { targets: policy.endpoint_pod_names, zones: policy.zonal, ..Details::default() };
        let index = Index::new(details);
        let selection = Selection { endpoints: !policy.no_endpoints, pods: true, ..Selection::default() };
        Some(manifests::read(path).map_err(|error| error.to_string()).map(|objects| {
            objects.apply(&index, &selection, 0);
            Self { index, policy }
        }))
    }

    /// What the cluster says; `None` if it does not know the name.
    fn ask(&self, zone: &Name, name: &Name) -> Option<Outcome> {
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            let question = Question::new(*name, kind);
            match answer::answer(&self.index, &self.policy, zone, &question, &mut Seen::default()) {
                Answer::Nowhere => return None,
                Answer::Elsewhere { target, .. } => {
                    let unless = format!("it is another name for {target}");
                    return Some(Outcome::Supposed { exists: true, unless });
                }
                Answer::Here(response) => {
                    let records = response.records().ok()?;
                    found.extend(records.answer.iter().filter_map(|record| address(&record.data)));
                }
            }
        }
        Some(if found.is_empty() { Outcome::NoData } else { Outcome::Addresses(found) })
    }
}

/// The address of a record.
pub(super) const fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(v4) => Some(IpAddr::V4(*v4)),
        RData::Aaaa(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

/// A Corefile with the objects of its `manifests`.
pub(super) struct Files<'a> {
    pictures: &'a [Picture<'a>],
    objects: Vec<Option<Objects>>,
    port: u16,
}

impl<'a> Files<'a> {
    pub(super) fn new(pictures: &'a [Picture<'a>], port: u16) -> Result<Self, String> {
        let objects = |picture: &Picture<'_>| picture.part("kubernetes").and_then(Objects::of);
        let objects = pictures.iter().map(|picture| objects(picture).transpose()).collect::<Result<_, _>>()?;
        Ok(Self { pictures, objects, port })
    }

    /// The block that answers a name: the longest zone, and of several with views the last, which has none.
    pub(super) fn block(&self, name: &Name) -> Option<(usize, Name)> {
        let zones = self.pictures.iter().enumerate().flat_map(|(number, picture)| {
            let here = picture.served().filter(|(_, _, port)| *port == self.port);
            here.filter_map(move |(_, zone, _)| Some((number, Name::parse(zone).ok()?)))
        });
        let holding = zones.filter(|(_, zone)| name.is_within(zone));
        holding.max_by_key(|(number, zone)| (zone.label_count(), self.pictures[*number].view().is_none()))
    }

    /// The `autopath` that would take a name to the end of its search list, with its line.
    pub(super) fn autopath(&self, name: &Name) -> Option<u32> {
        let picture = &self.pictures[self.block(name)?.0];
        let part = picture.part("autopath")?;
        let words: Vec<_> = part.words().collect();
        let (source, zones) = words.split_last()?;
        let named = zones.iter().filter_map(|word| Name::parse(&word.text).ok()).collect::<Vec<_>>();
        let looks = named.is_empty() || named.iter().any(|zone| name.is_within(zone));
        let mut pods = picture.part("kubernetes").into_iter().flat_map(Part::lines);
        let knows = source.text != "@kubernetes"
            || pods.any(|line| line.word.text == "pods" && line.args.iter().any(|word| word.text == "verified"));
        (looks && knows).then_some(part.stanza.name.span.line)
    }

    /// What becomes of a name. `wanted` is the name as the program gave it: of others in the world nobody knows.
    pub(super) fn step(&self, name: Name, wanted: bool) -> Step {
        let Some((number, zone)) = self.block(&name) else {
            let who = "no block has a zone for it".to_owned();
            return Step { name, who, outcome: Outcome::Other("REFUSED".to_owned()), of_cluster: false };
        };
        let picture = &self.pictures[number];
        let file = &picture.block.keys[0].token.span;
        let mut who = format!("{}:{}, zone {zone}", file.file_name(), picture.line());
        if let Some(view) = picture.view() {
            who += &format!(", for the view {view}");
        }
        let mut perhaps: Vec<&str> = Vec::new();
        let mut of_cluster = false;
        for part in &picture.chain {
            let Kind::Answers { zones, beyond } = &part.role.kind else { continue };
            let Some(own) = zones.find(&name) else { continue };
            let answered = if part.name() == "kubernetes" {
                of_cluster = true;
                match &self.objects[number] {
                    Some(objects) => objects.ask(own, &name),
                    None => guess(&name, own),
                }
                .or_else(|| (!beyond.contains(&name)).then_some(Outcome::NoName))
            } else {
                let unless = format!("`{}` knows", part.name());
                part.role.ends(&name).then_some(Outcome::Supposed { exists: wanted, unless })
            };
            if let Some(outcome) = answered {
                who += &format!(": {} {}", part.name(), part.role.does);
                if !perhaps.is_empty() {
                    who += &format!("; {} before it may answer", perhaps.join(", "));
                }
                return Step { name, who, outcome, of_cluster };
            }
            perhaps.push(part.name());
        }
        let outcome = Outcome::Other("SERVFAIL: nobody in this block answers it".to_owned());
        Step { name, who, outcome, of_cluster }
    }
}

/// What a name of a cluster is by its form alone; `None` if there can be no such name.
fn guess(name: &Name, zone: &Name) -> Option<Outcome> {
    let name = name.to_lowercase();
    let text = |label: &[u8]| String::from_utf8_lossy(label).into_owned();
    let supposed = |exists, unless: String| Some(Outcome::Supposed { exists, unless });
    match grammar::read(&name, name.labels_above(zone)?, Dialect::default()) {
        Lookup::Structure | Lookup::Namespace { .. } => Some(Outcome::NoData),
        Lookup::Nothing => None,
        Lookup::Pod { .. } => supposed(true, "it is a pod's address".to_owned()),
        Lookup::Service(service) => {
            let (own, namespace) = (text(service.service), text(service.namespace));
            let whole = service.part == grammar::Part::Whole;
            let unless = if whole {
                format!("it is service `{own}` of namespace `{namespace}`")
            } else {
                format!("it would be a part of service `{own}` of namespace `{namespace}`")
            };
            supposed(whole, unless)
        }
    }
}
