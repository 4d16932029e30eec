//! Corefiles as people write them: those that are wrong with the exact error, those in documents with a start.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    etcd::Etcd,
    grpc::GrpcServer,
    server::{Server, free_port, http, pause, program, subject},
    upstream::Upstream,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What the program says of a Corefile that it refuses.
fn refusal(corefile: &Path) -> (bool, String) {
    let output = Command::new(program())
        .args(["serve", "-conf"])
        .arg(corefile.file_name().expect("a file"))
        .current_dir(corefile.parent().expect("a directory"))
        .output()
        .expect("the program");
    (output.status.code() == Some(1), String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
}

/// Each `x.Corefile` in tests/corefiles/bad has its error in `x.error`. UPDATE=1 writes the errors anew.
#[test]
fn wrong_corefiles_are_refused_with_the_place() {
    let mut files: Vec<_> = fs::read_dir(root().join("tests/corefiles/bad"))
        .expect("a directory")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|end| end == "Corefile"))
        .collect();
    files.sort();
    assert!(files.len() >= 40, "only {} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let (failed, found) = refusal(&file);
        let expected = file.with_extension("error");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&expected, format!("{found}\n")).expect("a file");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if !failed || found != expected.trim_end() {
            wrong.push(format!("--- {}\nexpected:\n{expected}\nfound:\n{found}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No directive is without a table of what is wrong with it.
#[test]
fn each_directive_has_its_wrong_texts() {
    let names: Vec<String> = fs::read_dir(root().join("tests/corefiles/bad"))
        .expect("a directory")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().replace('-', "_"))
        .collect();
    for folder in fs::read_dir(root().join("src/plugins")).expect("a directory").flatten() {
        let Ok(readme) = fs::read_to_string(folder.path().join("README.md")) else { continue };
        let directive = readme.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a name");
        let is_its = |name: &&String| name.strip_prefix("words_of_").unwrap_or(name).starts_with(directive);
        assert!(names.iter().any(|name| is_its(&name)), "{directive} has no wrong text in tests/corefiles/bad");
    }
}

/// Corefile.example, as `make run` serves it, with free ports.
#[test]
fn the_example_at_the_top_serves_the_sample_cluster() {
    let text = fs::read_to_string(root().join("Corefile.example")).expect("Corefile.example");
    let ready = free_port();
    let text = text
        .replace(".:1053", ".:{port}")
        .replace("127.0.0.1:18080", &format!("127.0.0.1:{}", free_port()))
        .replace("127.0.0.1:18181", &format!("127.0.0.1:{ready}"))
        .replace("127.0.0.1:19153", &format!("127.0.0.1:{}", free_port()))
        .replace("manifests examples/cluster", &format!("manifests {}", root().join("examples/cluster").display()))
        .replace("forward . /etc/resolv.conf", "forward . 127.0.0.1:9");
    let server = Server::start(&text);
    for (question, answer) in [
        ("api.shop.svc.cluster.local A", "10.96.120.8"),
        ("web.shop.svc.cluster.local AAAA", "fd00:10:96::1219"),
        ("db-1.db.data.svc.cluster.local A", "10.244.2.21"),
        ("21.2.244.10.in-addr.arpa PTR", "db-1.db.data.svc.cluster.local."),
        ("_http._tcp.api.shop.svc.cluster.local SRV", "api.shop.svc.cluster.local."),
    ] {
        let reply = server.ask(question);
        assert!(
            reply.answer.iter().any(|record| record.ends_with(&format!(" {answer}"))),
            "{question}: {}",
            reply.text
        );
    }
    assert_eq!(http(&format!("http://127.0.0.1:{ready}/ready")), (200, "OK".to_owned()));
}

/// Every metric that a README names is there after some queries, and every metric that is there stands in a README.
#[test]
fn metrics_are_those_of_the_readmes() {
    let metrics = free_port();
    let (upstream, etcd, calls) = (Upstream::start(), Etcd::start(), GrpcServer::start());
    let server = Server::start(&format!(
        "api.test:{{port}} {{
            prometheus 127.0.0.1:{metrics}
            kubernetes cluster.test {{
                endpoint http://127.0.0.1:{}
                startup_timeout 1s
            }}
        }}
        .:{{port}} {{
            errors
            log
            autopath @kubernetes
            health 127.0.0.1:{}
            ready 127.0.0.1:{}
            kubernetes cluster.local {{
                manifests {}
            }}
            hosts {{
                192.0.2.1 a.hosts.test
                fallthrough
            }}
            template IN TXT wrong.test {{
                answer \"{{{{ .Nope }}}}\"
            }}
            template IN A wrong.test {{
                answer nonsense
            }}
            prometheus 127.0.0.1:{metrics}
            forward . {}
            cache 30
            reload
            loadbalance
            local
            shed
            siit
            proxyproto
            trace localhost:9
            dnstap /nowhere/nobody.sock
            dns64
            dnssec example.org {{
                key file {}
            }}
            acl {{
                drop type NULL
            }}
            etcd a.test {{
                endpoint http://127.0.0.1:1 {}
            }}
        }}
        grpc.test:{{port}} {{
            grpc . {}
        }}",
        free_port(),
        free_port(),
        free_port(),
        root().join("examples/cluster").display(),
        upstream.address,
        root().join("examples/keys/Kexample.org.+013+13485").display(),
        etcd.endpoint(),
        calls.address
    ));
    for question in [
        "api.shop.svc.cluster.local A +dnssec",
        "api.shop.svc.cluster.local A +tcp",
        "a.hosts.test A",
        "wrong.test A",
        "wrong.test TXT",
        "ok.test A",
        "ok.test A +tcp",
        "ok.two.test A +tcp",
        "ok.three.test A +tcp",
        "ok.grpc.test A",
        "nobody.shop.svc.cluster.local A",
    ] {
        server.ask(question);
    }
    pause(1200);
    let (_, text) = http(&format!("http://127.0.0.1:{metrics}/metrics"));
    let mut named = String::new();
    for folder in fs::read_dir(root().join("src/plugins")).expect("a directory").flatten() {
        named += &fs::read_to_string(folder.path().join("README.md")).unwrap_or_default();
    }
    named += &fs::read_to_string(root().join("docs/operations.md")).expect("docs/operations.md");
    let families =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|rest| rest.split(' ').next());
    for family in families.clone().filter(|family| !family.starts_with("process_")) {
        assert!(named.contains(family), "{family} stands in no README");
    }
    let there: Vec<&str> = families.collect();
    let words = named.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = words.filter(|word| word.starts_with("coredns_") || word.starts_with("seamark_"));
    let elsewhere = |name: &&str| ELSEWHERE.contains(name) || ENCRYPTED.iter().any(|part| name.starts_with(part));
    let missing: Vec<&str> = named.filter(|name| !elsewhere(name) && !there.contains(name)).collect();
    assert!(missing.is_empty(), "named and not there: {missing:?}\n{text}");
    let stale: Vec<&&str> = ELSEWHERE.iter().filter(|name| there.contains(*name)).collect();
    assert!(stale.is_empty(), "there after all: {stale:?}");
}

