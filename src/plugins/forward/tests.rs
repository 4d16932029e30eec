use std::time::Instant;

use super::{
    config::Options,
    metrics::{MemberMetrics, Metrics},
    proxy::Member,
    *,
};
use crate::{
    chain::{Chain, Outcome, Transport},
    metrics::Registry,
    upstream::Upstream,
    wire::{Ede, Packet, Query, RData, Record, RecordType},
};

/// A line with one upstream that nobody asks.
fn line(from: &str, except: &[&str], options: Options, registry: &Registry) -> Forward {
    let address = "192.0.2.1:53".parse().unwrap();
    let runtime = tokio::runtime::Handle::current();
    let member = Member {
        upstream: Upstream::new(address, &options.connecting, runtime, registry),
        metrics: MemberMetrics::register(registry, address),
    };
    Forward {
        from: name(from),
        except: ZoneSet::new(except.iter().map(|zone| name(zone)).collect()),
        proxy: Arc::new(Proxy::new(
            vec![Arc::new(member)],
            options,
            Metrics::register(registry),
            (Name::root(), Arc::default()),
        )),
        under_way: Arc::default(),
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn question(text: &str) -> Question {
    Question::new(name(text), RecordType::A)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}

/// What becomes of a query before anybody is asked: `next`, `waits`, or the response code.
async fn outcome(chain: &Arc<Chain>, name: &str) -> String {
    let client = "192.0.2.9:1234".parse().unwrap();
    let mut cx = Context::new(Query::internal(question(name)), client, client, Transport::Udp, Instant::now());
    match chain.walk(&mut cx) {
        Outcome::Answered(response) if response.plugin.is_empty() => "next".to_owned(),
        Outcome::Answered(response) => response.rcode.to_string(),
        Outcome::Parked(_) => "waits".to_owned(),
        Outcome::Dropped => "dropped".to_owned(),
    }
}

fn chain(lines: Vec<Forward>, registry: &Registry) -> Arc<Chain> {
    let panics = registry.counter("panics", "-", &[]).with_label_values::<&str>(&[]);
    Arc::new(Chain::new(
        vec![Box::new(Forwarding { lines: lines.into(), departures: Arc::default(), watchers: Arc::new([]) })],
        panics,
        false,
    ))
}

#[test]
fn names_go_to_the_first_line_that_takes_them() {
    run(async {
        let registry = Registry::new();
        let lines = [
            line("example.org", &["internal.example.org"], Options::default(), &registry),
            line("org", &[], Options::default(), &registry),
        ];
        for (asked, taken_by) in [
            ("www.example.org", Some(0)),
            ("WWW.Example.ORG", Some(0)),
            ("www.internal.example.org", Some(1)),
            ("other.org", Some(1)),
            ("example.net", None),
        ] {
            assert_eq!(taker(&lines, &question(asked), 0), taken_by, "{asked}");
        }
        let only = [line("example.org", &["example.org"], Options::default(), &registry)];
        assert_eq!(taker(&only, &question("example.org"), 0), Some(0), "FROM itself is never excepted");
        assert_eq!(taker(&only, &question("www.example.org"), 0), None);
        let chain = chain(only.into(), &registry);
        assert_eq!(outcome(&chain, "example.org").await, "waits");
        assert_eq!(outcome(&chain, "www.example.org").await, "next");
    });
}

#[test]
fn too_many_queries_at_once_are_refused() {
    run(async {
        let registry = Registry::new();
        let limited = line(".", &[], Options { max_concurrent: 2, ..Options::default() }, &registry);
        let places = [limited.enter(), limited.enter()];
        assert!(places.iter().all(Option::is_some));
        assert!(limited.enter().is_none());
        let refusal = limited.refuse();
        assert_eq!(refusal.rcode, Rcode::REFUSED);
        assert_eq!(refusal.cause.unwrap().to_string(), "concurrent queries exceeded maximum 2");
        drop(places);
        assert!(limited.enter().is_some());
    });
}

#[test]
fn nobody_is_asked_if_all_are_down_and_the_line_says_so() {
    run(async {
        let registry = Registry::new();
        let line = line(".", &[], Options { fail_fast: true, ..Options::default() }, &registry);
        for _ in 0..3 {
            line.proxy.members()[0].upstream.health.probe_failed();
        }
        let ask = Arc::new(Ask { question: question("example.org"), flags: crate::wire::Flags(0), edns: None });
        let response = line.proxy.ask(&ask, Transport::Udp, None).await;
        assert_eq!(response.rcode, Rcode::SERVFAIL);
        assert_eq!(response.ede.unwrap().code, Ede::NO_REACHABLE_AUTHORITY);
    });
}

#[test]
fn next_goes_by_the_response_code_and_by_missing_data() {
    run(async {
        let registry = Registry::new();
        let asked = question("example.org");
        let reply = |response: &Response| Response::packet(Packet::of(&asked, response).unwrap());
        let with_data = reply(&Response::answer([Record::of_question(5, RData::A([192, 0, 2, 1].into()))]));
        let empty = reply(&Response::new(Rcode::NOERROR));
        let denied = reply(&Response::new(Rcode::NXDOMAIN));
        let failed = Response::failure(Rcode::SERVFAIL, Failure::Upstream("i/o timeout".into()));
        let line = |next: &[Rcode], next_on_nodata| {
            line(".", &[], Options { next: next.to_vec(), next_on_nodata, ..Options::default() }, &registry)
        };
        for (next, on_nodata, expected) in [
            (&[][..], false, [false, false, false, false]),
            (&[Rcode::NXDOMAIN, Rcode::SERVFAIL], false, [false, false, true, false]),
            (&[], true, [false, true, false, false]),
        ] {
            let line = line(next, on_nodata);
            let handed_on = [&with_data, &empty, &denied, &failed].map(|response| line.hands_on(response));
            assert_eq!(handed_on, expected, "next {next:?}, next_on_nodata {on_nodata}");
        }
    });
}
