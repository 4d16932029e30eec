//! Against a real API server. Run by `make e2e`, which builds the fixture and installs CoreDNS.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::support::{
    apiserver::ApiServer,
    dig::Reply,
    server::{Background as _, Server, eventually, free_port, http, pause},
    upstream::Upstream,
};

/// The kubeadm Corefile, with the kubeconfig and the ports adapted.
pub(crate) fn kubeadm(kubeconfig: &Path, upstream: &Upstream, health: u16, ready: u16, metrics: u16) -> String {
    kubeadm_towards(kubeconfig, &upstream.address.to_string(), health, ready, metrics)
}

/// The same with any upstream.
pub(crate) fn kubeadm_towards(kubeconfig: &Path, upstream: &str, health: u16, ready: u16, metrics: u16) -> String {
    format!(
        ".:{{port}} {{
    errors
    health 127.0.0.1:{health} {{
        lameduck 1s
    }}
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus 127.0.0.1:{metrics}
    forward . {} {{
        max_concurrent 1000
    }}
    cache 30 {{
        disable success cluster.local
        disable denial cluster.local
    }}
    loop
    reload 2s 0s
    loadbalance
}}
",
        kubeconfig.display(),
        upstream
    )
}

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cluster")
}

pub(crate) fn coredns() -> PathBuf {
    let path = std::env::var_os("COREDNS").map_or_else(|| PathBuf::from("coredns"), PathBuf::from);
    assert!(path.exists(), "{}: `make e2e` installs CoreDNS 1.15.0 and sets COREDNS", path.display());
    path
}

/// Every name form over the sample cluster, with every type that matters: some hundreds of questions.
fn questions() -> Vec<String> {
    let services = [
        "kubernetes.default",
        "docs.default",
        "api.default",
        "kube-dns.kube-system",
        "dashboard.kube-system",
        "api.shop",
        "web.shop",
        "front.shop",
        "mail.shop",
        "lonely.shop",
        "workers.shop",
        "db.data",
        "cache.data",
        "starting.data",
        "nobody.shop",
        "api.nowhere",
        "API.Shop",
    ];
    let left = [
        "",
        "_http._tcp.",
        "http.tcp.",
        "_dns._udp.",
        "_dns-tcp._tcp.",
        "_grpc._tcp.",
        "_jobs._tcp.",
        "_postgres._tcp.",
        "_redis._tcp.",
        "_https._tcp.",
        "_nope._tcp.",
        "_http._udp.",
        "_._.",
        "db-0.",
        "db-1.",
        "10-244-1-31.",
        "10-244-1-11.",
        "10-244-2-33.",
        "fd00-10-244-1--41.",
        "nope.",
        "a.b.c.",
    ];
    let mut names = BTreeSet::new();
    for service in services {
        for left in left {
            names.insert(format!("{left}{service}.svc.cluster.local."));
        }
    }
    let mut questions: BTreeSet<String> = BTreeSet::new();
    for name in &names {
        let kinds: &[&str] = if name.starts_with('_') || name.split('.').count() > 7 {
            &["A", "SRV"]
        } else {
            &["A", "AAAA", "SRV", "TXT", "CNAME", "MX", "PTR", "NS", "SOA", "HTTPS", "ANY"]
        };
        questions.extend(kinds.iter().map(|kind| format!("{name} {kind}")));
    }
    let others = [
        "cluster.local.",
        "svc.cluster.local.",
        "pod.cluster.local.",
        "shop.svc.cluster.local.",
        "empty.svc.cluster.local.",
        "nowhere.svc.cluster.local.",
        "shop.pod.cluster.local.",
        "nowhere.pod.cluster.local.",
        "x.cluster.local.",
        "dns-version.cluster.local.",
        "10-244-1-11.shop.pod.cluster.local.",
        "x.10-244-1-11.shop.pod.cluster.local.",
        "y.x.10-1-2-3.shop.pod.cluster.local.",
        "z.y.x.10-1-2-3.shop.pod.cluster.local.",
        "fd00--1.shop.pod.cluster.local.",
        "10-1-2.shop.pod.cluster.local.",
        "010-1-2-3.shop.pod.cluster.local.",
        "10-1-2-3.nowhere.pod.cluster.local.",
        "ClusTer.LoCal.",
        "aPi.ShOp.SvC.cLuStEr.LocaL.",
        "nObody.ShOp.SvC.cLuStEr.LocaL.",
    ];
    for name in others {
        for kind in ["A", "AAAA", "SRV", "TXT", "CNAME", "MX", "SOA", "PTR", "HTTPS"] {
            questions.insert(format!("{name} {kind}"));
        }
    }
    for reverse in [
        "8.120.96.10.in-addr.arpa.",
        "10.0.96.10.in-addr.arpa.",
        "20.1.244.10.in-addr.arpa.",
        "31.1.244.10.in-addr.arpa.",
        "33.2.244.10.in-addr.arpa.",
        "11.1.244.10.in-addr.arpa.",
        "7.100.51.198.in-addr.arpa.",
        "96.10.in-addr.arpa.",
        "9.1.2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa.",
        "1.4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa.",
    ] {
        for kind in ["PTR", "A"] {
            questions.insert(format!("{reverse} {kind}"));
        }
    }
    for outside in ["ok.test.", "nx.test.", "fail.test.", "oK.TeSt."] {
        for kind in ["A", "AAAA", "TXT"] {
            questions.insert(format!("{outside} {kind}"));
        }
    }
    questions.into_iter().collect()
}