/// These need an API server that answers; tests/live.rs and tests/node_search.rs look at them.
const ELSEWHERE: [&str; 2] = ["coredns_kubernetes_dns_programming_duration_seconds", "seamark_autopath_pods_known"];

/// These need certificates; tests/encrypted.rs looks at them.
const ENCRYPTED: [&str; 5] = [
    "coredns_dns_https_responses_total",
    "coredns_dns_https3_responses_total",
    "coredns_dns_quic_responses_total",
    "seamark_listener_",
    "seamark_tls_",
];

/// The manifests of deploy/ say what the program does: ports, paths, arguments.
#[test]
fn manifests_agree_with_the_program() {
    use serde::Deserialize as _;
    let text = fs::read_to_string(root().join("deploy/cluster-dns.yaml")).expect("cluster-dns.yaml");
    let objects: Vec<serde_json::Value> = serde_yaml::Deserializer::from_str(&text)
        .map(|document| serde_json::Value::deserialize(document).expect("YAML"))
        .collect();
    let kind = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let container = &kind("Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], serde_json::json!(["-conf", "/etc/coredns/Corefile"]));
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/health");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/ready");
    assert_eq!(kind("Service")["spec"]["clusterIP"], "10.96.0.10");
    let corefile = kind("ConfigMap")["data"]["Corefile"].as_str().expect("a Corefile").to_owned();
    // The ports of the probes are the defaults of the directives; this Corefile starts with them moved only.
    let (health, ready, metrics) = (free_port(), free_port(), free_port());
    let adapted = corefile
        .replace(".:53", ".:{port}")
        .replace("health {", &format!("health 127.0.0.1:{health} {{"))
        .replace("    ready\n", &format!("    ready 127.0.0.1:{ready}\n"))
        .replace("prometheus :9153", &format!("prometheus 127.0.0.1:{metrics}"))
        .replace("pods insecure", &format!("pods insecure\n manifests {}", root().join("examples/cluster").display()))
        .replace("/etc/resolv.conf", "127.0.0.1:9");
    let server = Server::start_program(&subject(), &adapted);
    assert_eq!(server.ask("api.shop.svc.cluster.local. A").status, "NOERROR");
    for (port, path) in [(health, "health"), (ready, "ready"), (metrics, "metrics")] {
        assert_eq!(http(&format!("http://127.0.0.1:{port}/{path}")).0, 200, "{path}");
    }
}
