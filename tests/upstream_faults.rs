//! Upstreams that misbehave: what the client sees, how soon, and what is counted.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::{self, FAILED, GOOD},
    dig::Reply as Seen,
    message::{Reply, query},
    nameserver::{Act, Forge, Manner, NameServer},
    server::{Server, eventually, free_port, metric, pause, resident},
};

/// What a client may wait for an answer, whatever the upstream does.
const LONGEST: Duration = Duration::from_millis(5300);

/// What comes in the place of an answer.
fn bad_messages() -> Vec<(&'static str, Arc<Forge>)> {
    fn forge(make: impl Fn(&[u8], Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Arc<Forge> {
        Arc::new(make)
    }
    let changed = |at: usize, octets: &'static [u8]| {
        forge(move |_, mut good| {
            good[at..at + octets.len()].copy_from_slice(octets);
            good
        })
    };
    // Behind the question stands one record: two octets of owner, TYPE, CLASS, TTL, RDLENGTH, four of data.
    let record = |at: usize, octets: &'static [u8]| {
        forge(move |_, mut good| {
            let start = good.len() - 16;
            good[start + at..start + at + octets.len()].copy_from_slice(octets);
            good
        })
    };
    vec![
        (
            "another-id",
            forge(|_, mut good| {
                good[0] ^= 0xFF;
                good
            }),
        ),
        ("another-name", changed(13, b"x")),
        (
            "another-type",
            forge(|_, mut good| {
                let end = good.len() - 16;
                good[end - 3] = 28;
                good
            }),
        ),
        ("no-question", changed(4, &[0, 0])),
        ("two-questions", changed(4, &[0, 2])),
        ("a-query", changed(2, &[1])),
        ("another-opcode", changed(2, &[0x91])),
        ("garbage", forge(|_, _| vec![0xFF; 40])),
        ("zeros", forge(|_, _| vec![0; 40])),
        ("one-octet", forge(|query, _| query[..1].to_vec())),
        ("half-a-header", forge(|query, _| query[..7].to_vec())),
        ("a-header-alone", forge(|_, good| good[..12].to_vec())),
        ("half-a-record", forge(|_, good| good[..good.len() - 7].to_vec())),
        ("cut-data", forge(|_, good| good[..good.len() - 1].to_vec())),
        ("more-records-announced", changed(6, &[0xFF, 0xFF])),
        ("data-beyond-the-end", record(10, &[0xFF, 0xFF])),
        (
            "owner-points-at-itself",
            forge(|_, mut good| {
                let start = good.len() - 16;
                good[start..start + 2].copy_from_slice(&[0xC0, start as u8]);
                good
            }),
        ),
        ("owner-points-forward", record(0, &[0xC0, 0xFF])),
        ("a-label-type-of-long-ago", record(0, &[0x41, 0])),
        (
            "an-address-of-three-octets",
            forge(|_, mut good| {
                good.pop();
                let length = good.len() - 4;
                good[length] = 3;
                good
            }),
        ),
        (
            "an-alias-that-points-at-itself",
            forge(|_, mut good| {
                let end = good.len();
                good[end - 13] = 5;
                good[end - 5] = 2;
                good.truncate(end - 2);
                good[end - 4..].copy_from_slice(&[0xC0, (end - 4) as u8]);
                good
            }),
        ),
    ]
}

/// A name server that does each of these, for `NAME.then-good.test.` with the right answer behind it, and for
/// `NAME.alone.test.` without.
fn misbehaving() -> NameServer {
    let upstream = NameServer::start();
    for (name, forge) in bad_messages() {
        let good = || Act::Message(Arc::new(|_, good| good));
        upstream.set(&format!("{name}.then-good.test."), Manner::both([Act::Message(Arc::clone(&forge)), good()]));
        upstream.set(&format!("{name}.alone.test."), Manner::both([Act::Message(forge)]));
    }
    upstream
}