/// Questions whose answers differ on purpose. Each is listed in docs/compatibility.md.
fn differs_on_purpose(question: &str, ours: &Reply, theirs: &Reply) -> bool {
    // "Own addresses": NS and ns.dns depend on the interfaces of the machine.
    let ns = question.ends_with(" NS");
    // "Spelling of forwarded names": ours keeps the client's, CoreDNS passes on what the first asker wrote.
    let lower = |reply: &Reply| reply.answer.iter().map(|record| record.to_lowercase()).collect::<Vec<_>>();
    let spelling = question.to_lowercase().contains("ok.test.") && lower(ours) == lower(theirs);
    // "Negative TTL": ours follows RFC 2308 and takes the SOA's MINIMUM of 20, CoreDNS the TTL of 30.
    let negative = question.contains(".test.") && theirs.answer.is_empty() && ours.status == theirs.status;
    // The same for reverse names that are passed on.
    let reverse = question.contains("arpa.") && theirs.answer.is_empty() && ours.status == theirs.status;
    ns || spelling || negative || reverse
}

#[test]
#[ignore = "make e2e"]
fn side_by_side_with_coredns() {
    let cluster = ApiServer::start();
    cluster.apply_directory(&examples());
    let upstream = Upstream::start();
    let corefile = |_: ()| kubeadm(&cluster.kubeconfig(), &upstream, free_port(), free_port(), free_port());
    let ours = Server::start(&corefile(()));
    let theirs = Server::start_program(&coredns(), &corefile(()));
    for server in [&ours, &theirs] {
        eventually("the cluster is known", Duration::from_secs(20), || {
            server.ask("db-2.db.data.svc.cluster.local. A").status == "NOERROR"
        });
    }
    let questions = questions();
    let (mut differences, mut intended) = (Vec::new(), 0);
    for question in &questions {
        for transport in ["", " +tcp"] {
            let asked = format!("{question}{transport}");
            let (a, b) = (ours.ask(&asked), theirs.ask(&asked));
            if a.normalised() == b.normalised() {
                continue;
            }
            if differs_on_purpose(question, &a, &b) {
                intended += 1;
            } else {
                differences.push(format!("--- {asked}\nours:\n{}\ntheirs:\n{}", short(&a), short(&b)));
            }
        }
    }
    let (count, different) = (questions.len(), differences.len());
    println!("{count} questions over UDP and TCP: {different} differ, {intended} differ on purpose");
    assert!(count >= 300);
    assert!(differences.is_empty(), "{different} answers differ from CoreDNS:\n{}", differences.join("\n"));
}

