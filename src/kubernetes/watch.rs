//! One loop for every kind: takes what was listed and what changes into the index, for ever.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::StreamExt as _;
use kube::{
    Api, Client,
    runtime::watcher::{self, Event},
};
use tokio::time::{Instant, sleep};

use super::{
    client::Contact,
    index::{Index, Indexed},
    listing,
};
use crate::metrics::Counter;

/// Objects of one page of a list: with a hundred endpoints in each, some megabytes of text.
const PAGE: u32 = 100;
/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// How often the same trouble is logged.
const REPEAT: Duration = Duration::from_secs(60);

/// What one watch is for.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
}

/// How a watch is doing.
#[derive(Debug, Default)]
pub(super) struct State {
    synced: AtomicBool,
}

impl State {
    /// Whether everything has been listed once. Later failures leave the last state in place.
    pub(super) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    pub(super) fn set_synced(&self) {
        self.synced.store(true, Ordering::Release);
    }
}

/// What a watch tells besides the index.
pub(super) trait Observer<K>: Send + Sync + 'static {
    /// An object has been applied and made a difference, or has been deleted.
    fn changed(&self, object: &K);
}

/// Unix time in seconds.
pub(super) fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

/// Keeps one kind of the index current. Never returns.
pub(super) async fn keep<K>(
    client: Client,
    scope: Scope,
    index: Arc<Index>,
    (state, contact): (Arc<State>, Arc<Contact>),
    restarts: Counter,
    observer: Arc<dyn Observer<K>>,
) where
    K: Indexed,
{
    let config = watcher::Config {
        label_selector: scope.labels,
        field_selector: scope.fields,
        page_size: Some(PAGE),
        ..watcher::Config::default()
    };
    let mut events = pin!(listing::events(Api::<K>::all(client), config));
    let mut keeper = Keeper { index, state, contact, restarts, observer, trouble: Trouble::default() };
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => keeper.take(event),
            Err(error) => {
                keeper.contact.lose();
                let pause = keeper.trouble.report(K::RESOURCE, &error);
                sleep(pause).await;
            }
        }
    }
}

struct Keeper<K: Indexed> {
    index: Arc<Index>,
    state: Arc<State>,
    contact: Arc<Contact>,
    restarts: Counter,
    observer: Arc<dyn Observer<K>>,
    trouble: Trouble,
}

impl<K: Indexed> Keeper<K> {
    fn take(&mut self, event: Event<K>) {
        let now = now();
        if !matches!(event, Event::Init) {
            self.trouble.over(K::RESOURCE);
        }
        match event {
            Event::Init => {
                if self.state.is_synced() {
                    self.restarts.inc();
                }
                K::begin_relist(&self.index);
            }
            Event::InitApply(object) | Event::Apply(object) => {
                if object.apply(&self.index, now) {
                    self.observer.changed(&object);
                }
            }
            Event::Delete(object) => {
                self.observer.changed(&object);
                object.delete(&self.index, now);
            }
            Event::InitDone => {
                K::end_relist(&self.index, now);
                self.state.set_synced();
            }
        }
    }
}

/// Failures of a watch: how long to wait, and what to say how often.
#[derive(Default)]
struct Trouble {
    failures: u32,
    last: Option<(String, Instant)>,
}

impl Trouble {
    fn report(&mut self, resource: &str, error: &watcher::Error) -> Duration {
        let text = describe(resource, error);
        let repeated = self.last.as_ref().is_some_and(|(known, when)| *known == text && when.elapsed() < REPEAT);
        // A watch that the server ends, and 410 Gone, are the daily round and no news.
        if is_routine(error) {
            tracing::debug!(target: "plugin/kubernetes", "{text}");
        } else if !repeated {
            tracing::error!(target: "plugin/kubernetes", "{text}");
            self.last = Some((text, Instant::now()));
        }
        let pause = (PAUSE.0 * 2u32.saturating_pow(self.failures.min(10))).min(PAUSE.1);
        self.failures += 1;
        // Not all replicas at once.
        pause.mul_f64(0.5 + rand::random::<f64>() / 2.)
    }

    fn over(&mut self, resource: &str) {
        if self.last.take().is_some() {
            tracing::info!(target: "plugin/kubernetes", "{resource} are listed and watched again");
        }
        self.failures = 0;
    }
}

fn is_routine(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

fn describe(resource: &str, error: &watcher::Error) -> String {
    let (verb, source) = match error {
        watcher::Error::InitialListFailed(source) => ("list", Some(source)),
        watcher::Error::WatchStartFailed(source) | watcher::Error::WatchFailed(source) => ("watch", Some(source)),
        _ => ("watch", None),
    };
    match source {
        Some(kube::Error::Api(status)) if status.code == 403 => format!(
            "forbidden to {verb} {resource}: give the ServiceAccount `list` and `watch` on {resource} ({})",
            status.message
        ),
        Some(kube::Error::Api(status)) if status.code == 401 => {
            format!("cannot {verb} {resource}: the API server does not accept the credentials (401)")
        }
        _ => format!("cannot {verb} {resource}: {}", with_causes(error)),
    }
}

/// The error with its causes: the first alone often says only that something failed.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
