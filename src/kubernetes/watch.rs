//! One loop for every kind: list, watch, list again when the server says so, for ever.

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
    runtime::watcher::{self, Event, InitialListStrategy, watcher},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    client::Contact,
    index::{Index, Indexed},
};
use crate::metrics::Counter;

/// Objects of one page of a list: with a hundred endpoints in each, some megabytes of text.
const PAGE: u32 = 100;
/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// How long a streaming list may be silent before the server is taken to know none.
const SILENCE: Duration = Duration::from_secs(10);
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
    let mut keeper = Keeper { index, state, contact, restarts, observer, trouble: Trouble::default() };
    let mut strategy = InitialListStrategy::StreamingList;
    loop {
        let config = watcher::Config {
            label_selector: scope.labels.clone(),
            field_selector: scope.fields.clone(),
            initial_list_strategy: strategy.clone(),
            page_size: Some(PAGE),
            ..watcher::Config::default()
        };
        keeper.run(Api::<K>::all(client.clone()), config, &strategy).await;
        // The server does not know streaming lists: page through from now on.
        strategy = InitialListStrategy::ListWatch;
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
    /// Runs one watcher until the server turns out not to know its way of listing.
    async fn run(&mut self, api: Api<K>, config: watcher::Config, strategy: &InitialListStrategy) {
        let streaming = *strategy == InitialListStrategy::StreamingList;
        let mut events = pin!(watcher(api, config));
        let mut listing = false;
        let mut begun = false;
        loop {
            let event = if streaming && listing {
                match timeout(SILENCE, events.next()).await {
                    Ok(event) => event,
                    // No bookmark that ends the list: a server that does not know the parameter.
                    Err(_) => return,
                }
            } else {
                events.next().await
            };
            match event {
                None => return,
                Some(Err(error)) => {
                    if streaming && refuses_streaming(&error) {
                        return;
                    }
                    self.contact.lose();
                    let pause = self.trouble.report(K::RESOURCE, &error);
                    sleep(pause).await;
                }
                Some(Ok(event)) => {
                    match &event {
                        Event::Init => {
                            listing = true;
                            if std::mem::replace(&mut begun, true) {
                                self.restarts.inc();
                            }
                        }
                        _ if listing && matches!(event, Event::InitDone) => listing = false,
                        _ => {}
                    }
                    self.take(event);
                }
            }
        }
    }

    fn take(&mut self, event: Event<K>) {
        let now = now();
        if !matches!(event, Event::Init) {
            self.trouble.over(K::RESOURCE);
        }
        match event {
            Event::Init => K::begin_relist(&self.index),
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

/// Whether an error means that streaming lists are unknown, or not allowed, there.
fn refuses_streaming(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::InitialListFailed(kube::Error::Api(status)) => status.code,
        watcher::Error::WatchError(status) => status.code,
        _ => return false,
    };
    matches!(code, 400 | 422)
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
