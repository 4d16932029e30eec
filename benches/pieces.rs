//! What the pieces of an answer take, each alone, in this process: `cargo bench`. The cluster is as large as that of
//! `make bench`: 8,000 Services, one in ten headless, 74,400 endpoints.

use std::{
    hint::black_box,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion};
use seamark::{
    cache::{AnswerCache, Bounds, Class, Half, Key, Storable},
    chain::{Chain, Context, Outcome, Plugin, Rest, Step, Transport},
    kubernetes::{
        answer::{Answer, PodMode, Policy, answer},
        index::{Index, Indexed},
        object::{WatchedNamespace, WatchedService, WatchedSlice},
    },
    metrics::Registry,
    versions::Seen,
    wire::{Name, Packet, Query, Question, RData, Record, RecordType, Response, encode},
};
use serde::de::DeserializeOwned;

const SERVICES: usize = 8_000;
const ENDPOINTS: usize = 74_400;
const SPACES: usize = 200;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    wire(&mut criterion);
    walk(&mut criterion);
    cache(&mut criterion);
    cluster(&mut criterion);
    criterion.final_summary();
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

/// A query for an address with EDNS, as resolvers send it.
fn message(text: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    message.extend_from_slice(name(text).wire());
    message.extend_from_slice(&[0, 1, 0, 1, 0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0]);
    message
}

const SERVICE: &str = "checkout-gateway-17.payments-prod.svc.cluster.local.";

fn wire(criterion: &mut Criterion) {
    let message = message(SERVICE);
    criterion.bench_function("parse a query", |bench| bench.iter(|| Query::parse(black_box(&message))));
    let query = Query::parse(&message).expect("a query");
    let mut out = [0; 4096];
    for count in [1, 10] {
        let records = (0..count).map(|last| Record::of_question(30, RData::A([10, 96, 0, last].into())));
        let response = Response::answer(records);
        criterion.bench_function(&format!("encode {count} addresses"), |bench| {
            bench.iter(|| encode(&query, black_box(&response), 1232, &mut out));
        });
    }
}

/// A plugin that lets everything pass, or the last, which answers.
struct Link(Option<Response>);

impl Plugin for Link {
    fn name(&self) -> &'static str {
        "link"
    }

    fn query(&self, _: &mut Context, _: Rest<'_>) -> Step {
        self.0.clone().map_or(Step::Next, Step::Answer)
    }
}

fn walk(criterion: &mut Criterion) {
    let panics = Registry::new().counter("panics_total", "Panics.", &[]).with_label_values::<&str>(&[]);
    let response = Response::answer([Record::of_question(30, RData::A([10, 96, 0, 1].into()))]);
    let mut links: Vec<Box<dyn Plugin>> = (0..7).map(|_| Box::new(Link(None)) as Box<dyn Plugin>).collect();
    links.push(Box::new(Link(Some(response))));
    let chain = Arc::new(Chain::new(links, panics, true));
    let query = Query::parse(&message(SERVICE)).expect("a query");
    let address = SocketAddr::from(([127, 0, 0, 1], 53));
    let now = Instant::now();
    criterion.bench_function("walk eight plugins and back", |bench| {
        bench.iter(|| {
            let mut cx = Context::new(query.clone(), address, address, Transport::Udp, now);
            matches!(chain.walk(&mut cx), Outcome::Answered(_))
        });
    });
}

fn cache(criterion: &mut Criterion) {
    let evicted = Registry::new().counter("evicted_total", "Evictions.", &[]);
    let counter = || evicted.with_label_values::<&str>(&[]);
    let bounds = Bounds { success: 9_984, denial: 9_984, stale: Duration::ZERO };
    let cache = AnswerCache::new(bounds, [counter(), counter()]);
    let now = Instant::now();
    let storable = Storable { class: Class::Success, half: Half::Success, ttl: Duration::from_secs(3600) };
    let questions: Vec<(Question, Query)> = (0..1_000)
        .map(|number| {
            let query = Query::parse(&message(&format!("h{number}.example.org."))).expect("a query");
            (query.question.clone(), query)
        })
        .collect();
    for (question, query) in &questions {
        let response = Response::answer([Record::of_question(3600, RData::A([192, 0, 2, 1].into()))]);
        let packet = Packet::of(question, &response).expect("a packet");
        cache.keep(&Key::of(question, query), packet, storable, now, None);
    }
    let mut turn = questions.iter().cycle();
    criterion.bench_function("find one of 1,000 kept answers", |bench| {
        bench.iter(|| turn.next().map(|(question, query)| cache.find(&Key::of(question, query)).success.is_some()));
    });
}

