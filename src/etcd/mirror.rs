use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound::{Excluded, Included},
    sync::{
        Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::{Notify, watch};

use super::{
    key::Root,
    lease::Lease,
    message::{Event, KeyValue},
    service::{Service, ServiceError},
};

/// A copy of what etcd holds. It stays as it is while etcd is away.
pub struct Mirror {
    pub(super) root: Root,
    records: RwLock<Records>,
    pub(super) state: watch::Sender<State>,
    /// When etcd has last said that this is all.
    confirmed: Mutex<Option<Instant>>,
    /// Unix time of the last change, which is the serial of the zones.
    serial: AtomicU32,
    /// Rings when there are leases of which nothing is known.
    pub(super) news: Notify,
}

/// How the copy is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has been asked yet.
    Unread,
    /// Nothing has ever been read, for this reason.
    Failed(String),
    /// Everything has been read once.
    Read,
}

/// The values by key, and the leases that some hang on.
#[derive(Default)]
pub(super) struct Records {
    pub(super) by_key: BTreeMap<Box<str>, Entry>,
    pub(super) leases: HashMap<i64, Lease>,
}

/// A value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// `None` if it is no service.
    pub(super) service: Option<Box<Service>>,
    /// 0 = none.
    pub(super) lease: i64,
}

/// Keys from the first one up to the last one, which is not of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: String,
    pub(super) end: String,
}

impl Span {
    /// One key.
    pub(super) fn only(key: &str) -> Self {
        Self { first: key.to_owned(), end: format!("{key}\0") }
    }

    /// All keys below one.
    pub(super) fn below(key: &str) -> Self {
        // `0` is what comes behind `/`.
        Self { first: format!("{key}/"), end: format!("{key}0") }
    }

    /// Whether it is one key alone.
    pub(super) fn is_one(&self) -> bool {
        self.end.strip_suffix('\0') == Some(&self.first)
    }
}

impl Mirror {
    pub(super) fn new(root: Root) -> Self {
        Self {
            root,
            records: RwLock::default(),
            state: watch::Sender::new(State::Unread),
            confirmed: Mutex::default(),
            serial: AtomicU32::new(unix_now()),
            news: Notify::new(),
        }
    }

    pub(super) fn records(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> RwLockWriteGuard<'_, Records> {
        self.records.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be answered, if nothing can.
    pub fn trouble(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Read => None,
            State::Unread => Some("etcd has not answered yet".to_owned()),
            State::Failed(reason) => Some(reason.clone()),
        }
    }

    /// Unix time of the last change, seconds.
    pub fn serial(&self) -> u32 {
        self.serial.load(Relaxed)
    }

