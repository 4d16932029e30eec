//! What is asked again and again: the same answers, counted each time, and other ones as soon as they are others.

use std::{fs, time::Duration};

use crate::support::{
    server::{Server, directory, eventually, free_port, http, metric},
    upstream::Upstream,
};

/// So often that each worker has met the query several times.
const TIMES: usize = 24;

fn service(address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: one}}\nspec:\n  clusterIP: {address}\n  \
         clusterIPs: [{address}]\n  ports: [{{name: http, port: 80}}]\n"
    )
}

#[test]
fn the_same_question_has_the_same_answer_and_is_counted() {
    let (objects, metrics, upstream) = (directory(), free_port(), Upstream::start());
    fs::write(objects.join("a.yaml"), service("10.96.0.5")).expect("a file");
    let server = Server::start(&format!(
        ".:{{port}} {{\n errors\n prometheus 127.0.0.1:{metrics}\n kubernetes cluster.local {{\n manifests {}\n }}\n cache\n \
         loadbalance\n forward . {}\n}}\n",
        objects.display(),
        upstream.address
    ));
    let counted = || {
        let (_, text) = http(&format!("http://127.0.0.1:{metrics}/metrics"));
        let hits = text.lines().filter(|line| line.starts_with("coredns_cache_hits_total{"));
        let hits: f64 = hits.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        let of = |family| metric(metrics, family);
        [
            of("coredns_dns_requests_total"),
            of("coredns_dns_responses_total"),
            of("coredns_dns_request_duration_seconds_count"),
            of("coredns_dns_response_size_bytes_count"),
            of("coredns_cache_requests_total"),
            of("coredns_cache_misses_total") + hits,
        ]
    };
    // Question, status, how it is counted: all questions, and those that hit the cache.
    for (question, status) in [
        ("web.one.svc.cluster.local. A", "NOERROR"),
        ("web.one.svc.cluster.local. AAAA", "NOERROR"),
        ("nobody.one.svc.cluster.local. A", "NXDOMAIN"),
        ("ok.test. A", "NOERROR"),
        ("web.one.svc.cluster.local. A +tcp", "NOERROR"),
        ("web.one.svc.cluster.local. A +edns=0 +dnssec", "NOERROR"),
    ] {
        let before = counted();
        let first = server.ask(question);
        assert_eq!(first.status, status, "{question}: {}", first.text);
        for _ in 1..TIMES {
            let reply = server.ask(question);
            // The TTL of what was fetched counts down.
            let without_ttl = |lines: &[String]| {
                let words = |line: &String| {
                    line.split(' ').enumerate().filter(|(at, _)| *at != 1).map(|(_, word)| word.to_owned()).collect()
                };
                lines.iter().map(words).collect::<Vec<Vec<String>>>()
            };
            assert_eq!(reply.status, first.status, "{question}");
            assert_eq!(without_ttl(&reply.answer), without_ttl(&first.answer), "{question}");
            assert_eq!(without_ttl(&reply.authority), without_ttl(&first.authority), "{question}");
            assert_eq!(reply.has("tc"), first.has("tc"), "{question}");
        }
        let after = counted();
        let more: Vec<f64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(more, [TIMES as f64; 6], "{question}");
    }
    assert_eq!(upstream.asked(), 1);
    let [answers, octets] = ["answers", "bytes"].map(|what| metric(metrics, &format!("seamark_remembered_{what}")));
    assert!(answers >= 1. && octets >= 100. * answers, "{answers} answers are kept, of {octets} octets");
    _ = fs::remove_dir_all(objects);
}

#[test]
fn a_change_shows_at_once_and_the_old_answer_never_again() {
    let objects = directory();
    fs::write(objects.join("a.yaml"), service("10.96.0.5")).expect("a file");
    let server = Server::start(&format!(
        ".:{{port}} {{\n kubernetes cluster.local {{\n manifests {}\n }}\n cache\n}}\n",
        objects.display()
    ));
    let ask = || server.ask("web.one.svc.cluster.local. A");
    let address = || ask().answer.first().and_then(|record| record.rsplit(' ').next().map(str::to_owned));
    for last in 6..9 {
        for _ in 0..TIMES {
            assert_eq!(address(), Some(format!("10.96.0.{}", last - 1)));
        }
        let next = format!("10.96.0.{last}");
        fs::write(objects.join("a.yaml"), service(&next)).expect("a file");
        eventually("the change shows", Duration::from_secs(5), || address().as_deref() == Some(&*next));
    }
    fs::remove_file(objects.join("a.yaml")).expect("removed");
    eventually("the service is gone", Duration::from_secs(5), || ask().status == "NXDOMAIN");
    for _ in 0..TIMES {
        assert_eq!(ask().status, "NXDOMAIN");
    }
    _ = fs::remove_dir_all(objects);
}
