use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{
    Endpoint, Source,
    client::{Client, EtcdError, Watch},
    mirror::{Mirror, Span, State},
};
use crate::metrics::CounterFamily;

/// First and longest pause after a round in which no member was of use.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// A session that lasted so long was of use; the pause begins anew behind it.
const CALM: Duration = Duration::from_secs(30);
/// How often the same trouble is logged.
const REPEAT: Duration = Duration::from_secs(60);
/// How often a member is asked how far it is.
const EVERY: Duration = Duration::from_secs(5);
/// How many of these questions may stay without any word from it.
const SILENCE: usize = 4;
/// The most that is kept. A copy that would be longer is not taken.
const MOST: usize = 1_000_000;
/// How often leases are looked through, and how many are read then at most.
const LEASES: (Duration, usize) = (Duration::from_secs(10), 64);
/// How long new leases may gather until they are read.
const GATHER: Duration = Duration::from_millis(20);

/// Keeps the copy current. Never returns.
pub(super) async fn keep(mirror: Arc<Mirror>, source: Source, failures: CounterFamily) {
    let spans = spans(&mirror, &source);
    let mut trouble = Trouble::default();
    loop {
        for endpoint in &source.endpoints {
            let mut session = Session { mirror: &mirror, spans: &spans, endpoint, was_read: None };
            let Err(error) = session.run(&source).await;
            failures.with_label_values(&[&endpoint.to_string()]).inc();
            if session.was_read.is_some_and(|since| since.elapsed() > CALM) {
                trouble.failures = 0;
            }
            let text = format!("{endpoint}: {error}");
            trouble.tell(&text);
            mirror.state.send_if_modified(|state| {
                let is_first = *state == State::Unread && source.endpoints.last() == Some(endpoint);
                let failed = is_first || matches!(state, State::Failed(_));
                if failed {
                    *state = State::Failed(text.clone());
                }
                failed
            });
        }
        sleep(trouble.pause()).await;
    }
}

/// What is kept: the zones and what is below them, each key once.
fn spans(mirror: &Mirror, source: &Source) -> Vec<Span> {
    let outermost = source.zones.iter().filter(|zone| {
        let is_above = |other: &&crate::wire::Name| other != zone && zone.is_within(other);
        !source.zones.iter().any(|other| is_above(&other))
    });
    let mut spans: Vec<Span> = Vec::new();
    for zone in outermost {
        let key = mirror.root.of_zone(zone);
        let own = [Span::below(&key), Span::only(&key)];
        spans.extend(own.into_iter().filter(|span| !span.first.is_empty()));
    }
    spans.sort_by(|one, other| one.first.cmp(&other.first));
    spans.dedup();
    spans
}

/// One connection from its beginning to its end.
struct Session<'a> {
    mirror: &'a Mirror,
    spans: &'a [Span],
    endpoint: &'a Endpoint,
    /// Since when everything has been read in it.
    was_read: Option<Instant>,
}

impl Session<'_> {
    async fn run(&mut self, source: &Source) -> Result<Infallible, EtcdError> {
        let (client, driver) = Client::connect(self.endpoint, source).await?;
        tokio::select! {
            ended = self.follow(client) => ended,
            ended = driver => Err(ended.map_or_else(EtcdError::Lost, |()| EtcdError::Gone)),
        }
    }

    async fn follow(&mut self, mut client: Client) -> Result<Infallible, EtcdError> {
        client.authenticate().await?;
        let (revision, spans) = self.read(&client).await?;
        read_leases(self.mirror, &client).await?;
        let mut watch = client.watch(&spans, revision + 1).await?;
        self.was_read = Some(Instant::now());
        self.mirror.confirm();
        let count = self.mirror.records().by_key.len();
        tracing::info!(target: "plugin/etcd", "{count} records read from {} at revision {revision}", self.endpoint);
        self.mirror.state.send_replace(State::Read);
        tokio::select! {
            ended = follow_changes(self.mirror, &mut watch) => ended,
            ended = follow_leases(self.mirror, &mut client) => ended,
        }
    }

    /// Reads everything as of one revision: that, and the spans that may be read.
    async fn read(&self, client: &Client) -> Result<(i64, Vec<Span>), EtcdError> {
        let mut revision = 0;
        let mut readable = Vec::new();
        for span in self.spans {
            let mut rest = span.clone();
            let mut first = span.first.clone().into_bytes();
            loop {
                let page = match client.page(&first, span, revision).await {
                    // Who may read what is below a zone may not always read the zone's own key.
                    Err(error) if error.is_denial() && span.is_one() => break,
                    page => page?,
                };
                revision = if revision == 0 { page.revision } else { revision };
                let last = page.values.last().map(|value| format!("{}\0", value.key));
                let whole = page.next.is_none();
                let end = if whole { span.end.clone() } else { last.unwrap_or_else(|| rest.first.clone()) };
                let count = self.mirror.replace(&Span { end: end.clone(), ..rest.clone() }, page.values);
                bounded(count)?;
                rest.first = end;
                match page.next {
                    Some(next) => first = next,
                    None => {
                        readable.push(span.clone());
                        break;
                    }
                }
            }
        }
        Ok((revision, readable))
    }
}