fn short(reply: &Reply) -> String {
    let Reply { status, flags, answer, authority, additional, .. } = reply;
    format!(
        "  {status} {}\n  answer {answer:?}\n  authority {authority:?}\n  additional {additional:?}",
        flags.join(" ")
    )
}

const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  clusterIP: 10.96.7.7
  clusterIPs: [10.96.7.7]
  ports: [{name: http, port: 80, protocol: TCP}]
";
const HEADLESS: &str = "
apiVersion: v1
kind: Service
metadata: {name: set, namespace: default}
spec:
  clusterIP: None
  clusterIPs: [None]
  ports: [{name: http, port: 80, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: set-1, namespace: default, labels: {kubernetes.io/service-name: set}}
addressType: IPv4
endpoints: [{addresses: [10.244.9.1], conditions: {ready: true}, hostname: set-0}]
ports: [{name: http, port: 80, protocol: TCP}]
";

fn seamark(cluster: &ApiServer, upstream: &Upstream) -> (Server, u16, u16) {
    let (ready, metrics) = (free_port(), free_port());
    let server = Server::start(&kubeadm(&cluster.kubeconfig(), upstream, free_port(), ready, metrics));
    (server, ready, metrics)
}

fn shows(server: &Server, question: &str, expected: &[&str]) {
    eventually(&format!("{question} gives {expected:?}"), Duration::from_secs(10), || {
        let mut found: Vec<String> = server
            .ask(question)
            .answer
            .iter()
            .map(|record| record.split(' ').next_back().unwrap_or_default().to_owned())
            .collect();
        found.sort();
        found == expected
    });
}

#[test]
#[ignore = "make e2e"]
fn changes_show_and_an_api_server_that_is_away_does_not() {
    let mut cluster = ApiServer::start();
    let upstream = Upstream::start();
    let (server, ready, metrics) = seamark(&cluster, &upstream);
    cluster.apply(WEB);
    shows(&server, "web.default.svc.cluster.local. A", &["10.96.7.7"]);
    cluster.apply(HEADLESS);
    shows(&server, "set.default.svc.cluster.local. A", &["10.244.9.1"]);
    shows(&server, "set-0.set.default.svc.cluster.local. A", &["10.244.9.1"]);
    cluster
        .apply(&HEADLESS.replace("endpoints: [", "endpoints: [{addresses: [10.244.9.2], conditions: {ready: true}}, "));
    shows(&server, "set.default.svc.cluster.local. A", &["10.244.9.1", "10.244.9.2"]);
    cluster.delete("/api/v1/namespaces/default/services/web");
    shows(&server, "web.default.svc.cluster.local. A", &[]);
    cluster.delete("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/set-1");
    shows(&server, "set.default.svc.cluster.local. A", &[]);
    cluster.apply(HEADLESS);
    shows(&server, "set.default.svc.cluster.local. A", &["10.244.9.1"]);

    cluster.kill();
    pause(1500);
    shows(&server, "set.default.svc.cluster.local. A", &["10.244.9.1"]);
    assert_eq!(http(&format!("http://127.0.0.1:{ready}/ready")).0, 200);
    cluster.restart();
    cluster.apply(WEB);
    shows(&server, "web.default.svc.cluster.local. A", &["10.96.7.7"]);
    shows(&server, "set.default.svc.cluster.local. A", &["10.244.9.1"]);

    let (_, text) = http(&format!("http://127.0.0.1:{metrics}/metrics"));
    for family in [
        "coredns_kubernetes_rest_client_requests_total{code=\"200\",host=\"127.0.0.1:",
        "coredns_kubernetes_rest_client_request_duration_seconds_bucket{",
        "coredns_kubernetes_rest_client_rate_limiter_duration_seconds_bucket{",
        "seamark_kubernetes_objects{kind=\"services\"}",
    ] {
        assert!(text.contains(family), "{family} is missing in\n{text}");
    }
}

#[test]
#[ignore = "make e2e"]
fn the_deployed_rights_suffice_and_nothing_less_does() {
    let cluster = ApiServer::start();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    cluster.apply_directory(&examples());
    cluster.apply_directory(&deploy);
    let token = cluster.token("kube-system", "coredns");
    let upstream = Upstream::start();
    let kubeconfig = cluster.kubeconfig_with(&token);
    let server = Server::start(&kubeadm(&kubeconfig, &upstream, free_port(), free_port(), free_port()));
    shows(&server, "api.shop.svc.cluster.local. A", &["10.96.120.8"]);
    drop(server);
    let forbidden = ["/api/v1/pods", "/api/v1/secrets", "/api/v1/nodes"];
    for path in forbidden {
        assert_eq!(cluster.request("GET", path, "application/json", None, &token).0, 403, "{path}");
    }
    // Without the right to one resource the log names it, and names that are not found are SERVFAIL.
    let rbac = std::fs::read_to_string(deploy.join("rbac.yaml")).expect("rbac.yaml");
    cluster.apply(&rbac.replace("endpointslices", "leases"));
    let ready = free_port();
    let corefile = kubeadm(&kubeconfig, &upstream, free_port(), ready, free_port());
    let server = Server::start(&corefile.replace("ttl 30", "ttl 30\n        startup_timeout 1s"));
    assert_eq!(server.ask("nobody.shop.svc.cluster.local. A").status, "SERVFAIL");
    assert_eq!(http(&format!("http://127.0.0.1:{ready}/ready")), (503, "kubernetes".to_owned()));
    let log = server.log();
    assert!(log.contains("list") && log.contains("endpointslices.discovery.k8s.io"), "{log}");
    cluster.apply(&rbac);
    eventually("ready", Duration::from_secs(20), || http(&format!("http://127.0.0.1:{ready}/ready")).0 == 200);
    assert_eq!(server.ask("nobody.shop.svc.cluster.local. A").status, "NXDOMAIN");
}

#[test]
#[ignore = "make e2e"]
fn no_query_is_lost_over_reloads_and_an_api_server_restart() {
    let mut cluster = ApiServer::start();
    cluster.apply_directory(&examples());
    let upstream = Upstream::start();
    let (server, ready, _) = seamark(&cluster, &upstream);
    eventually("ready", Duration::from_secs(20), || http(&format!("http://127.0.0.1:{ready}/ready")).0 == 200);
    let names = [
        "api.shop.svc.cluster.local A",
        "web.shop.svc.cluster.local AAAA",
        "db.data.svc.cluster.local SRV",
        "nobody.shop.svc.cluster.local A",
        "20.1.244.10.in-addr.arpa PTR",
        "ok.test A",
    ];
    let file = server.directory.join("queries");
    std::fs::write(&file, names.join("\n")).expect("a file");
    let corefile = std::fs::read_to_string(server.directory.join("Corefile")).expect("a Corefile");
    let disturbances: [(&str, &mut dyn FnMut()); 3] = [
        ("a changed Corefile", &mut || {
            server.rewrite(&corefile.replace("ttl 30", "ttl 20"));
            pause(3000);
            server.rewrite(&corefile);
        }),
        ("SIGUSR1", &mut || {
            for _ in 0..5 {
                server.signal("USR1");
                pause(400);
            }
        }),
        ("a restart of the API server", &mut || cluster.restart()),
    ];
    for (what, disturb) in disturbances {
        let load = Command::new("dnsperf")
            .args(["-s", "127.0.0.1", "-p", &server.port.to_string(), "-Q", "12500", "-l", "8", "-t", "3", "-d"])
            .arg(&file)
            .output_in_background();
        pause(1000);
        disturb();
        let text = load.join().expect("dnsperf");
        let number = |label: &str| {
            let line = text.lines().find(|line| line.contains(label)).unwrap_or_default();
            line.split(':').nth(1).and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok())
        };
        let (sent, lost) = (number("Queries sent"), number("Queries lost"));
        println!("{what}: {} sent, {} lost", sent.unwrap_or(0), lost.unwrap_or(0));
        assert!(sent.is_some_and(|sent| sent >= 80_000), "{what}: too few queries\n{text}");
        assert_eq!(lost, Some(0), "{what}: queries were lost\n{text}");
    }
    let log = server.log();
    assert!(log.contains("Reloading complete"), "{log}");
}
