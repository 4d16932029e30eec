//! The cluster as a poll sees it: ConfigMap and scale subresources, from memory where a watch says that nothing has
//! changed; the Lease; Events.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::api::ApiResource;
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinSet};

use super::{
    api::{Api, Thing, Verb},
    follow::{Follower, Matter, Memory},
    lease,
    params::Data,
    report::Report,
    round::{Ask, Config, Current, Note, Reply},
    target::Target,
    trouble::{Reason, Trouble},
};

/// How long the API server may be silent before something is asked to see whether it is there.
const SILENCE: Duration = Duration::from_secs(30);
/// How long Events are left alone after a refusal.
const NO_EVENTS: Duration = Duration::from_secs(3600);

/// The ConfigMap, the targets, the Lease.
pub(super) struct Cluster {
    api: Api,
    config: Thing,
    config_uid: String,
    config_memory: Memory<Config>,
    config_follower: Arc<Follower>,
    subjects: Vec<Subject>,
    lease: Thing,
    identity: String,
    report: Arc<Report>,
    changed: Arc<Notify>,
    /// Whether objects are watched, and Events written.
    watching: bool,
    events_after: Option<Instant>,
    tasks: JoinSet<()>,
}

/// A target and what is known of it.
struct Subject {
    target: Target,
    /// Kind and version are known, and it is followed.
    settled: bool,
    memory: Memory<i32>,
    follower: Arc<Follower>,
    /// The Scale that was read last: a write goes over it, so that another writer is noticed.
    scale: Value,
}

/// Where things are found.
pub(super) struct Places {
    pub(super) namespace: String,
    pub(super) config_map: String,
    pub(super) lease: String,
    pub(super) identity: String,
    pub(super) targets: Vec<Target>,
}

impl Cluster {
    pub(super) fn new(api: Api, places: Places, watching: bool, report: Arc<Report>, changed: Arc<Notify>) -> Self {
        let Places { namespace, config_map, lease, identity, targets } = places;
        let thing = |root: &str, resource: &str, plural: &str, name: String| Thing {
            path: format!("{root}/namespaces/{namespace}/{plural}"),
            resource: resource.to_owned(),
            namespace: namespace.clone(),
            name,
        };
        let subject = |target| Subject {
            target,
            settled: false,
            memory: Memory::default(),
            follower: Arc::default(),
            scale: Value::Null,
        };
        Self {
            api,
            config: thing("/api/v1", "configmaps", "configmaps", config_map),
            config_uid: String::new(),
            config_memory: Memory::default(),
            config_follower: Arc::default(),
            subjects: targets.into_iter().map(subject).collect(),
            lease: thing("/apis/coordination.k8s.io/v1", "leases.coordination.k8s.io", "leases", lease),
            identity,
            report,
            changed,
            watching,
            events_after: None,
            tasks: JoinSet::new(),
        }
    }

    /// Begins to watch the ConfigMap. Targets are watched from their first reading on.
    pub(super) fn follow_config(&mut self) {
        let resource = ApiResource::from_gvk_with_plural(&gvk("", "v1", "ConfigMap"), "configmaps");
        let (follower, thing) = (Arc::clone(&self.config_follower), self.config.clone());
        self.follow(follower, resource, thing, Matter::Any);
    }

    fn follow(&mut self, follower: Arc<Follower>, resource: ApiResource, thing: Thing, matter: Matter) {
        if self.watching {
            let client = self.api.client().clone();
            let (changed, report) = (Arc::clone(&self.changed), Arc::clone(&self.report));
            self.tasks.spawn(follower.run(client, resource, thing, matter, changed, report));
        }
    }

    /// Does what a poll asks for.
    pub(super) async fn perform(&mut self, ask: Ask) -> Reply {
        match ask {
            Ask::Config => Reply::Config(self.read_config().await),
            Ask::CreateConfig(data) => Reply::Config(self.create_config(&data).await),
            Ask::Scale { target, fresh } => Reply::Scale(self.read_scale(target, fresh).await),
            Ask::SetScale { target, replicas } => Reply::Set(self.set_scale(target, replicas).await),
        }
    }

    async fn read_config(&mut self) -> Result<Config, Trouble> {
        let awake = self.api.silence(Instant::now()).is_some_and(|silence| silence < SILENCE);
        if awake && let Some(config) = self.config_memory.recall(&self.config_follower) {
            return Ok(config);
        }
        let changes = self.config_follower.changes();
        let thing = Thing { path: format!("{}/{}", self.config.path, self.config.name), ..self.config.clone() };
        let object = self.api.call(Verb::Get, &thing, None).await.inspect_err(|_| self.config_memory.forget())?;
        let config = self.take_config(&object);
        self.config_memory.keep(changes, config.clone());
        Ok(config)
    }