fn bounded(count: usize) -> Result<(), EtcdError> {
    if count > MOST { Err(EtcdError::TooMany(MOST)) } else { Ok(()) }
}

async fn follow_changes(mirror: &Mirror, watch: &mut Watch) -> Result<Infallible, EtcdError> {
    let mut ticks = interval(EVERY);
    // Whoever was stopped for a while, as a process or with its machine, has not waited in vain.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        tokio::select! {
            watched = watch.next() => {
                let watched = watched?;
                if let Some(reason) = watched.ended {
                    return Err(EtcdError::Ended(reason));
                }
                unanswered = 0;
                mirror.confirm();
                if !watched.events.is_empty() {
                    bounded(mirror.apply(watched.events))?;
                }
            }
            _ = ticks.tick() => {
                if unanswered >= SILENCE {
                    return Err(EtcdError::Late("watch"));
                }
                unanswered += 1;
                watch.ask_progress()?;
            }
        }
    }
}

/// Reads leases when some are new, and again from time to time.
async fn follow_leases(mirror: &Mirror, client: &mut Client) -> Result<Infallible, EtcdError> {
    loop {
        _ = timeout(LEASES.0, mirror.news.notified()).await;
        sleep(GATHER).await;
        if read_leases(mirror, client).await.is_err() {
            // The token may have ended.
            client.authenticate().await?;
            read_leases(mirror, client).await?;
        }
    }
}

async fn read_leases(mirror: &Mirror, client: &Client) -> Result<(), EtcdError> {
    let due = mirror.due_leases(Instant::now(), LEASES.1);
    let left = join_all(due.iter().map(|&lease| client.seconds_left(lease))).await;
    for (lease, left) in due.into_iter().zip(left) {
        let left = match left {
            // Who may not ask for leases does without.
            Err(error) if error.is_denial() => None,
            left => left?,
        };
        mirror.note_lease(lease, Instant::now(), left);
    }
    Ok(())
}

/// Failures: how long to wait, and what to say how often.
#[derive(Default)]
struct Trouble {
    failures: u32,
    last: Option<(String, Instant)>,
}

impl Trouble {
    fn tell(&mut self, text: &str) {
        let is_known = |(known, when): &(String, Instant)| known == text && when.elapsed() < REPEAT;
        if self.last.as_ref().is_some_and(is_known) {
            tracing::debug!(target: "plugin/etcd", "{text}");
        } else {
            tracing::error!(target: "plugin/etcd", "{text}");
            self.last = Some((text.to_owned(), Instant::now()));
        }
    }

    fn pause(&mut self) -> Duration {
        let pause = (PAUSE.0 * 2u32.saturating_pow(self.failures.min(10))).min(PAUSE.1);
        self.failures += 1;
        // Not all replicas at once.
        pause.mul_f64(0.5 + rand::random::<f64>() / 2.)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{etcd::Root, wire::Name};

    #[test]
    fn each_key_is_followed_once() {
        let zones = ["a.test", "x.a.test", "b.test", "a.test"].map(|zone| Name::parse(zone).unwrap()).into();
        let source = Source { endpoints: Vec::new(), credentials: None, tls: None, root: Root::new("/skydns"), zones };
        let spans = spans(&Mirror::new(source.root.clone()), &source);
        let found: Vec<_> = spans.iter().map(|span| (span.first.as_str(), span.end.as_str())).collect();
        assert_eq!(
            found,
            [
                ("/skydns/test/a", "/skydns/test/a\0"),
                ("/skydns/test/a/", "/skydns/test/a0"),
                ("/skydns/test/b", "/skydns/test/b\0"),
                ("/skydns/test/b/", "/skydns/test/b0"),
            ]
        );
    }
}