fn decoded<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("an object")
}

fn space(number: usize) -> String {
    format!("team-{}", number % SPACES)
}

fn service(number: usize) -> WatchedService {
    let address = match number % 10 {
        3 => "None".to_owned(),
        _ => format!("10.96.{}.{}", number / 250, number % 250),
    };
    let space = space(number);
    decoded(&format!(
        r#"{{"metadata": {{"name": "service-{number}", "namespace": "{space}"}},
            "spec": {{"clusterIP": "{address}", "clusterIPs": ["{address}"], "ports": [{{"name": "http", "port": 80}}]}}}}"#
    ))
}

fn slice(number: usize, port: u16) -> WatchedSlice {
    let share = |number: usize| number * ENDPOINTS / SERVICES;
    let endpoint = |at: usize| {
        let hostname = if number % 10 == 3 { format!(r#""hostname": "pod-{at}","#) } else { String::new() };
        format!(
            r#"{{"addresses": ["10.{}.{}.{}"], {hostname} "conditions": {{"ready": true}}, "zone": "b"}}"#,
            128 + at / 62_500,
            at / 250 % 250,
            at % 250
        )
    };
    let endpoints: Vec<String> = (share(number)..share(number + 1)).map(endpoint).collect();
    let space = space(number);
    decoded(&format!(
        r#"{{"metadata": {{"name": "service-{number}-abcde", "namespace": "{space}",
              "labels": {{"kubernetes.io/service-name": "service-{number}"}}}},
            "addressType": "IPv4", "ports": [{{"name": "http", "port": {port}}}], "endpoints": [{}]}}"#,
        endpoints.join(",")
    ))
}

/// A re-list: what is there already makes no difference.
fn list<T: Indexed>(index: &Index, objects: Vec<T>) {
    T::begin_relist(index);
    for object in objects {
        object.apply(index, 1);
    }
    T::end_relist(index, 1);
}

fn cluster(criterion: &mut Criterion) {
    let index = Index::default();
    let spaces = (0..SPACES).map(|number| decoded(&format!(r#"{{"metadata": {{"name": "{}"}}}}"#, space(number))));
    list::<WatchedNamespace>(&index, spaces.collect());
    list(&index, (0..SERVICES).map(service).collect());
    let slices: Vec<WatchedSlice> = (0..SERVICES).map(|number| slice(number, 8080)).collect();
    list(&index, slices.clone());

    let zone = name("cluster.local.");
    let policy = Policy {
        ttl: 30,
        namespaces: Default::default(),
        pods: PodMode::Insecure,
        endpoint_pod_names: false,
        ignore_empty: false,
        no_endpoints: false,
        zonal: false,
        multicluster: Vec::new(),
        primary: zone,
        own_addresses: Vec::new(),
    };
    let ask = |prefix: &'static str, step: usize, first: usize, kind| -> Vec<Question> {
        let numbers = (first..SERVICES).step_by(step);
        let questions = numbers.map(|number| format!("{prefix}service-{number}.{}.svc.cluster.local.", space(number)));
        questions.map(|text| Question::new(name(&text), kind)).collect()
    };
    for (what, questions) in [
        ("look up a Service", ask("", 7, 0, RecordType::A)),
        ("look up a headless Service of nine", ask("", 10, 3, RecordType::A)),
        ("look up a port of a headless Service", ask("_http._tcp.", 10, 3, RecordType::SRV)),
        ("look up a Service that is not there", ask("no-", 7, 0, RecordType::A)),
    ] {
        let mut turn = questions.iter().cycle();
        criterion.bench_function(what, |bench| {
            bench.iter(|| {
                let mut seen = Seen::default();
                turn.next().map(|question| {
                    matches!(answer(&index, &policy, &zone, black_box(question), &mut seen), Answer::Here(_))
                })
            });
        });
    }

    let mut port = 0;
    criterion.bench_function("apply a changed slice of nine endpoints", |bench| {
        bench.iter_batched(
            || {
                port = (port + 1) % 50_000;
                slice(17, port + 1)
            },
            |slice| slice.apply(&index, 1),
            BatchSize::SmallInput,
        );
    });
    let mut group = criterion.benchmark_group("re-list");
    group.sample_size(10);
    group.bench_function("8,000 slices that are there already", |bench| {
        bench.iter_batched(|| slices.clone(), |slices| list(&index, slices), BatchSize::PerIteration);
    });
    group.finish();
}
