//! Answers that a worker gives once more without a walk: the same octets were asked a moment ago, every plugin has
//! agreed to it ([`crate::chain::Plugin::again`]), and nothing that was read for the answer has changed.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::BuildHasher as _,
    rc::Rc,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use smallvec::SmallVec;

use super::{answer::Arrival, metrics::MemoMetrics};
use crate::{
    chain::{Recurrence, Tally, Terms},
    versions::{Seen, Versions},
    wire::Repeat,
};

/// An answer may stand in any place of one row, whose tags fill a cache line.
const ROW: usize = 16;
/// Longer queries and answers take the way along the chain.
const LONGEST_QUERY: usize = 160;
const LONGEST_ANSWER: usize = 512;
/// Octets for each answer that there is room for: all together take no more than that, but for a row.
const EACH: usize = 320;
/// After so many answers the chain is walked once more, so that whoever gave it knows what is in use.
const TIMES: u8 = 200;

/// Another one in each process, so that nobody can choose queries whose hashes collide.
static HASHER: LazyLock<foldhash::quality::RandomState> = LazyLock::new(foldhash::quality::RandomState::default);

thread_local! {
    static MEMO: RefCell<Memo> = RefCell::new(Memo::new(ROW));
}

/// What is known of a query before the chain is walked.
pub(super) enum Memory {
    /// The answer stands in the buffer and has this length.
    Given(usize),
    /// It has been asked before, and its answer may be worth keeping.
    Wanted(u64),
    /// Nothing, or it is time to ask the chain.
    Nothing,
}

struct Memo {
    /// The newest site that has asked; what others have answered is forgotten.
    site: u64,
    /// The upper half of the hash of each place's query; 0 if there is none.
    tags: Box<[[u32; ROW]]>,
    places: Box<[[Option<Box<Kept>>; ROW]]>,
    extent: Extent,
    /// The tags of queries that were asked once, the last ones of each row.
    sighted: Box<[[u32; ROW]]>,
    /// Which of these goes next.
    oldest: Box<[u8]>,
    /// One for all answers that are counted in the same way.
    tallies: HashMap<Identity, Rc<Tallies>, foldhash::quality::RandomState>,
    /// Those with answers that have been given and not been counted yet.
    given: Vec<Rc<Tallies>>,
    /// When the first of these was asked for.
    start: Instant,
    seed: u32,
    /// Where its size is shown, and what was shown last.
    metrics: Option<(MemoMetrics, Extent)>,
}

/// How much is kept.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Extent {
    answers: i64,
    octets: i64,
}

struct Kept {
    sources: SmallVec<[(Arc<Versions>, Seen); 1]>,
    until: Option<Instant>,
    tallies: Rc<Tallies>,
    lane: Lane,
    aging: bool,
    shuffle: bool,
    times: u8,
    answer: Repeat,
}

/// What the plugins count of an answer.
struct Tallies {
    each: Vec<Tally>,
    waiting: Cell<Waiting>,
}

/// What has been given and not been counted yet.
#[derive(Clone, Copy, Default)]
struct Waiting {
    times: u64,
    request_octets: u64,
    response_octets: u64,
}

/// The identity of each tally.
type Identity = SmallVec<[u64; 4]>;

/// What an answer or its metrics depend on beside the query.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lane {
    listener: u16,
    stream: bool,
    ipv6: bool,
}

impl Lane {
    fn of(arrival: &Arrival<'_>) -> Self {
        Self {
            listener: arrival.listener as u16,
            stream: arrival.transport.is_stream(),
            ipv6: arrival.peer.ip().to_canonical().is_ipv6(),
        }
    }

    fn number(self) -> u32 {
        u32::from(self.listener) << 2 | u32::from(self.stream) << 1 | u32::from(self.ipv6)
    }
}

/// Makes room for so many answers on this thread; without, there is room for a few.
pub(super) fn make_room(places: usize, metrics: MemoMetrics) {
    let metrics = Some((metrics, Extent::default()));
    MEMO.set(Memo { metrics, ..Memo::new(places) });
}

/// Looks whether the answer to a message is known.
pub(super) fn recall(site: u64, arrival: &Arrival<'_>, message: &[u8], out: &mut [u8]) -> Memory {
    if message.len() > LONGEST_QUERY || message.len() < 12 {
        return Memory::Nothing;
    }
    let lane = Lane::of(arrival);
    let hash = HASHER.hash_one((&message[2..], lane.number()));
    MEMO.with_borrow_mut(|memo| memo.recall(site, arrival.now, lane, hash, message, out))
}

