use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    config::{Prefetch, Stale},
    metrics::Metrics,
};
use crate::{
    cache::{Age, AnswerCache, Boarding, Class, Entry, Flights, Half, Kept, Key, Limits, Storable, classify},
    chain::{Context, Terms, ZoneSet},
    wire::{Body, Ede, Failure, Name, Opcode, Origin, Packet, Question, Rcode, Response},
};

/// What the directive says, and the store that it says it of.
pub(super) struct Keeper {
    pub(super) zones: ZoneSet,
    pub(super) limits: Limits,
    pub(super) prefetch: Option<Prefetch>,
    pub(super) stale: Option<Stale>,
    pub(super) prefer_positive: bool,
    /// Zones whose answers are not kept: with data, and denials.
    pub(super) disabled: [ZoneSet; 2],
    pub(super) keep_ttl: bool,
    pub(super) store: Arc<AnswerCache>,
    /// Misses that are being asked for right now.
    pub(super) flights: Arc<Flights<Response>>,
    pub(super) metrics: Vec<Metrics>,
    /// What time it is when an answer comes.
    pub(super) clock: Clock,
}

pub(super) type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// An answer of the store that may be given.
pub(super) struct Found {
    pub(super) half: Half,
    pub(super) entry: Arc<Entry>,
    pub(super) age: Age,
}

impl Keeper {
    pub(super) fn metrics(&self, cx: &Context) -> &Metrics {
        &self.metrics[usize::from(cx.place.server)]
    }

    /// Whether a query is one to keep answers of: NOTIFY, say, asks something else by the same name and type.
    pub(super) fn is_for(&self, cx: &Context) -> bool {
        cx.query.flags.opcode() == Opcode::QUERY && self.zones.contains(&cx.question().name)
    }

    /// Whether no answer for this name is ever kept (`disable` for both halves).
    pub(super) fn keeps_nothing(&self, name: &Name) -> bool {
        self.disabled.iter().all(|disabled| disabled.contains(name))
    }

    /// Joins those who ask the same right now, or is the first. What RD and the transport change is kept apart.
    pub(super) fn board(&self, cx: &Context) -> Boarding<Response> {
        let kind = u8::from(cx.transport.is_stream()) | u8::from(cx.query.flags.recursion_desired()) << 1;
        self.flights.board(&Key::of(cx.question(), &cx.query), kind)
    }

    /// The answer to somebody else's question that was equal to this one. It is kept by whoever asked.
    pub(super) fn shared_answer(&self, answer: Option<Response>, question: &Question) -> Response {
        let Some(mut response) = answer else {
            let lost = Failure::Server("the query that this one waited for was lost".into());
            return Response::failure(Rcode::SERVFAIL, lost);
        };
        if let Body::Packet(packet) = &response.body
            && let Some(storable) = classify(packet, question, &self.limits)
            && storable.class != Class::Failure
        {
            response.body = Body::Packet(packet.clone().with_ttl(seconds(storable.ttl)));
        }
        response.origin = Origin::Stored;
        response
    }

    /// The answer to give. An answer and a denial are both there only if `prefer_positive` keeps the answer, or if
    /// the denial is a failure, which gives way.
    pub(super) fn find(&self, key: &Key, now: Instant) -> Option<Found> {
        let Kept { success, denial } = self.store.find(key);
        let success = success.and_then(|entry| self.usable(Half::Success, entry, now));
        if let Some(found) = &success
            && (matches!(found.age, Age::Fresh(_)) || self.prefer_positive && found.entry.class() == Class::Success)
        {
            return success;
        }
        match denial.and_then(|entry| self.usable(Half::Denial, entry, now)) {
            Some(denial) if denial.entry.class() == Class::Failure => success.or(Some(denial)),
            Some(denial) if matches!(denial.age, Age::Fresh(_)) => Some(denial),
            denial => success.or(denial),
        }
    }

    fn usable(&self, half: Half, entry: Arc<Entry>, now: Instant) -> Option<Found> {
        let age = entry.age(now);
        let usable = match age {
            Age::Fresh(_) => true,
            // RFC 8767 section 4: a failure is no data that could be served stale.
            Age::Ended(_) if entry.class() == Class::Failure => false,
            Age::Ended(since) => self.stale.is_some_and(|stale| since < stale.window),
        };
        usable.then_some(Found { half, entry, age })
    }

    /// On which terms a hit may be given again without asking: none if hits of entries are counted.
    pub(super) fn hit_again(&self, cx: &Context) -> Option<Terms> {
        if self.prefetch.is_some() {
            return None;
        }
        let found = self.find(&Key::of(cx.question(), &cx.query), cx.start)?;
        let Age::Fresh(_) = found.age else { return None };
        Some(Terms {
            source: Some((Arc::clone(self.store.versions()), cx.seen.clone())),
            until: Some(found.entry.until()),
            aging: !self.keep_ttl,
            tally: Some(self.metrics(cx).tally(Some(found.half))),
            ..Terms::default()
        })
    }

    /// Counts a hit, and says whether it is time to fetch the answer again.
    pub(super) fn wants_prefetch(&self, found: &Found, left: Duration, now: Instant) -> bool {
        let Some(Prefetch { amount, gap, percentage }) = self.prefetch else { return false };
        if found.entry.class() == Class::Failure {
            return false;
        }
        let threshold = (found.entry.ttl().as_secs_f64() * f64::from(percentage) / 100.0).ceil();
        found.entry.hit(now, gap) >= amount && left.as_secs_f64() <= threshold
    }

