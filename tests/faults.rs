//! An API server that misbehaves: what a real one does not do on command.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    scripted::Scripted,
    server::{Server, eventually, free_port, http, pause},
};

fn start(api: &Scripted) -> (Server, u16) {
    let ready = free_port();
    let server = Server::start(&format!(
        ".:{{port}} {{\n errors\n ready 127.0.0.1:{ready}\n kubernetes cluster.local {{\n endpoint http://127.0.0.1:{}\n \
         startup_timeout 2s\n }}\n}}\n",
        api.port
    ));
    (server, ready)
}

fn address(server: &Server, name: &str) -> String {
    let reply = server.ask(&format!("{name}.one.svc.cluster.local. A"));
    reply.answer.first().map_or(reply.status, |record| record.rsplit(' ').next().unwrap_or_default().to_owned())
}

fn becomes(server: &Server, name: &str, expected: &str) {
    eventually(&format!("{name} becomes {expected}"), Duration::from_secs(10), || address(server, name) == expected);
}

/// How often requests of this kind were made.
fn count(api: &Scripted, what: &str) -> usize {
    api.state().requests.get(what).copied().unwrap_or(0)
}

#[test]
fn streaming_lists_are_used_where_the_server_has_them() {
    let api = Scripted::start(true);
    api.service("web", "10.96.0.1");
    let (server, _) = start(&api);
    becomes(&server, "web", "10.96.0.1");
    assert!(count(&api, "stream services") >= 1);
    assert_eq!(count(&api, "list services"), 0);
    api.service("web", "10.96.0.2");
    becomes(&server, "web", "10.96.0.2");
}

#[test]
fn lists_are_paged_where_it_has_not() {
    let api = Scripted::start(false);
    for number in 0..1200 {
        api.service(&format!("s{number:04}"), &format!("10.96.{}.{}", 1 + number / 250, number % 250));
    }
    let (server, _) = start(&api);
    becomes(&server, "s0000", "10.96.1.0");
    becomes(&server, "s1199", "10.96.5.199");
    assert_eq!(count(&api, "list services"), 1);
    assert_eq!(count(&api, "page services"), 11, "1,200 objects are twelve pages of a hundred");
    api.service("late", "10.96.9.9");
    becomes(&server, "late", "10.96.9.9");
}

#[test]
fn after_410_gone_the_difference_is_applied() {
    for streaming in [true, false] {
        let api = Scripted::start(streaming);
        api.service("stays", "10.96.0.1");
        api.service("goes", "10.96.0.2");
        let (server, _) = start(&api);
        becomes(&server, "goes", "10.96.0.2");
        // The watch never hears of this.
        api.remove("services", "one", "goes", true);
        api.state().gone = true;
        api.cut();
        becomes(&server, "goes", "NXDOMAIN");
        assert_eq!(address(&server, "stays"), "10.96.0.1");
        api.state().gone = false;
        api.service("new", "10.96.0.3");
        becomes(&server, "new", "10.96.0.3");
    }
}

#[test]
fn cut_slow_and_half_streams_lose_nothing() {
    let api = Scripted::start(true);
    api.service("web", "10.96.0.1");
    let (server, ready) = start(&api);
    becomes(&server, "web", "10.96.0.1");
    for (round, half) in [(2, false), (3, true), (4, false)] {
        api.state().half = half;
        api.cut();
        api.service("web", &format!("10.96.0.{round}"));
        becomes(&server, "web", &format!("10.96.0.{round}"));
        assert_eq!(http(&format!("http://127.0.0.1:{ready}/ready")).0, 200);
    }
    api.state().slow = true;
    api.service("web", "10.96.0.9");
    becomes(&server, "web", "10.96.0.9");
    api.remove("services", "one", "web", false);
    becomes(&server, "web", "NXDOMAIN");
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[test]
fn refusals_are_named_and_tried_again() {
    for (code, text) in [
        (403, "give the ServiceAccount `list` and `watch` on endpointslices.discovery.k8s.io"),
        (401, "401"),
        (500, "endpointslices.discovery.k8s.io"),
    ] {
        let api = Scripted::start(true);
        api.service("web", "10.96.0.1");
        api.state().refuse.insert("endpointslices".to_owned(), code);
        let (server, ready) = start(&api);
        assert_eq!(http(&format!("http://127.0.0.1:{ready}/ready")), (503, "kubernetes".to_owned()), "{code}");
        assert_eq!(address(&server, "web"), "10.96.0.1", "what is known is answered");
        assert_eq!(address(&server, "nobody"), "SERVFAIL", "what is not known may yet be");
        eventually("it is logged", Duration::from_secs(5), || server.log().contains(text));
        api.state().refuse.clear();
        eventually("ready", Duration::from_secs(10), || http(&format!("http://127.0.0.1:{ready}/ready")).0 == 200);
        assert_eq!(address(&server, "nobody"), "NXDOMAIN");
    }
}

#[test]
fn absurd_objects_from_a_watch_change_nothing_else() {
    let api = Scripted::start(true);
    api.service("web", "10.96.0.1");
    let (server, _) = start(&api);
    becomes(&server, "web", "10.96.0.1");
    api.put("services", "one", "odd", json!({"spec": {"clusterIP": "nonsense", "ports": [{"port": 99999}]}}));
    api.put("services", "", "", json!({}));
    let labels = json!({"kubernetes.io/service-name": "web"});
    let endpoints = json!([{"addresses": ["1.2.3"]}, {}, {"addresses": ["10.244.0.1"], "conditions": {}}]);
    api.put("endpointslices", "one", "x", json!({"metadata": {"labels": labels}, "endpoints": endpoints}));
    // A field of a wrong type makes one object unreadable; the watch goes on behind it.
    api.put("services", "one", "bad", json!({"spec": {"ports": "eighty"}}));
    pause(300);
    api.service("after", "10.96.0.7");
    becomes(&server, "after", "10.96.0.7");
    assert_eq!(address(&server, "web"), "10.96.0.1");
    assert_eq!(address(&server, "10-244-0-1.web"), "10.244.0.1");
}
