use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{config::Prefetch, metrics::Metrics, *};
use crate::{
    cache::{AnswerCache, Bounds, Limits},
    chain::{Chain, Outcome, ZoneSet},
    metrics::Registry,
    wire::{Body, Failure, Name, Packet, Query, Question, RData, Record, RecordType, Records, Soa},
};

/// What stands behind the cache: gives its answers one after the other, the last one for ever.
struct Source {
    answers: Arc<Mutex<VecDeque<Response>>>,
    asked: Arc<AtomicUsize>,
}

impl Plugin for Source {
    fn name(&self) -> &'static str {
        "source"
    }

    fn query(&self, _: &mut Context, _: Rest<'_>) -> Step {
        self.asked.fetch_add(1, Relaxed);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        answer.unwrap().into()
    }
}

/// A cache in front of a source, and a clock.
struct Bench {
    chain: Arc<Chain>,
    asked: Arc<AtomicUsize>,
    registry: Registry,
    clock: Arc<Mutex<Instant>>,
    start: Instant,
}

#[derive(Default)]
struct Settings {
    disabled: bool,
    keep_ttl: bool,
    prefetch: Option<Prefetch>,
    stale: Option<Stale>,
    prefer_positive: bool,
}

const VERIFY: Stale = Stale {
    window: Duration::from_secs(3600),
    verify: true,
    patience: Duration::ZERO,
    ttl: Duration::from_secs(30),
    recheck: Duration::ZERO,
};

