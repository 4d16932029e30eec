//! Follows one object by its metadata alone, to know whether what was read of it still holds. Where RBAC forbids it,
//! nothing is remembered, and every poll reads anew.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use kube::{
    Client,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::watcher::{self, Event, watcher},
};
use tokio::sync::Notify;

use super::{
    api::Thing,
    report::Report,
    trouble::Reason,
    watching::{Backoff, explain},
};

/// How long to leave it alone after a refusal. Rights may be given later.
const REFUSED: Duration = Duration::from_secs(300);

/// Which of the changes of an object matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matter {
    /// Every one.
    Any,
    /// Those of the specification: `metadata.generation`.
    Specification,
}

/// A value that was read, with the number of changes seen before.
#[derive(Debug)]
pub(super) struct Memory<T> {
    read: Option<(u64, T)>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { read: None }
    }
}

/// What is known of the object's changes.
#[derive(Debug, Default)]
pub(super) struct Follower {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The watch runs.
    live: bool,
    changes: u64,
    last: Option<String>,
}

impl Follower {
    /// The number of changes so far; `None` if the object is not watched now.
    pub(super) fn changes(&self) -> Option<u64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.live.then_some(state.changes)
    }

    /// Watches without end. `changed` is told of each change that matters.
    pub(super) async fn run(
        self: Arc<Self>,
        client: Client,
        resource: ApiResource,
        thing: Thing,
        matter: Matter,
        changed: Arc<Notify>,
        report: Arc<Report>,
    ) {
        let api = kube::Api::<PartialObjectMeta<DynamicObject>>::namespaced_with(client, &thing.namespace, &resource);
        let config = watcher::Config::default().fields(&format!("metadata.name={}", thing.name));
        let mut backoff = Backoff::default();
        loop {
            let mut events = pin!(watcher(api.clone(), config.clone()));
            let error = loop {
                let (mark, live) = match events.next().await {
                    Some(Ok(Event::Init)) => continue,
                    Some(Ok(Event::InitDone)) => {
                        backoff.reset();
                        (None, true)
                    }
                    Some(Ok(Event::InitApply(object) | Event::Apply(object))) => {
                        let meta = object.metadata;
                        let version = match matter {
                            Matter::Any => meta.resource_version.unwrap_or_default(),
                            Matter::Specification => meta.generation.unwrap_or_default().to_string(),
                        };
                        (Some(meta.uid.unwrap_or_default() + "/" + &version), false)
                    }
                    Some(Ok(Event::Delete(_))) => (Some(String::new()), false),
                    Some(Err(error)) => break Some(error),
                    None => break None,
                };
                if self.note(mark, live) {
                    changed.notify_one();
                }
            };
            self.state.lock().unwrap_or_else(PoisonError::into_inner).live = false;
            let mut pause = backoff.next();
            if let Some(trouble) = error.and_then(|error| explain(&thing, &error)) {
                if trouble.reason == Reason::Forbidden {
                    pause = REFUSED;
                    report.polling(&thing.resource, &trouble);
                } else {
                    report.trouble(&trouble);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether this is a change that matters.
    fn note(&self, mark: Option<String>, live: bool) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if live {
            state.live = true;
            // While it was not watched, anything may have happened.
            state.changes += 1;
            return false;
        }
        let news = mark.is_some() && state.last != mark;
        if news {
            state.last = mark;
            state.changes += 1;
        }
        news && state.live
    }
}

impl<T: Clone> Memory<T> {
    /// What was read, if nothing has changed since.
    pub(super) fn recall(&self, follower: &Follower) -> Option<T> {
        let (changes, value) = self.read.as_ref()?;
        (follower.changes() == Some(*changes)).then(|| value.clone())
    }

    /// Remembers what was read after so many changes.
    pub(super) fn keep(&mut self, changes: Option<u64>, value: T) {
        self.read = changes.map(|changes| (changes, value));
    }

    pub(super) fn forget(&mut self) {
        self.read = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_holds_until_something_changes() {
        let follower = Follower::default();
        let mut memory = Memory::default();
        memory.keep(follower.changes(), "never watched");
        assert_eq!(memory.recall(&follower), None);
        follower.note(Some("uid/1".to_owned()), false);
        follower.note(None, true);
        memory.keep(follower.changes(), "one");
        assert_eq!(memory.recall(&follower), Some("one"));
        assert!(!follower.note(Some("uid/1".to_owned()), false), "only the status has changed");
        assert_eq!(memory.recall(&follower), Some("one"));
        assert!(follower.note(Some("uid/2".to_owned()), false));
        assert_eq!(memory.recall(&follower), None);
        memory.keep(follower.changes(), "two");
        follower.state.lock().unwrap().live = false;
        assert_eq!(memory.recall(&follower), None, "nobody watches");
        follower.note(None, true);
        assert_eq!(memory.recall(&follower), None, "nobody has watched for a while");
    }
}