    /// How long ago etcd has confirmed the copy.
    pub(super) fn age(&self) -> Option<Duration> {
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// etcd says that this is all.
    pub(super) fn confirm(&self) {
        *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// What stands in a span is this and nothing else. Gives how many records there are now in all.
    pub(super) fn replace(&self, span: &Span, values: Vec<KeyValue>) -> usize {
        // Queries wait for the writer: it has nothing to read or to think about.
        let values: Vec<Reading> = values.into_iter().map(Reading::of).collect();
        let mut records = self.writing();
        let mut changed = false;
        let known: Vec<Box<str>> = records.within(span).map(|(key, _)| key.into()).collect();
        let mut known = known.into_iter().peekable();
        // Both are in order.
        for value in values {
            while let Some(gone) = known.next_if(|known| **known < *value.key) {
                changed |= records.remove(&gone);
            }
            _ = known.next_if(|known| **known == *value.key);
            changed |= records.insert(value);
        }
        for gone in known {
            changed |= records.remove(&gone);
        }
        self.note(changed);
        records.by_key.len()
    }

    /// Something has happened. Gives how many records there are now.
    pub(super) fn apply(&self, events: Vec<Event>) -> usize {
        let events = events.into_iter().map(|event| match event {
            Event::Put(value) => Ok(Reading::of(value)),
            Event::Delete(key) => Err(key),
        });
        let events: Vec<Result<Reading, String>> = events.collect();
        let mut records = self.writing();
        let mut changed = false;
        for event in events {
            changed |= match event {
                Ok(value) => records.insert(value),
                Err(key) => records.remove(&key),
            };
        }
        self.note(changed);
        records.by_key.len()
    }

    fn note(&self, changed: bool) {
        if changed {
            self.serial.store(unix_now(), Relaxed);
            self.news.notify_one();
        }
    }

    /// Leases that should be read again, at most so many.
    pub(super) fn due_leases(&self, now: Instant, most: usize) -> Vec<i64> {
        let records = self.records();
        records.leases.iter().filter(|(_, lease)| lease.is_due(now)).map(|(id, _)| *id).take(most).collect()
    }

    /// A lease has so many seconds left.
    pub(super) fn note_lease(&self, id: i64, at: Instant, left: Option<u32>) {
        if let Some(lease) = self.writing().leases.get_mut(&id) {
            lease.note(at, left);
        }
    }
}

/// A value that has been read.
struct Reading {
    key: String,
    service: Result<Service, ServiceError>,
    lease: i64,
}

impl Reading {
    fn of(KeyValue { key, value, lease }: KeyValue) -> Self {
        Self { key, service: Service::read(&value), lease }
    }
}

impl Records {
    /// What stands in a span, in order.
    pub(super) fn within(&self, span: &Span) -> impl Iterator<Item = (&str, &Entry)> {
        let bounds = (Included(span.first.as_str()), Excluded(span.end.as_str()));
        self.by_key.range::<str, _>(bounds).map(|(key, entry)| (&**key, entry))
    }

    /// Whether that has changed anything.
    fn insert(&mut self, Reading { key, service, lease }: Reading) -> bool {
        let known = self.by_key.get(&*key);
        if let Err(error) = &service
            && known.is_none_or(|known| known.service.is_some())
        {
            tracing::warn!(target: "plugin/etcd", "{key}: {error}; it is left out");
        }
        let entry = Entry { service: service.ok().map(Box::new), lease };
        if known == Some(&entry) {
            return false;
        }
        if lease != 0 {
            self.leases.entry(lease).or_default().keys += 1;
        }
        if let Some(old) = self.by_key.insert(key.into(), entry) {
            self.release(old.lease);
        }
        true
    }

    fn remove(&mut self, key: &str) -> bool {
        let Some(old) = self.by_key.remove(key) else { return false };
        self.release(old.lease);
        true
    }

    /// One key less hangs on a lease.
    fn release(&mut self, lease: i64) {
        let Some(known) = self.leases.get_mut(&lease) else { return };
        known.keys -= 1;
        if known.keys == 0 {
            self.leases.remove(&lease);
        }
    }
}

fn unix_now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(key: &str, host: &str, lease: i64) -> KeyValue {
        KeyValue { key: key.to_owned(), value: format!(r#"{{"host":"{host}"}}"#).into_bytes(), lease }
    }

    fn keys(mirror: &Mirror) -> Vec<String> {
        mirror.records().by_key.keys().map(|key| key.to_string()).collect()
    }

    #[test]
    fn a_list_replaces_what_stands_in_its_span_and_nothing_else() {
        let mirror = Mirror::new(Root::new("r"));
        mirror.apply(
            ["/r/a/1", "/r/b", "/r/b/1", "/r/b/3", "/r/b/5", "/r/b-1", "/r/c"]
                .map(|key| Event::Put(value(key, "::1", 0)))
                .into(),
        );
        let count = mirror.replace(&Span::below("/r/b"), vec![value("/r/b/2", "::1", 0), value("/r/b/3", "::2", 7)]);
        assert_eq!(keys(&mirror), ["/r/a/1", "/r/b", "/r/b-1", "/r/b/2", "/r/b/3", "/r/c"]);
        assert_eq!(count, 6);
        mirror.replace(&Span::only("/r/b"), Vec::new());
        assert_eq!(keys(&mirror), ["/r/a/1", "/r/b-1", "/r/b/2", "/r/b/3", "/r/c"]);
    }

    #[test]
    fn leases_are_known_as_long_as_keys_hang_on_them() {
        let mirror = Mirror::new(Root::new("r"));
        let now = Instant::now();
        mirror.apply(vec![Event::Put(value("/r/a", "::1", 7)), Event::Put(value("/r/b", "::1", 7))]);
        assert_eq!(mirror.due_leases(now, 10), [7]);
        mirror.note_lease(7, now, Some(60));
        assert!(mirror.due_leases(now, 10).is_empty());
        mirror.apply(vec![Event::Put(value("/r/a", "::1", 0)), Event::Put(value("/r/a", "::1", 0))]);
        assert_eq!(mirror.records().leases[&7].keys, 1);
        mirror.apply(vec![Event::Delete("/r/b".to_owned()), Event::Delete("/r/b".to_owned())]);
        assert!(mirror.records().leases.is_empty());
    }
}