fn forwarding(upstream: &NameServer, properties: &str) -> (Server, u16) {
    let metrics = free_port();
    let corefile = format!(
        ".:{{port}} {{\n errors\n prometheus 127.0.0.1:{metrics}\n forward . {} {{\n {properties}\n }}\n}}\n\
         local:{{port}} {{\n whoami\n}}\n",
        upstream.address
    );
    (Server::start(&corefile), metrics)
}

/// Asks all questions at once, as somebody who waits for one would not see it; gives the answers.
fn ask_all(server: &Server, questions: &[String]) -> Vec<(String, Seen)> {
    thread::scope(|scope| {
        let ask = |question: &String| (question.clone(), server.ask(question));
        let running: Vec<_> = questions.iter().map(|question| scope.spawn(move || ask(question))).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn is_clear_failure((question, reply): &(String, Seen)) -> Option<String> {
    let clear = reply.status == "SERVFAIL" && !reply.ede.is_empty() && reply.taken <= LONGEST;
    (!clear).then(|| format!("{question}:\n{}", reply.text))
}

const IGNORED: &str = "seamark_upstream_ignored_replies_total";

#[test]
fn a_bad_message_before_the_answer_is_passed_over_and_counted() {
    for transport in ["", " +tcp"] {
        let upstream = misbehaving();
        let (server, metrics) = forwarding(&upstream, "max_fails 0");
        for (count, (name, _)) in (1..).zip(bad_messages()) {
            let reply = server.ask(&format!("{name}.then-good.test. A{transport}"));
            assert_eq!(
                (reply.status.as_str(), reply.answer.len()),
                ("NOERROR", 1),
                "{name}{transport}\n{}",
                reply.text
            );
            assert!(reply.answer[0].ends_with(" A 192.0.2.53"), "{name}{transport}\n{}", reply.text);
            assert_eq!(metric(metrics, IGNORED), f64::from(count), "{name}{transport} is counted");
        }
        assert!(!server.log().contains("panic"), "{}", server.log());
    }
}

#[test]
fn bad_messages_alone_end_in_a_clear_failure() {
    let upstream = misbehaving();
    let (server, metrics) = forwarding(&upstream, "max_fails 0");
    let names = bad_messages();
    let questions: Vec<String> = ["", " +tcp"]
        .iter()
        .flat_map(|transport| names.iter().map(move |(name, _)| format!("{name}.alone.test. A{transport}")))
        .collect();
    let wrong: Vec<String> = ask_all(&server, &questions).iter().filter_map(is_clear_failure).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(metric(metrics, IGNORED) >= questions.len() as f64);
    assert_eq!(client::time(server.port, "x.local.").map(|(code, _)| code), Some(GOOD), "it goes on");
}

#[test]
fn broken_streams_end_in_the_answer_or_in_a_clear_failure() {
    let octets = |make: fn(Vec<u8>) -> Vec<u8>| -> Act { Act::Octets(Arc::new(move |_, good| make(good))) };
    let framed = |good: Vec<u8>| [&(good.len() as u16).to_be_bytes()[..], &good].concat();
    let half = |good: Vec<u8>| [&(good.len() as u16).to_be_bytes()[..], &good[..good.len() / 2]].concat();
    let good = || Act::Octets(Arc::new(move |_, good| framed(good)));
    let pieces = vec![
        octets(|good| vec![(good.len() >> 8) as u8]),
        Act::Wait(50),
        octets(|good| [&[good.len() as u8], &good[..9]].concat()),
        Act::Wait(50),
        octets(|good| good[9..].to_vec()),
    ];
    let cases: Vec<(&str, Vec<Act>, bool)> = vec![
        ("closed-at-once", vec![Act::Close], false),
        ("silence", vec![], false),
        ("half-then-closed", vec![octets(half), Act::Close], false),
        ("half-then-silence", vec![octets(half)], false),
        ("a-length-alone", vec![octets(|_| vec![0, 60])], false),
        ("one-octet-of-a-length", vec![octets(|_| vec![0]), Act::Close], false),
        ("a-message-of-no-octets", vec![octets(|_| vec![0, 0]), good()], true),
        ("in-three-pieces", pieces, true),
        ("late", vec![Act::Wait(700), good()], true),
        ("twice", vec![good(), good()], true),
        ("closed-behind-the-answer", vec![good(), Act::Close], true),
        ("half-a-second-answer", vec![good(), octets(half), Act::Close], true),
        ("a-flood-of-garbage", vec![octets(|_| vec![0xFF; 200_000]), Act::Close], false),
    ];
    let upstream = NameServer::start();
    for (name, acts, _) in &cases {
        upstream.set(&format!("{name}.test."), Manner { tcp: acts.clone(), udp: Vec::new() });
    }
    upstream.set("ok.test.", Manner::both([Act::Answer(Reply::parse("answer @ 60 A 192.0.2.53"))]));
    let (server, _) = forwarding(&upstream, "force_tcp\n max_fails 0");
    let questions: Vec<String> = cases.iter().map(|(name, ..)| format!("{name}.test. A")).collect();
    let seen = ask_all(&server, &questions);
    for (reply, (name, _, answered)) in seen.iter().zip(&cases) {
        if *answered {
            assert_eq!((reply.1.status.as_str(), reply.1.answer.len()), ("NOERROR", 1), "{name}\n{}", reply.1.text);
        } else {
            assert_eq!(is_clear_failure(reply), None, "{name}");
        }
    }
    // A kept connection that is gone by now is no reason to fail.
    for round in 0..20 {
        for name in ["closed-behind-the-answer", "ok"] {
            let (code, _) = client::time(server.port, &format!("{name}.test.")).expect("an answer");
            assert_eq!(code, GOOD, "{name}, round {round}");
        }
    }
}

#[test]
fn a_broken_connection_does_not_harm_queries_on_others() {
    let upstream = NameServer::start();
    upstream.set("stuck.test.", Manner { tcp: vec![Act::Octets(Arc::new(|_, _| vec![1]))], udp: Vec::new() });
    upstream.set("ok.test.", Manner::both([Act::Answer(Reply::parse("answer @ 60 A 192.0.2.53"))]));
    let (server, _) = forwarding(&upstream, "force_tcp\n max_fails 0");
    let stuck = client::socket(server.port, Duration::from_secs(6));
    for round in 0..8 {
        stuck.send(&query(round, "stuck.test.", "A")).expect("sent");
        pause(20);
        let (code, taken) = client::time(server.port, "ok.test.").expect("an answer");
        assert!(code == GOOD && taken < Duration::from_millis(500), "round {round}: {code} after {taken:?}");
    }
}

#[test]
fn strange_answers_that_are_answers_reach_the_client() {
    let upstream = NameServer::start();
    let reply = |text: &str| Act::Answer(Reply::parse(text));
    let many = |count: usize| (0..count).map(|n| format!("answer @ 60 A 10.0.{}.{}\n", n / 250, n % 250)).collect();
    let (some, most): (String, String) = (many(100), many(3500));
    upstream.set("two.test.", Manner::both([reply("answer @ 60 A 192.0.2.1"), reply("answer @ 60 A 192.0.2.2")]));
    upstream.set("form.test.", Manner::both([reply("FORMERR")]));
    upstream.set("cut.test.", Manner { udp: vec![reply("NOERROR tc")], tcp: vec![reply(&some)] });
    upstream.set("short.test.", Manner { udp: vec![reply("NOERROR tc")], tcp: vec![reply("answer @ 60 A 192.0.2.1")] });
    upstream.set("cut-always.test.", Manner::both([reply("NOERROR tc\nanswer @ 60 A 192.0.2.1")]));
    upstream.set("cut-and-no-tcp.test.", Manner { udp: vec![reply("NOERROR tc")], tcp: vec![] });
    upstream.set("some.test.", Manner::both([reply(&some)]));
    upstream.set("most.test.", Manner::both([reply(&most)]));
    upstream.set("late.test.", Manner::both([Act::Wait(1500), reply("answer @ 60 A 192.0.2.1")]));
    let (server, metrics) = forwarding(&upstream, "max_fails 0");
    for (question, status, cut, count) in [
        ("two.test. A", "NOERROR", false, 1),
        ("form.test. A", "FORMERR", false, 0),
        ("cut.test. A", "NOERROR", false, 100),
        ("short.test. A +ignore", "NOERROR", false, 1),
        ("cut-always.test. A +ignore", "NOERROR", true, 1),
        ("cut-and-no-tcp.test. A +ignore", "NOERROR", true, 0),
        ("some.test. A +bufsize=4096", "NOERROR", false, 100),
        ("some.test. A", "NOERROR", false, 100),
        ("most.test. A", "NOERROR", false, 3500),
        ("late.test. A", "NOERROR", false, 1),
    ] {
        let seen = server.ask(question);
        let found = (seen.status.as_str(), seen.has("tc"), seen.answer.len());
        assert_eq!(found, (status, cut, count), "{question}\n{}", &seen.text[..seen.text.len().min(2000)]);
    }
    // What does not fit into a datagram for this client is cut, whatever the upstream sent.
    let seen = server.ask("most.test. A +ignore");
    assert!(seen.has("tc") && seen.answer.len() < 80, "{}", seen.text);
    assert_eq!(metric(metrics, IGNORED), 1., "the second answer to two.test.");
}

/// 30 KiB of records that each point at one long name: a hundred times as much when decoded.
fn bomb(query: &[u8], _: Vec<u8>) -> Vec<u8> {
    let mut message = [&query[..2], &[0x81, 0x80, 0, 1], &4000u16.to_be_bytes(), &[0, 0, 0, 0], &query[12..]].concat();
    let end = 12 + query[12..].iter().position(|&octet| octet == 0).expect("a name") + 5;
    message.truncate(end);
    let long: Vec<u8> = (0..3).flat_map(|_| [&[63][..], &[b'x'; 63]].concat()).chain([0]).collect();
    message.extend([0xC0, 12, 0, 2, 0, 1, 0, 0, 0, 60, 0, long.len() as u8]);
    let at = (message.len() as u16 | 0xC000).to_be_bytes();
    message.extend(long);
    for _ in 1..4000 {
        message.extend(at);
        message.extend([0, 2, 0, 1, 0, 0, 0, 60, 0, 2]);
        message.extend(at);
    }
    message
}

#[test]
fn compression_bombs_cost_little() {
    let upstream = NameServer::start();
    upstream.set("*.bomb.test.", Manner::both([Act::Message(Arc::new(bomb))]));
    let corefile = format!(
        ".:{{port}} {{\n cache\n loadbalance\n forward . {}\n}}\nlocal:{{port}} {{\n whoami\n}}\n",
        upstream.address
    );
    let server = Server::start(&corefile);
    let before = resident(&server);
    for number in 0..40 {
        let transport = ["", "+tcp"][number % 2];
        // Somebody asks in another spelling: what is kept is still the answer.
        for name in ["n", "N"] {
            let seen = server.ask(&format!("{name}{number}.bomb.test. NS {transport} +ignore"));
            assert_eq!(seen.status, "NOERROR", "{}", &seen.text[..seen.text.len().min(2000)]);
        }
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 60 << 10, "{grown} KiB more");
}

fn answering() -> NameServer {
    let upstream = NameServer::start();
    upstream.set("*.test.", Manner::both([Act::Answer(Reply::parse("answer @ 60 A 192.0.2.53"))]));
    upstream
}

/// One that hears and says nothing, whatever is asked.
fn silent() -> NameServer {
    let upstream = NameServer::start();
    for name in ["*.test.", "*.", "."] {
        upstream.set(name, Manner::default());
    }
    upstream
}

#[test]
fn all_upstreams_down_is_said_soon_and_clearly() {
    let (mut one, mut two) = (answering(), answering());
    let server = Server::start(&format!(
        ".:{{port}} {{\n forward . {} {} {{\n health_check 100ms\n }}\n}}\n",
        one.address, two.address
    ));
    assert_eq!(client::time(server.port, "a.test.").map(|(code, _)| code), Some(GOOD));
    one.stop();
    two.stop();
    // At first nobody knows; a second later the probes have found out.
    for _ in 0..3 {
        let question = "b.test. A".to_owned();
        let seen = ask_all(&server, std::slice::from_ref(&question)).remove(0);
        assert_eq!(is_clear_failure(&seen), None);
        assert!(seen.1.taken < Duration::from_millis(900), "refused connections need no waiting: {:?}", seen.1.taken);
        pause(500);
    }
    let quiet = (silent(), silent());
    let server = Server::start(&format!(".:{{port}} {{\n forward . {} {}\n}}\n", quiet.0.address, quiet.1.address));
    let questions: Vec<String> = (0..10).map(|number| format!("n{number}.test. A")).collect();
    let wrong: Vec<String> = ask_all(&server, &questions).iter().filter_map(is_clear_failure).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_dead_upstream_costs_the_first_client_little() {
    for dead in ["closed", "silent"] {
        for policy in ["random", "round_robin"] {
            let good = answering();
            let mut bad = silent();
            let server = Server::start(&format!(
                ".:{{port}} {{\n forward . {} {} {{\n policy {policy}\n }}\n}}\n",
                bad.address, good.address
            ));
            if dead == "closed" {
                bad.stop();
            }
            for round in 0..8 {
                let (code, taken) = client::time(server.port, &format!("n{round}.test.")).expect("an answer");
                assert_eq!(code, GOOD);
                assert!(taken < Duration::from_millis(450), "{dead}, {policy}, question {round}: {taken:?}");
            }
            let asked = bad.count();
            assert!(dead == "closed" || policy == "random" || asked.udp + asked.tcp > 0, "the dead one was asked");
        }
    }
}

/// Takes the only upstream away for some time; gives how long it takes to be asked again.
fn comes_back(properties: &str, away: Duration) -> Duration {
    let mut upstream = answering();
    let server = Server::start(&format!(".:{{port}} {{\n forward . {} {{\n {properties}\n }}\n}}\n", upstream.address));
    let code = |name: &str| client::time(server.port, name).map(|(code, _)| code);
    assert_eq!(code("a.test."), Some(GOOD));
    upstream.stop();
    let start = Instant::now();
    while start.elapsed() < away {
        assert_eq!(code("b.test."), Some(FAILED));
        pause(100);
    }
    upstream.restart();
    let start = Instant::now();
    eventually("it is asked again", Duration::from_secs(5), || code("c.test.") == Some(GOOD));
    start.elapsed()
}

#[test]
fn an_upstream_that_is_back_is_asked_again() {
    let fail_fast = comes_back("health_check 100ms\n failfast_all_unhealthy_upstreams", Duration::from_secs(2));
    assert!(fail_fast < Duration::from_millis(500), "{fail_fast:?}");
    let plain = comes_back("health_check 100ms", Duration::from_secs(1));
    assert!(plain < Duration::from_millis(300), "{plain:?}");
}

#[test]
#[ignore = "make e2e"]
fn an_upstream_that_is_back_after_a_minute_is_asked_again() {
    let taken = comes_back("failfast_all_unhealthy_upstreams", Duration::from_secs(60));
    println!("asked again after {taken:?}");
    assert!(taken < Duration::from_millis(1200), "{taken:?}");
}