/// Keeps an answer that has just left.
pub(super) fn keep(site: u64, arrival: &Arrival<'_>, hash: u64, message: &[u8], answer: &[u8], mut terms: Vec<Terms>) {
    if answer.len() > LONGEST_ANSWER {
        return;
    }
    let aging = terms.iter().any(|terms| terms.aging);
    let shuffle = terms.iter().any(|terms| terms.shuffle);
    let Some(answer) = Repeat::of(message, answer, aging, shuffle) else { return };
    let tallies: Vec<Tally> = terms.iter_mut().filter_map(|terms| terms.tally.take()).collect();
    MEMO.with_borrow_mut(|memo| {
        if memo.site != site {
            return;
        }
        let kept = Kept {
            until: terms.iter().filter_map(|terms| terms.until).min(),
            aging,
            shuffle,
            tallies: memo.tallies(tallies),
            sources: terms.into_iter().filter_map(|terms| terms.source).collect(),
            lane: Lane::of(arrival),
            times: 0,
            answer,
        };
        if kept.holds() {
            memo.keep(hash, kept);
        }
    });
}

/// Counts the answers that have been given since the last time. To be called when they leave.
pub(super) fn settle() {
    MEMO.with_borrow_mut(|memo| {
        memo.show();
        if memo.given.is_empty() {
            return;
        }
        let took = memo.start.elapsed();
        for tallies in memo.given.drain(..) {
            let Waiting { times, request_octets, response_octets } = tallies.waiting.take();
            let recurrence = Recurrence { times, took, request_octets, response_octets };
            tallies.each.iter().for_each(|tally| (tally.count)(&recurrence));
        }
    });
}

impl Kept {
    /// The memory that it takes, octets.
    fn size(&self) -> usize {
        size_of::<Self>() - size_of::<Repeat>() + self.answer.size()
    }

    /// Whether nothing that was read for the answer has changed.
    fn holds(&self) -> bool {
        self.sources.iter().all(|(versions, seen)| versions.still(seen))
    }

    /// Seconds for its records, if it may be given: `Some(None)` are those that they have.
    fn ttl(&self, now: Instant) -> Option<Option<u32>> {
        let Some(until) = self.until else { return Some(None) };
        let left = until.checked_duration_since(now).filter(|left| *left > Duration::ZERO)?;
        Some(self.aging.then_some(left.as_secs() as u32 + u32::from(left.subsec_nanos() > 0)))
    }
}

const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

impl Memo {
    /// Room for so many answers, at least a row.
    fn new(places: usize) -> Self {
        let rows = (places / ROW).max(1);
        Self {
            site: 0,
            tags: vec![[0; ROW]; rows].into(),
            places: (0..rows).map(|_| [const { None }; ROW]).collect(),
            extent: Extent::default(),
            sighted: vec![[0; ROW]; rows].into(),
            oldest: vec![0; rows].into(),
            tallies: HashMap::default(),
            given: Vec::new(),
            start: Instant::now(),
            seed: rand::random(),
            metrics: None,
        }
    }

    /// Forgets what an older site has answered, with all that its answers hold on to. Says whether this is no older one
    /// itself, which still has queries after a reload.
    #[cold]
    fn turn_to(&mut self, site: u64) -> bool {
        if site < self.site {
            return false;
        }
        self.site = site;
        self.tags.fill([0; ROW]);
        self.places.iter_mut().flatten().for_each(|place| *place = None);
        self.extent = Extent::default();
        self.tallies.clear();
        true
    }

    const fn row(&self, hash: u64) -> usize {
        hash as usize % self.tags.len()
    }

