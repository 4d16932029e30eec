//! Turn after turn: tend to the Lease, count the nodes, ask what a poll asks for, tell what came of it.

use std::{
    collections::HashMap,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    api::Api,
    cluster::{Cluster, Places},
    lease::{self, Candidate, Election},
    nodes::Nodes,
    params::Data,
    report::Report,
    round::{Ask, Autoscaler, Note, Outcome, Policy},
    target::Target,
    trouble::{Reason, Trouble},
};
use crate::{
    http::{Handler, Listener, Reply},
    kubernetes::client::{self, Access, ClientError},
    metrics::Registry,
};

/// Shortest time between two turns that renew the Lease: with the default period, every second one does.
const LEASE: Duration = Duration::from_secs(12);
/// How long to wait after a change for those that come with it.
const GATHER: Duration = Duration::from_millis(250);

/// All that the command line says.
pub struct Settings {
    /// How to reach the API server.
    pub access: Access,
    /// Namespace of the ConfigMap and the Lease.
    pub namespace: String,
    /// Name of the ConfigMap.
    pub config_map: String,
    /// What to scale.
    pub targets: Vec<Target>,
    /// What to write when the ConfigMap is missing.
    pub defaults: Option<Data>,
    /// Time from poll to poll.
    pub period: Duration,
    /// Label selector for nodes; empty = all.
    pub node_labels: String,
    /// So many failed polls in a row end the process; 0 = never.
    pub max_failures: u32,
    /// How it thinks.
    pub policy: Policy,
    /// Whether a Lease is needed to write.
    pub election: Election,
    /// Name of the Lease.
    pub lease: String,
    /// Name of this copy.
    pub identity: String,
    /// Where `/healthz`, `/last-poll` and `/metrics` are served.
    pub address: String,
}

/// Why the process ends.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// No client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The address of the health port.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        error: std::io::Error,
    },
    /// `--max-sync-failures`.
    #[error("{count} polls have failed in a row, the last one: {error}")]
    Failures {
        /// How many.
        count: u32,
        /// The last error.
        error: String,
    },
}

/// Scales until `stop` comes.
///
/// # Errors
/// It cannot start, or too many polls have failed in a row.
pub async fn run(settings: Settings, registry: &Arc<Registry>, stop: impl Future<Output = ()>) -> Result<(), End> {
    let compat = settings.policy.rules.compat;
    let client = client::connect(&settings.access, 0, registry, None).await?;
    let report = Arc::new(Report::register(registry, &settings.targets));
    let (nodes, changed) = (Arc::new(Nodes::default()), Arc::new(Notify::new()));
    let mut tasks = JoinSet::new();
    let (labels, seen) = (settings.node_labels.clone(), Arc::clone(&report));
    tasks.spawn(Arc::clone(&nodes).follow(client.clone(), labels, Arc::clone(&changed), seen));
    let mut stop = std::pin::pin!(stop);
    if compat {
        // The original opens its port when it knows the nodes, however long that takes.
        while nodes.size().is_err() {
            tokio::select! {
                () = changed.notified() => {}
                () = &mut stop => return Ok(()),
            }
        }
    }
    let listener = listen(&settings.address, &report, registry).await?;
    tracing::info!("serving /healthz, /last-poll and /metrics on {}", listener.address());
    let scaler = Autoscaler::new(settings.policy, settings.targets.len(), settings.defaults);
    let candidate = Candidate::new(settings.identity.clone(), settings.election, LEASE.max(settings.period));
    let places = Places {
        namespace: settings.namespace,
        config_map: settings.config_map,
        lease: settings.lease,
        identity: settings.identity,
        targets: settings.targets,
    };
    let cluster = Cluster::new(Api::new(client), places, !compat, Arc::clone(&report), Arc::clone(&changed));
    let mut turns = Turns { nodes, scaler, candidate, cluster, report, said: None, lease_trouble: None };
    turns.cluster.follow_config();
    if !compat {
        // Time for the first list, so that a healthy start has no failed poll.
        let first = async {
            while turns.nodes.size().is_err() {
                changed.notified().await
            }
        };
        tokio::select! {
            _ = timeout(settings.period, first) => {}
            () = &mut stop => return Ok(()),
        }
    }
    let mut ticks = interval(settings.period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = changed.notified(), if !compat => sleep(GATHER).await,
            () = &mut stop => break,
        }
        let outcome = tokio::select! {
            outcome = turns.turn() => outcome,
            () = &mut stop => break,
        };
        failures = if outcome.is_failure() { failures + 1 } else { 0 };
        if settings.max_failures > 0 && failures >= settings.max_failures {
            let error = outcome.error().unwrap_or_default();
            return Err(End::Failures { count: failures, error });
        }
    }
    turns.resign().await;
    Ok(())
}