    async fn create_config(&mut self, data: &Data) -> Result<Config, Trouble> {
        let Thing { namespace, name, .. } = &self.config;
        let metadata = json!({"name": name, "namespace": namespace});
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
        let object = self.api.call(Verb::Create, &self.config, Some(&body)).await?;
        Ok(self.take_config(&object))
    }

    fn take_config(&mut self, object: &Value) -> Config {
        self.config_uid = text(&object["metadata"]["uid"]);
        let entries = object["data"].as_object().into_iter().flatten();
        let data = entries.map(|(key, value)| (key.clone(), text(value))).collect();
        Config { version: text(&object["metadata"]["resourceVersion"]), data }
    }

    async fn read_scale(&mut self, number: usize, fresh: bool) -> Result<Current, Trouble> {
        self.settle(number).await?;
        let subject = &mut self.subjects[number];
        if !fresh && let Some(replicas) = subject.memory.recall(&subject.follower) {
            return Ok(Current { replicas, fresh: false });
        }
        let changes = subject.follower.changes();
        subject.memory.forget();
        subject.scale = self.api.call(Verb::Get, &subject.scale_thing(), None).await?;
        // Zero is left out by the API.
        let replicas = subject.scale["spec"]["replicas"].as_i64().unwrap_or(0);
        let replicas = i32::try_from(replicas).unwrap_or(i32::MAX);
        subject.memory.keep(changes, replicas);
        Ok(Current { replicas, fresh: true })
    }

    async fn set_scale(&mut self, number: usize, replicas: i32) -> Result<(), Trouble> {
        let subject = &mut self.subjects[number];
        subject.memory.forget();
        let mut scale = subject.scale.clone();
        scale["spec"]["replicas"] = json!(replicas);
        self.api.call(Verb::Update, &subject.scale_thing(), Some(&scale)).await.map(drop)
    }

    /// Asks the API server for what the command line leaves open, and begins to follow the target.
    async fn settle(&mut self, number: usize) -> Result<(), Trouble> {
        if self.subjects[number].settled {
            return Ok(());
        }
        let mut resource = self.subjects[number].target.resource.clone();
        let at = |path: String| Thing {
            path,
            resource: format!("API group {}", resource.group),
            namespace: String::new(),
            name: String::new(),
        };
        if resource.version.is_empty() {
            let group = self.api.call(Verb::Get, &at(format!("/apis/{}", resource.group)), None).await?;
            resource.version = text(&group["preferredVersion"]["version"]);
        }
        if resource.kind.is_empty() {
            let list = at(format!("/apis/{}/{}", resource.group, resource.version));
            let list = self.api.call(Verb::Get, &list, None).await?;
            let of =
                |name: &str| list["resources"].as_array().into_iter().flatten().find(|known| known["name"] == name);
            let target = &self.subjects[number].target;
            let missing = |what: &str| Trouble::new(Reason::Missing, format!("target {target}: {what}"));
            let known = of(&resource.plural).ok_or_else(|| missing("the API server knows no such resource"))?;
            resource.kind = text(&known["kind"]);
            let scale = of(&format!("{}/scale", resource.plural));
            scale.ok_or_else(|| missing(&format!("a {} has no scale subresource", resource.kind)))?;
        }
        let subject = &mut self.subjects[number];
        subject.settled = true;
        subject.target.resource = resource;
        let resource = &subject.target.resource;
        let gvk = gvk(&resource.group, &resource.version, &resource.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, &resource.plural);
        let thing = Thing { resource: subject.target.resource_name(), ..subject.scale_thing() };
        let follower = Arc::clone(&subject.follower);
        self.follow(follower, resource, thing, Matter::Specification);
        Ok(())
    }

    /// Reads or writes the Lease.
    pub(super) async fn tend(&self, ask: &lease::Ask, duration: Duration) -> Result<lease::Reply, Trouble> {
        let thing = Thing { path: format!("{}/{}", self.lease.path, self.lease.name), ..self.lease.clone() };
        let answer = match ask {
            lease::Ask::Read => self.api.call(Verb::Get, &thing, None).await,
            lease::Ask::Create => {
                let body = self.lease_object(&lease::Record::default(), true, duration);
                self.api.call(Verb::Create, &self.lease, Some(&body)).await
            }
            lease::Ask::Write { over, fresh } => {
                let body = self.lease_object(over, *fresh, duration);
                self.api.call(Verb::Update, &thing, Some(&body)).await
            }
        };
        match answer {
            Ok(object) => Ok(lease::Reply::Found(record(&object))),
            Err(trouble) => match trouble.reason {
                // Somebody has deleted it.
                Reason::Missing if *ask != lease::Ask::Create => Ok(lease::Reply::Missing),
                Reason::Exists | Reason::Conflict => Ok(lease::Reply::Conflict),
                _ => Err(trouble),
            },
        }
    }