    fn recall(&mut self, site: u64, now: Instant, lane: Lane, hash: u64, message: &[u8], out: &mut [u8]) -> Memory {
        if site != self.site && !self.turn_to(site) {
            return Memory::Nothing;
        }
        let (row, wanted) = (self.row(hash), tag(hash));
        let Some(at) = self.tags[row].iter().position(|&tag| tag == wanted) else {
            let sighted = &mut self.sighted[row];
            if sighted.contains(&wanted) {
                return if self.admits(row) { Memory::Wanted(hash) } else { Memory::Nothing };
            }
            let oldest = &mut self.oldest[row];
            sighted[usize::from(*oldest)] = wanted;
            *oldest = (*oldest + 1) % ROW as u8;
            return Memory::Nothing;
        };
        let Some(kept) = &mut self.places[row][at] else { return Memory::Nothing };
        let ttl = kept.ttl(now);
        if kept.lane != lane || !kept.answer.is_to(message) || ttl.is_none() || !kept.holds() {
            self.put(row, at, 0, None);
            return Memory::Wanted(hash);
        }
        kept.times += 1;
        if kept.times >= TIMES {
            kept.times = 0;
            return Memory::Nothing;
        }
        if kept.shuffle {
            self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        }
        let seed = kept.shuffle.then_some(self.seed);
        match kept.answer.write(message, ttl.flatten(), seed, out) {
            Some(length) => {
                if self.given.is_empty() {
                    self.start = now;
                }
                let mut waiting = kept.tallies.waiting.get();
                if waiting.times == 0 {
                    self.given.push(Rc::clone(&kept.tallies));
                }
                waiting.times += 1;
                waiting.request_octets += message.len() as u64;
                waiting.response_octets += length as u64;
                kept.tallies.waiting.set(waiting);
                Memory::Given(length)
            }
            None => Memory::Nothing,
        }
    }

    /// Whether one more may be kept in a row: if it is full, one in eight. With more names than there is room for, most
    /// would go before they are asked for again, and keeping costs more than a walk.
    fn admits(&mut self, row: usize) -> bool {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.tags[row].contains(&0) || self.seed >> 29 == 0
    }

    fn tallies(&mut self, each: Vec<Tally>) -> Rc<Tallies> {
        if self.tallies.len() >= self.tags.len() * ROW {
            self.tallies.retain(|_, tallies| Rc::strong_count(tallies) > 1);
        }
        let identity = each.iter().map(|tally| tally.identity).collect();
        let made = || Rc::new(Tallies { each, waiting: Cell::default() });
        Rc::clone(self.tallies.entry(identity).or_insert_with(made))
    }

    fn keep(&mut self, hash: u64, kept: Kept) {
        let (row, tag) = (self.row(hash), tag(hash));
        let tags = &self.tags[row];
        let at = tags.iter().position(|&there| there == tag).or_else(|| tags.iter().position(|&there| there == 0));
        // Any will do: whoever is asked often comes back.
        let at = at.unwrap_or((hash >> 16) as usize % ROW);
        self.put(row, at, tag, Some(Box::new(kept)));
        // Answers are longer than usual: others of the row go for it.
        for step in 1..ROW {
            if self.extent.octets as usize > self.tags.len() * ROW * EACH {
                self.put(row, (at + step) % ROW, 0, None);
            }
        }
    }

    fn put(&mut self, row: usize, at: usize, tag: u32, kept: Option<Box<Kept>>) {
        self.tags[row][at] = tag;
        let before = std::mem::replace(&mut self.places[row][at], kept);
        for (kept, sign) in [(&self.places[row][at], 1), (&before, -1)] {
            if let Some(kept) = kept {
                self.extent.answers += sign;
                self.extent.octets += sign * kept.size() as i64;
            }
        }
    }