    /// How long a source is left alone after a failed refresh: as long as a failure is kept, at least.
    pub(super) fn pause(&self) -> Duration {
        self.stale.map_or(Duration::ZERO, |stale| stale.recheck).max(self.limits.failure)
    }

    pub(super) fn fresh_answer(&self, found: &Found, left: Duration) -> Response {
        let ttl = if self.keep_ttl { found.entry.ttl() } else { left };
        stored(found.entry.packet(ttl))
    }

    /// An answer that has ended, with its mark (RFC 8914 sections 4.4 and 4.20).
    pub(super) fn stale_answer(&self, found: &Found, cx: &Context) -> Response {
        self.metrics(cx).stale.inc();
        let ttl = self.stale.map_or(Duration::ZERO, |stale| stale.ttl);
        let mut response = stored(found.entry.packet(ttl));
        let code = if response.rcode == Rcode::NXDOMAIN { STALE_NXDOMAIN } else { Ede::STALE_ANSWER };
        response.ede = Some(Ede::new(code, ""));
        response
    }

    /// Whether a response is to the question.
    pub(super) fn answers(&self, cx: &Context, response: &Response) -> bool {
        match &response.body {
            Body::Packet(packet) => packet.answers(cx.question()),
            Body::Records(_) => true,
        }
    }

    /// Whether what came from the source takes the place of what has ended. With `prefer_positive` only data does.
    pub(super) fn may_replace(&self, found: &Found, response: &Response) -> bool {
        !self.prefer_positive || found.half == Half::Denial || has_answers(response)
    }

    /// Keeps a response if it is one to keep, and gives its records the TTL that the cache goes by.
    pub(super) fn keep(&self, cx: &Context, response: &mut Response, earlier: Option<&Entry>) {
        let question = cx.question();
        let made = match &response.body {
            Body::Packet(packet) => Ok(packet.clone()),
            Body::Records(_) => Packet::of(question, response),
        };
        let Ok(packet) = made else { return };
        if !packet.answers(question) {
            self.metrics(cx).drops.inc();
            return;
        }
        let Some(storable) = classify(&packet, question, &self.limits).and_then(|found| signed(found, &packet)) else {
            return;
        };
        let (key, now) = (Key::of(question, &cx.query), (self.clock)());
        let disabled = &self.disabled[usize::from(storable.half == Half::Denial)];
        if !storable.ttl.is_zero() && !disabled.contains(&question.name) && !self.must_stay(&key, storable.class, now) {
            self.store.keep(&key, packet.clone(), storable, now, earlier);
            self.forget_other(&key, storable.class);
        }
        if storable.class != Class::Failure {
            // Every record leaves with the same TTL, now as later from the cache.
            response.ede = response.ede.take().or_else(|| packet.extended_error().cloned());
            response.body = Body::Packet(packet.with_ttl(seconds(storable.ttl)));
        }
    }

    /// Live data is not kept, but clients keep it no longer than other data.
    pub(super) fn cap(&self, response: &mut Response) {
        let Body::Records(records) = &mut response.body else { return };
        let most = if records.answer.is_empty() { self.limits.denial.1 } else { self.limits.success.1 };
        let most = seconds(most);
        for section in [&mut records.answer, &mut records.authority, &mut records.additional] {
            section.iter_mut().for_each(|record| record.ttl = record.ttl.min(most));
        }
    }

    /// `prefer_positive`: an answer with data does not give way to one without.
    fn must_stay(&self, key: &Key, next: Class, now: Instant) -> bool {
        self.prefer_positive
            && next == Class::Empty
            && self
                .store
                .find(key)
                .success
                .and_then(|entry| self.usable(Half::Success, entry, now))
                .is_some_and(|found| found.entry.class() == Class::Success)
    }

    /// What is newer is true: an answer ends a denial, and a denial an answer. A failure ends neither.
    fn forget_other(&self, key: &Key, class: Class) {
        match class {
            Class::Success | Class::Empty => self.store.forget(Half::Denial, key),
            Class::Denial if !self.prefer_positive => self.store.forget(Half::Success, key),
            Class::Denial | Class::Failure | Class::Other => {}
        }
    }
}

/// INFO-CODE of an NXDOMAIN that has ended (RFC 8914 section 4.20).
const STALE_NXDOMAIN: u16 = 19;

/// Data is not kept longer than its signatures are valid, and not at all if they have ended (RFC 4035 section 5.3.3).
fn signed(storable: Storable, packet: &Packet) -> Option<Storable> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let Some(left) = packet.signatures_left(now.as_secs() as u32) else { return Some(storable) };
    let left = u64::try_from(left).ok().filter(|&left| left > 0)?;
    Some(Storable { ttl: storable.ttl.min(Duration::from_secs(left)), ..storable })
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn stored(packet: Packet) -> Response {
    let ede = packet.extended_error().cloned();
    Response { origin: Origin::Stored, ede, ..Response::packet(packet) }
}

fn has_answers(response: &Response) -> bool {
    response.rcode == Rcode::NOERROR
        && match &response.body {
            Body::Packet(packet) => packet.entries().iter().any(|entry| entry.section == 0),
            Body::Records(records) => !records.answer.is_empty(),
        }
}