    /// Gives the Lease up, so that another copy need not wait.
    pub(super) async fn resign(&self, over: &lease::Record) {
        let mut body = self.lease_object(over, false, Duration::from_secs(1));
        body["spec"]["holderIdentity"] = Value::Null;
        let thing = Thing { path: format!("{}/{}", self.lease.path, self.lease.name), ..self.lease.clone() };
        if let Err(trouble) = self.api.call(Verb::Update, &thing, Some(&body)).await {
            tracing::debug!("the Lease is not given up: {trouble}");
        }
    }

    fn lease_object(&self, over: &lease::Record, fresh: bool, duration: Duration) -> Value {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let Thing { namespace, name, .. } = &self.lease;
        let mut metadata = json!({"name": name, "namespace": namespace});
        if !over.version.is_empty() {
            metadata["resourceVersion"] = json!(over.version);
        }
        // The first holder is no transition.
        let handed_over = fresh && !over.version.is_empty();
        let acquired = if fresh || over.acquired.is_empty() { &now } else { &over.acquired };
        let spec = json!({
            "holderIdentity": self.identity,
            "leaseDurationSeconds": duration.as_secs(),
            "acquireTime": acquired,
            "renewTime": now,
            "leaseTransitions": over.transitions + i64::from(handed_over),
        });
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
    }

    /// Writes an Event for what a person would want to see beside the object.
    pub(super) async fn tell(&mut self, note: &Note) {
        let (object, kind, reason, message) = match note {
            Note::Scaled { target, from, to } => {
                let subject = &self.subjects[*target];
                let message = format!("Scaled from {from} to {to} replicas for the size of the cluster");
                (subject.reference(), "Normal", "ScaledWithCluster", message)
            }
            Note::Refused { refusal, kept } => {
                let more = if *kept { "; the last good parameters go on" } else { "; nothing is scaled" };
                let Thing { namespace, name, .. } = &self.config;
                let uid = &self.config_uid;
                let object =
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": name, "uid": uid});
                (object, "Warning", "ParametersRefused", format!("{refusal}{more}"))
            }
            _ => return,
        };
        if !self.watching || self.events_after.is_some_and(|after| Instant::now() < after) {
            return;
        }
        let now = Timestamp::now();
        let namespace = text(&object["namespace"]);
        let name = format!("{}.{:x}", text(&object["name"]), now.as_nanosecond());
        let second = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": namespace},
            "involvedObject": object, "reason": reason, "message": message, "type": kind, "count": 1,
            "firstTimestamp": second, "lastTimestamp": second,
            "source": {"component": "seamark-autoscaler"},
            "reportingComponent": "seamark-autoscaler", "reportingInstance": self.identity,
        });
        let path = format!("/api/v1/namespaces/{namespace}/events");
        let thing = Thing { path, resource: "events".to_owned(), namespace, name: String::new() };
        if let Err(trouble) = self.api.call(Verb::Create, &thing, Some(&event)).await {
            if trouble.reason == Reason::Forbidden {
                self.events_after = Some(Instant::now() + NO_EVENTS);
            }
            tracing::warn!("no Event: {trouble}");
        }
    }
}

impl Subject {
    fn scale_thing(&self) -> Thing {
        Thing {
            path: self.target.path() + "/scale",
            resource: self.target.resource_name() + "/scale",
            namespace: self.target.namespace.clone(),
            name: self.target.name.clone(),
        }
    }

    /// What an Event is about. A Scale has the uid of its object.
    fn reference(&self) -> Value {
        let Target { namespace, resource, name } = &self.target;
        let version = if resource.group.is_empty() {
            resource.version.clone()
        } else {
            format!("{}/{}", resource.group, resource.version)
        };
        let uid = text(&self.scale["metadata"]["uid"]);
        json!({"apiVersion": version, "kind": resource.kind, "namespace": namespace, "name": name, "uid": uid})
    }
}

fn record(object: &Value) -> lease::Record {
    let spec = &object["spec"];
    lease::Record {
        version: text(&object["metadata"]["resourceVersion"]),
        holder: text(&spec["holderIdentity"]),
        duration: Duration::from_secs(spec["leaseDurationSeconds"].as_u64().unwrap_or(0)),
        transitions: spec["leaseTransitions"].as_i64().unwrap_or(0),
        renewed: text(&spec["renewTime"]),
        acquired: text(&spec["acquireTime"]),
    }
}

fn gvk(group: &str, version: &str, kind: &str) -> kube::core::GroupVersionKind {
    kube::core::GroupVersionKind::gvk(group, version, kind)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