async fn listen(address: &str, report: &Arc<Report>, registry: &Arc<Registry>) -> Result<Listener, End> {
    let listener = Listener::bind(address, false).await;
    let listener = listener.map_err(|error| End::Listen { address: address.to_owned(), error })?;
    let (report, registry) = (Arc::clone(report), Arc::clone(registry));
    let health = Handler::now(|| Reply::text(200, ""));
    let last_poll = Handler::now(move || report.last_poll());
    let metrics =
        Handler::now(move || Reply { status: 200, content_type: Registry::CONTENT_TYPE, body: registry.render() });
    let routes = [("/healthz", health), ("/last-poll", last_poll), ("/metrics", metrics)];
    listener.serve(routes.into_iter().map(|(path, handler)| (path.to_owned(), handler)).collect::<HashMap<_, _>>());
    Ok(listener)
}

struct Turns {
    nodes: Arc<Nodes>,
    scaler: Autoscaler,
    candidate: Candidate,
    cluster: Cluster,
    report: Arc<Report>,
    /// Whether this copy was the one to write, and who else was.
    said: Option<(bool, Option<String>)>,
    /// What the last look at the Lease has met.
    lease_trouble: Option<Trouble>,
}

impl Turns {
    async fn turn(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        if let Err(trouble) = self.tend().await {
            outcome.troubles.push(trouble);
        }
        let size = match self.nodes.size() {
            Ok(size) => size,
            Err(trouble) => {
                let why = trouble.map_or_else(|| "no answer yet".to_owned(), |trouble| trouble.message);
                outcome.troubles.push(Trouble::new(Reason::Nodes, format!("the nodes are not known: {why}")));
                self.report.poll(None, &outcome);
                return outcome;
            }
        };
        let mut round = self.scaler.begin(size, Instant::now(), self.candidate.leads(Instant::now()));
        while let Some(ask) = round.ask() {
            // A poll may last: others may lead by now.
            if matches!(ask, Ask::SetScale { .. } | Ask::CreateConfig(_)) && !self.candidate.leads(Instant::now()) {
                break;
            }
            round.answer(self.cluster.perform(ask).await);
        }
        let polled = round.finish();
        outcome.troubles.extend(polled.troubles);
        let outcome = Outcome { troubles: outcome.troubles, ..polled };
        self.report.poll(Some(size), &outcome);
        if self.candidate.leads(Instant::now()) {
            for note in outcome.notes.iter().filter(|note| matches!(note, Note::Scaled { .. } | Note::Refused { .. })) {
                self.cluster.tell(note).await;
            }
        }
        outcome
    }

    /// Tends to the Lease, if it is time.
    async fn tend(&mut self) -> Result<(), Trouble> {
        let mut ask = self.candidate.begin(Instant::now());
        if ask.is_some() {
            self.lease_trouble = None;
        }
        while let Some(asked) = ask {
            let reply = match self.cluster.tend(&asked, self.candidate.duration()).await {
                Ok(reply) => reply,
                Err(error) => {
                    let forbidden = error.reason == Reason::Forbidden;
                    self.lease_trouble = Some(error);
                    if forbidden { lease::Reply::Forbidden } else { lease::Reply::Failed }
                }
            };
            ask = self.candidate.answer(Instant::now(), &asked, reply);
        }
        let leads = self.candidate.leads(Instant::now());
        self.report.leads(leads);
        let now = Some((leads, self.candidate.other().map(str::to_owned)));
        if now != self.said {
            self.say(leads);
            self.said = now;
        }
        match &self.lease_trouble {
            // Alone, as is allowed.
            Some(_) if leads && self.candidate.is_forbidden() => Ok(()),
            Some(trouble) => Err(trouble.clone()),
            None => Ok(()),
        }
    }

    fn say(&self, leads: bool) {
        match (leads, &self.lease_trouble, self.candidate.other()) {
            (true, Some(trouble), _) if self.candidate.is_forbidden() => {
                tracing::info!("alone, without a Lease: {trouble}");
            }
            (_, Some(_), _) => {}
            (true, None, _) => tracing::info!("this copy, {}, is the one that scales", self.candidate.identity()),
            (false, None, Some(other)) => tracing::info!("{other} is the one that scales; this copy stands by"),
            (false, None, None) => tracing::info!("this copy stands by"),
        }
    }

    async fn resign(&self) {
        if let Some(record) = self.candidate.resign(Instant::now()) {
            self.cluster.resign(&record).await;
        }
    }
}