fn bench(settings: Settings, answers: impl IntoIterator<Item = Response>) -> Bench {
    let registry = Registry::new();
    let start = Instant::now();
    let clock = Arc::new(Mutex::new(start));
    let time = Arc::clone(&clock);
    let all = ZoneSet::new(vec![Name::root()]);
    let disabled = if settings.disabled { all.clone() } else { ZoneSet::default() };
    let bounds = Bounds { success: 100, denial: 100, stale: Duration::from_secs(3600) };
    let keeper = Keeper {
        zones: all,
        limits: Limits {
            success: (Duration::from_secs(5), Duration::from_secs(3600)),
            denial: (Duration::from_secs(5), Duration::from_secs(1800)),
            failure: Duration::from_secs(5),
        },
        prefetch: settings.prefetch,
        stale: settings.stale,
        prefer_positive: settings.prefer_positive,
        disabled: [disabled.clone(), disabled],
        keep_ttl: settings.keep_ttl,
        store: Arc::new(AnswerCache::new(bounds, metrics::evictions(&registry, "dns://:53", ".", ""))),
        flights: Arc::default(),
        metrics: vec![Metrics::register(&registry, "dns://:53", ".", "")],
        clock: Box::new(move || *time.lock().unwrap()),
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let source = Source { answers: Arc::new(Mutex::new(answers.into_iter().collect())), asked: Arc::clone(&asked) };
    let panics = registry.counter("panics", "-", &[]).with_label_values::<&str>(&[]);
    let chain = Arc::new(Chain::new(vec![Box::new(CachePlugin(Arc::new(keeper))), Box::new(source)], panics, false));
    Bench { chain, asked, registry, clock, start }
}

/// What a client sees, and where it comes from.
fn shown(response: &Response) -> String {
    let ttl = match &response.body {
        Body::Packet(packet) => packet.entries().first().map(|entry| packet.ttl_of(entry)),
        Body::Records(records) => records.answer.first().map(|record| record.ttl),
    };
    let stale = response.ede.as_ref().map_or_else(String::new, |ede| format!(" ede {}", ede.code));
    let from = if response.origin == Origin::Stored { "kept" } else { "new" };
    format!("{} {} {from}{stale}", response.rcode, ttl.map_or_else(|| "-".to_owned(), |ttl| ttl.to_string()))
}

impl Bench {
    /// Asks `seconds` after the start.
    async fn ask(&self, seconds: u64) -> String {
        let question = Question::new(Name::parse("www.example.org.").unwrap(), RecordType::A);
        let client = "192.0.2.1:1234".parse().unwrap();
        let now = self.start + Duration::from_secs(seconds);
        *self.clock.lock().unwrap() = now;
        let mut cx = Context::new(Query::internal(question), client, client, Transport::Udp, now);
        let response = match self.chain.walk(&mut cx) {
            Outcome::Answered(response) => response,
            Outcome::Parked(parked) => parked.finish(&mut cx).await,
            Outcome::Dropped => panic!("dropped"),
        };
        // What was spawned runs before the next question.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        shown(&response)
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }

    fn counts(&self, series: &str) -> bool {
        String::from_utf8(self.registry.render()).unwrap().lines().any(|line| line == series)
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}

fn a(ttl: u32) -> Response {
    Response::answer([Record::of_question(ttl, RData::A([192, 0, 2, 1].into()))])
}

fn denied() -> Response {
    let name = crate::wire::NameRef::from(Name::parse("ns.example.org.").unwrap());
    let soa = Soa { mname: name.clone(), rname: name, serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 20 };
    let authority = [Record::new(crate::wire::NameRef::Tail(1), 900, RData::Soa(soa))].into_iter().collect();
    let records = Records { authority, ..Records::default() };
    Response { body: Body::Records(records), ..Response::new(Rcode::NXDOMAIN) }
}

fn failed() -> Response {
    Response::failure(Rcode::SERVFAIL, Failure::Upstream("nobody there".into()))
}

#[test]
fn an_answer_is_kept_until_it_ends() {
    run(async {
        let bench = bench(Settings::default(), [a(30)]);
        assert_eq!(bench.ask(0).await, "NOERROR 30 new");
        assert_eq!(bench.ask(10).await, "NOERROR 20 kept");
        assert_eq!(bench.ask(31).await, "NOERROR 30 new");
        assert_eq!(bench.asked(), 2);
        assert!(bench.counts("coredns_cache_requests_total{server=\"dns://:53\",view=\"\",zones=\".\"} 3"));
        assert!(bench.counts("coredns_cache_misses_total{server=\"dns://:53\",view=\"\",zones=\".\"} 2"));
        let hits = "coredns_cache_hits_total{server=\"dns://:53\",type=\"success\",view=\"\",zones=\".\"} 1";
        assert!(bench.counts(hits));
    });
}

#[test]
fn denials_and_failures_are_kept_for_their_times() {
    run(async {
        let denials = bench(Settings::default(), [denied()]);
        assert_eq!(denials.ask(0).await, "NXDOMAIN 20 new");
        assert_eq!(denials.ask(19).await, "NXDOMAIN 1 kept");
        let failures = bench(Settings::default(), [failed(), a(30)]);
        assert_eq!(failures.ask(0).await, "SERVFAIL - new");
        assert_eq!(failures.ask(4).await, "SERVFAIL - kept");
        assert_eq!(failures.ask(6).await, "NOERROR 30 new");
        assert_eq!(failures.ask(6).await, "NOERROR 30 kept");
    });
}

#[test]
fn live_answers_pass_as_they_are() {
    run(async {
        let live = Response { origin: Origin::Live, ..a(3) };
        let bench = bench(Settings::default(), [live]);
        assert_eq!(bench.ask(0).await, "NOERROR 3 new");
        assert_eq!(bench.ask(1).await, "NOERROR 3 new");
    });
}

#[test]
fn disable_stops_keeping_and_still_levels_the_ttl() {
    run(async {
        let bench = bench(Settings { disabled: true, ..Settings::default() }, [a(3)]);
        assert_eq!(bench.ask(0).await, "NOERROR 5 new");
        assert_eq!(bench.ask(1).await, "NOERROR 5 new");
    });
}

#[test]
fn keepttl_does_not_age() {
    run(async {
        let bench = bench(Settings { keep_ttl: true, ..Settings::default() }, [a(30)]);
        bench.ask(0).await;
        assert_eq!(bench.ask(29).await, "NOERROR 30 kept");
        assert_eq!(bench.ask(31).await, "NOERROR 30 new");
    });
}

#[test]
fn prefetch_fetches_a_wanted_answer_before_it_ends() {
    run(async {
        let prefetch = Prefetch { amount: 2, gap: Duration::from_secs(60), percentage: 10 };
        let bench = bench(Settings { prefetch: Some(prefetch), ..Settings::default() }, [a(100)]);
        for (second, asked) in [(0, 1), (50, 1), (89, 1), (95, 2)] {
            bench.ask(second).await;
            assert_eq!(bench.asked(), asked, "after {second} seconds");
        }
        assert!(bench.counts("coredns_cache_prefetch_total{server=\"dns://:53\",view=\"\",zones=\".\"} 1"));
    });
}

#[test]
fn what_has_ended_is_given_while_the_source_fails() {
    run(async {
        let immediate = Stale { verify: false, ..VERIFY };
        let bench = bench(Settings { stale: Some(immediate), ..Settings::default() }, [a(30), failed()]);
        bench.ask(0).await;
        assert_eq!(bench.ask(31).await, "NOERROR 30 kept ede 3");
        assert_eq!(bench.ask(35).await, "NOERROR 30 kept ede 3");
        assert_eq!(bench.asked(), 2, "a pause of 5 seconds behind a failure");
        assert_eq!(bench.ask(36).await, "NOERROR 30 kept ede 3");
        assert_eq!(bench.asked(), 3);
        assert_eq!(bench.ask(5000).await, "SERVFAIL - new");
        assert!(bench.counts("coredns_cache_served_stale_total{server=\"dns://:53\",view=\"\",zones=\".\"} 3"));
    });
}

#[test]
fn what_has_ended_is_fetched_behind_the_answer() {
    run(async {
        let immediate = Stale { verify: false, ttl: Duration::ZERO, ..VERIFY };
        let bench = bench(Settings { stale: Some(immediate), ..Settings::default() }, [a(30), a(60)]);
        bench.ask(0).await;
        assert_eq!(bench.ask(31).await, "NOERROR 0 kept ede 3");
        assert_eq!(bench.ask(41).await, "NOERROR 50 kept");
    });
}

#[test]
fn verify_asks_first() {
    run(async {
        let settings = || Settings { stale: Some(VERIFY), ..Settings::default() };
        let good = bench(settings(), [a(30), a(60)]);
        good.ask(0).await;
        assert_eq!(good.ask(31).await, "NOERROR 60 new");
        let bad = bench(settings(), [a(30), failed()]);
        bad.ask(0).await;
        assert_eq!(bad.ask(31).await, "NOERROR 30 kept ede 3");
        let denial = bench(settings(), [a(30), denied()]);
        denial.ask(0).await;
        assert_eq!(denial.ask(31).await, "NXDOMAIN 20 new");
    });
}

#[test]
fn prefer_positive_holds_on_to_data() {
    run(async {
        let settings = || Settings { stale: Some(VERIFY), prefer_positive: true, ..Settings::default() };
        let denial = bench(settings(), [a(30), denied()]);
        denial.ask(0).await;
        assert_eq!(denial.ask(31).await, "NOERROR 30 kept ede 3");
        let empty = bench(settings(), [a(30), Response::new(Rcode::NOERROR), a(60)]);
        empty.ask(0).await;
        assert_eq!(empty.ask(31).await, "NOERROR 30 kept ede 3");
        assert_eq!(empty.ask(36).await, "NOERROR 60 new");
    });
}

#[test]
fn an_answer_to_another_question_is_dropped() {
    run(async {
        let other = Question::new(Name::parse("other.example.org.").unwrap(), RecordType::A);
        let bench = bench(Settings::default(), [Response::packet(Packet::of(&other, &a(30)).unwrap())]);
        bench.ask(0).await;
        bench.ask(1).await;
        assert_eq!(bench.asked(), 2);
        assert!(bench.counts("coredns_cache_drops_total{server=\"dns://:53\",view=\"\",zones=\".\"} 2"));
    });
}

#[test]
fn what_is_signed_is_kept_as_long_as_the_signature_is_valid() {
    let signed = |left: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let end = (now.as_secs() as i64 + left) as u32;
        let end = [end >> 16, end & 0xFFFF].map(|half| crate::wire::octets(half as u16)).concat();
        let data = [&[0, 1, 13, 3, 0, 0, 0, 60][..], &end, &[0; 6], b"\x03org\0", &[1; 64]].concat();
        let signature = Record::of_question(60, RData::Other(RecordType::RRSIG, data.into()));
        Response::answer([Record::of_question(60, RData::A([192, 0, 2, 1].into())), signature])
    };
    for (what, left, first, second) in [
        ("valid for long", 86_400, "NOERROR 60 new", "NOERROR 60 kept"),
        ("valid for less than the TTL", 31, "NOERROR 3x new", "NOERROR 3x kept"),
        ("ended yesterday", -86_400, "NOERROR 60 new", "NOERROR 60 new"),
    ] {
        let bench = bench(Settings::default(), [signed(left)]);
        let blurred = |text: String| text.replace(" 30 ", " 3x ").replace(" 31 ", " 3x ");
        run(async {
            assert_eq!([bench.ask(0).await, bench.ask(0).await].map(blurred), [first, second], "{what}");
        });
    }
}