    /// Adds what has been kept or let go since the last time to what all workers show.
    fn show(&mut self) {
        if let Some((metrics, shown)) = &mut self.metrics
            && *shown != self.extent
        {
            metrics.answers.add(self.extent.answers - shown.answers);
            metrics.octets.add(self.extent.octets - shown.octets);
            *shown = self.extent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Name, Query, Question, RData, Record, RecordType, Response, encode, encode_query};

    const LANE: Lane = Lane { listener: 0, stream: false, ipv6: false };

    fn query(name: &str) -> Vec<u8> {
        let mut out = vec![0; 300];
        let question = Question::new(Name::parse(name).unwrap(), RecordType::A);
        let length = encode_query(7, crate::wire::Flags(crate::wire::Flags::RD), &question, None, &mut out);
        out.truncate(length);
        out
    }

    fn answer(query: &[u8], addresses: u8) -> Vec<u8> {
        let parsed = Query::parse(query).unwrap();
        let address = |last| Record::of_question(30, RData::address([192, 0, 2, last].into()));
        let mut out = vec![0; 512];
        let length = encode(&parsed, &Response::answer((1..=addresses).map(address)), 512, &mut out);
        out.truncate(length);
        out
    }

    fn kept(memo: &mut Memo, query: &[u8], answer: &[u8]) -> Kept {
        Kept {
            sources: SmallVec::new(),
            until: None,
            tallies: memo.tallies(Vec::new()),
            lane: LANE,
            aging: false,
            shuffle: false,
            times: 0,
            answer: Repeat::of(query, answer, true, true).unwrap(),
        }
    }

    /// Asks once, and keeps the answer if it is wanted; says whether it came from the memo.
    fn ask(memo: &mut Memo, site: u64, now: Instant, query: &[u8], change: impl FnOnce(&mut Kept)) -> Option<Vec<u8>> {
        let hash = HASHER.hash_one((&query[2..], LANE.number()));
        let mut out = vec![0; 512];
        match memo.recall(site, now, LANE, hash, query, &mut out) {
            Memory::Given(length) => {
                out.truncate(length);
                return Some(out);
            }
            Memory::Wanted(hash) => {
                let mut kept = kept(memo, query, &answer(query, 3));
                change(&mut kept);
                memo.keep(hash, kept);
            }
            Memory::Nothing => {}
        }
        None
    }

    #[test]
    fn a_query_is_remembered_when_it_has_been_asked_twice() {
        let (mut memo, now) = (Memo::new(2048), Instant::now());
        let mut query = query("api.shop.svc.cluster.local.");
        assert!(ask(&mut memo, 1, now, &query, |_| {}).is_none(), "seen for the first time");
        assert!(ask(&mut memo, 1, now, &query, |_| {}).is_none(), "kept");
        query[..2].copy_from_slice(&[0xAB, 0xCD]);
        let given = ask(&mut memo, 1, now, &query, |_| {}).expect("from the memo");
        assert_eq!(given, answer(&query, 3), "with the id of this query");
        let mut other = query.clone();
        other[13] = b'A';
        assert!(ask(&mut memo, 1, now, &other, |_| {}).is_none(), "another spelling is another query");
    }

    #[test]
    fn a_thousand_names_are_nearly_always_remembered() {
        let (mut memo, now) = (Memo::new(2048), Instant::now());
        let queries: Vec<Vec<u8>> = (0..1000).map(|number| query(&format!("n{number}.example.org."))).collect();
        let mut given = 0;
        for _ in 0..100 {
            given += queries.iter().filter(|query| ask(&mut memo, 1, now, query, |_| {}).is_some()).count();
        }
        // Two rounds to learn them, one walk in 200, and a row or two that have more names than room.
        assert!(given > 90_000, "{given} of 100,000");
    }

    #[test]
    fn many_more_names_than_there_is_room_for_are_rarely_kept() {
        let (mut memo, now) = (Memo::new(ROW), Instant::now());
        let (mut out, mut wanted) = (vec![0; 512], 0);
        for number in 0..8_000 {
            let query = query(&format!("n{number}.example.org."));
            let hash = HASHER.hash_one((&query[2..], LANE.number()));
            for _ in 0..2 {
                if let Memory::Wanted(hash) = memo.recall(1, now, LANE, hash, &query, &mut out) {
                    let kept = kept(&mut memo, &query, &answer(&query, 1));
                    memo.keep(hash, kept);
                    wanted += 1;
                }
            }
        }
        assert!((700..1_400).contains(&wanted), "{wanted} of 8,000 names that were asked twice");
    }

    #[test]
    fn what_has_changed_is_not_given() {
        let now = Instant::now();
        let query = query("api.shop.svc.cluster.local.");
        type Change = (&'static str, fn(&Arc<Versions>, &mut Memo) -> (u64, u64));
        // What happens between the second and the third question: site that asks, seconds that have passed.
        let table: [(Change, bool); 5] = [
            (("nothing", |_, _| (1, 0)), true),
            (("a reload", |_, _| (2, 0)), false),
            (
                ("its source has changed", |versions, _| {
                    versions.advance(3);
                    (1, 0)
                }),
                false,
            ),
            (("its last second", |_, _| (1, 29)), true),
            (("its end", |_, _| (1, 30)), false),
        ];
        for ((what, change), given) in table {
            let (mut memo, versions) = (Memo::new(2048), Arc::new(Versions::new(16)));
            for _ in 0..2 {
                ask(&mut memo, 1, now, &query, |kept| {
                    let mut seen = Seen::default();
                    versions.note(3, &mut seen);
                    kept.sources.push((Arc::clone(&versions), seen));
                    kept.until = Some(now + Duration::from_secs(30));
                    kept.aging = true;
                });
            }
            let (site, later) = change(&versions, &mut memo);
            let got = ask(&mut memo, site, now + Duration::from_secs(later), &query, |_| {});
            assert_eq!(got.is_some(), given, "{what}");
            if let Some(got) = got {
                let ttls = Repeat::of(&query, &got, true, false).unwrap();
                assert_eq!(ttls.ttls().collect::<Vec<_>>(), [30 - later as u32; 3], "{what}");
            }
        }
    }

    #[test]
    fn a_new_site_lets_go_of_all_that_the_older_one_has_answered() {
        let (mut memo, now) = (Memo::new(2048), Instant::now());
        let versions = Arc::new(Versions::new(16));
        for number in 0..2_000 {
            let query = query(&format!("n{}.example.org.", number / 2));
            ask(&mut memo, 1, now, &query, |kept| kept.sources.push((Arc::clone(&versions), Seen::default())));
        }
        assert!(Arc::strong_count(&versions) > 900, "{} answers are kept", Arc::strong_count(&versions) - 1);
        let query = query("n0.example.org.");
        ask(&mut memo, 2, now, &query, |_| {});
        assert_eq!(Arc::strong_count(&versions), 1, "the test's own");
        assert!(memo.tallies.len() <= 1, "{} ways to count", memo.tallies.len());
        assert!(ask(&mut memo, 1, now, &query, |_| {}).is_none(), "a query that is late");
        assert!(ask(&mut memo, 2, now, &query, |_| {}).is_some(), "the newer site still knows its own");
    }

    #[test]
    fn long_answers_take_no_more_memory_than_there_is() {
        let (mut memo, now, most) = (Memo::new(256), Instant::now(), 256 * EACH);
        for number in 0..2_000 {
            let query = query(&format!("n{}.example.org.", number / 2));
            let hash = HASHER.hash_one((&query[2..], LANE.number()));
            if let Memory::Wanted(hash) = memo.recall(1, now, LANE, hash, &query, &mut [0; 512]) {
                let kept = kept(&mut memo, &query, &answer(&query, 25));
                memo.keep(hash, kept);
            }
        }
        let places = || memo.places.iter().flatten().flatten();
        let Extent { answers, octets } = memo.extent;
        assert_eq!(answers, places().count() as i64, "what is counted is there");
        assert_eq!(octets, places().map(|kept| kept.size() as i64).sum::<i64>());
        assert!(octets <= most as i64 + 1_200, "{octets} of {most} octets");
        assert!(places().count() > 60, "{} are kept", places().count());
    }

    #[test]
    fn addresses_come_in_another_order() {
        let (mut memo, now) = (Memo::new(2048), Instant::now());
        let query = query("headless.shop.svc.cluster.local.");
        let mut firsts = std::collections::HashSet::new();
        for _ in 0..60 {
            if let Some(got) = ask(&mut memo, 1, now, &query, |kept| kept.shuffle = true) {
                let mut sorted: Vec<u8> = got.iter().copied().rev().step_by(16).take(3).collect();
                firsts.insert(sorted[2]);
                sorted.sort_unstable();
                assert_eq!(sorted, [1, 2, 3], "all of them, once");
            }
        }
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn answers_are_counted_when_they_leave() {
        let now = Instant::now();
        let query = query("api.shop.svc.cluster.local.");
        let (counted, octets) = (Rc::new(Cell::new(0)), Rc::new(Cell::new((0, 0))));
        MEMO.with_borrow_mut(|memo| {
            for _ in 0..5 {
                let (counted, octets) = (Rc::clone(&counted), Rc::clone(&octets));
                ask(memo, 9, now, &query, |kept| {
                    let count = Box::new(move |recurrence: &Recurrence| {
                        counted.set(counted.get() + recurrence.times);
                        octets.set((recurrence.request_octets, recurrence.response_octets));
                    });
                    kept.tallies =
                        Rc::new(Tallies { each: vec![Tally { identity: 1, count }], waiting: Cell::default() });
                });
            }
        });
        assert_eq!(counted.get(), 0);
        settle();
        assert_eq!(counted.get(), 3, "the first two went along the chain");
        let length = query.len() as u64;
        assert_eq!(octets.get(), (3 * length, 3 * (length + 3 * 16)), "three addresses in each");
        settle();
        assert_eq!(counted.get(), 3);
    }
}
