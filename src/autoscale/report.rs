//! What the autoscaler tells: metrics, the state behind `/last-poll`, log lines that do not repeat themselves.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    round::{Note, Outcome},
    size::Size,
    target::Target,
    trouble::{Reason, Trouble},
};
use crate::{
    http::Reply,
    metrics::{Counter, CounterFamily, Gauge, GaugeFamily, Registry},
};

/// How often the same trouble is logged.
const REPEAT: Duration = Duration::from_secs(60);

/// How often a line may be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Once {
    AMinute,
    Ever,
}

/// All that is told to the outside.
pub(super) struct Report {
    nodes: GaugeFamily,
    cores: GaugeFamily,
    wanted: Gauge,
    actual: GaugeFamily,
    held: GaugeFamily,
    success: Gauge,
    leader: Gauge,
    refused: Gauge,
    polls: [Counter; 2],
    errors: CounterFamily,
    changes: CounterFamily,
    last_poll: Mutex<Option<String>>,
    /// When a text was logged; `None` = once is enough.
    logged: Mutex<HashMap<String, Option<Instant>>>,
    targets: Vec<String>,
}

impl Report {
    pub(super) fn register(registry: &Registry, targets: &[Target]) -> Self {
        let gauge = |name: &str, help: &str, labels: &[&str]| registry.gauge(name, help, labels);
        let one = |name: &str, help: &str| registry.gauge(name, help, &[]).with_label_values::<&str>(&[]);
        let polls = registry.counter("seamark_autoscaler_polls_total", "Polls, by result.", &["result"]);
        let errors = registry.counter("seamark_autoscaler_errors_total", "What went wrong, by reason.", &["reason"]);
        for reason in Reason::ALL {
            errors.with_label_values(&[reason.label()]);
        }
        Self {
            nodes: gauge("seamark_autoscaler_nodes", "Nodes that the selector leaves, by state.", &["state"]),
            cores: gauge(
                "seamark_autoscaler_cores",
                "Allocatable cores of these nodes, rounded up, by state.",
                &["state"],
            ),
            wanted: one("seamark_autoscaler_replicas_wanted", "Replicas that the parameters ask for."),
            actual: gauge("seamark_autoscaler_replicas_actual", "Replicas that a target is set to.", &["target"]),
            held: gauge(
                "seamark_autoscaler_scale_down_held",
                "1 while a target keeps more replicas than are wanted.",
                &["target"],
            ),
            success: one(
                "seamark_autoscaler_last_success_timestamp_seconds",
                "Unix time of the last poll without error.",
            ),
            leader: one("seamark_autoscaler_leader", "1 if this copy may write."),
            refused: one("seamark_autoscaler_parameters_refused", "1 while the text of the ConfigMap is refused."),
            polls: ["success", "failure"].map(|result| polls.with_label_values(&[result])),
            errors,
            changes: registry.counter(
                "seamark_autoscaler_scalings_total",
                "Changes of a target's replicas, by direction.",
                &["target", "direction"],
            ),
            last_poll: Mutex::new(Some("no poll yet".to_owned())),
            logged: Mutex::default(),
            targets: targets.iter().map(ToString::to_string).collect(),
        }
    }

    /// What `/last-poll` says.
    pub(super) fn last_poll(&self) -> Reply {
        match &*self.last_poll.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Reply::text(200, ""),
            Some(error) => Reply::text(500, format!("{error}\n")),
        }
    }

    /// Something went wrong.
    pub(super) fn trouble(&self, trouble: &Trouble) {
        self.errors.with_label_values(&[trouble.reason.label()]).inc();
        self.error(&trouble.message);
    }

    /// A watch is forbidden: no trouble, polling does as well.
    pub(super) fn polling(&self, resource: &str, trouble: &Trouble) {
        if self.is_news(resource, Once::Ever) {
            tracing::info!("{resource} are read at every poll, because they cannot be watched: {trouble}");
        }
    }

    /// A line that is logged once in a while only.
    pub(super) fn error(&self, text: &str) {
        if self.is_news(text, Once::AMinute) {
            tracing::error!("{text}");
        }
    }

    pub(super) fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// A poll is over.
    pub(super) fn poll(&self, size: Option<Size>, outcome: &Outcome) {
        if let Some(size) = size {
            for (family, count) in [(&self.nodes, size.nodes), (&self.cores, size.cores)] {
                family.with_label_values(&["all"]).set(count.all);
                family.with_label_values(&["schedulable"]).set(count.schedulable);
            }
            self.nodes.with_label_values(&["unready"]).set(size.unready);
        }
        if let Some(wanted) = outcome.wanted {
            self.wanted.set(i64::from(wanted));
        }
        if let Some(refused) = outcome.refused {
            self.refused.set(i64::from(refused));
        }
        for trouble in &outcome.troubles {
            self.trouble(trouble);
        }
        for note in &outcome.notes {
            self.note(note, size, outcome.wanted);
        }
        let failed = outcome.is_failure() || outcome.on_last_good;
        self.polls[usize::from(failed)].inc();
        let error = outcome.error();
        if error.is_none() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            self.success.set(i64::try_from(now).unwrap_or(i64::MAX));
        }
        let mut last = self.last_poll.lock().unwrap_or_else(PoisonError::into_inner);
        if error.is_none() && last.as_deref().is_some_and(|text| text != "no poll yet") {
            tracing::info!("polls succeed again");
        }
        *last = error;
    }

    fn note(&self, note: &Note, size: Option<Size>, wanted: Option<i32>) {
        let size = size.unwrap_or_default();
        let actual = |target: usize, replicas: i32, held: bool| {
            let name = self.targets[target].as_str();
            self.actual.with_label_values(&[name]).set(i64::from(replicas));
            self.held.with_label_values(&[name]).set(i64::from(held));
        };
        match note {
            Note::Created => tracing::info!("the ConfigMap has been made from the default parameters"),
            Note::Accepted(text) => tracing::info!("new parameters: {text}"),
            // The trouble says the rest.
            Note::Refused { .. } => {}
            Note::Kept { target, replicas } => actual(*target, *replicas, false),
            Note::Held { target, current, why } => {
                actual(*target, *current, true);
                let name = &self.targets[*target];
                // Once for each kind of reason: its numbers may change all the time.
                if self.is_news(&format!("{name} {:?}", std::mem::discriminant(why)), Once::AMinute) {
                    let wanted = wanted.unwrap_or_default();
                    tracing::info!("{name} keeps {current} replicas, {wanted} would do: {why} ({size})");
                }
            }
            Note::Scaled { target, from, to } => {
                actual(*target, *to, wanted.is_some_and(|wanted| wanted < *to));
                let name = &self.targets[*target];
                let direction = if to > from { "up" } else { "down" };
                self.changes.with_label_values(&[name.as_str(), direction]).inc();
                tracing::info!("{name} goes from {from} to {to} replicas ({size})");
            }
        }
    }

    /// Whether this has not been said lately.
    fn is_news(&self, text: &str, once: Once) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.retain(|_, when| when.is_none_or(|when| when.elapsed() < REPEAT));
        if logged.contains_key(text) {
            return false;
        }
        logged.insert(text.to_owned(), (once == Once::AMinute).then(Instant::now));
        true
    }
}
