//! The Corefiles that distributions ship: each starts, answers, and passes `seamark check`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    server::{Server, directory, eventually, free_port, http, program},
    upstream::Upstream,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Name and text of each file.
fn corefiles() -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(root().join("tests/corefiles/stock"))
        .expect("a directory")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|end| end == "Corefile"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a Corefile"))
        })
        .collect();
    found.sort();
    found
}

/// A Corefile in its place: the ports, files and servers that this machine has instead of a cluster's.
struct Fitted {
    corefile: String,
    ready: u16,
    metrics: u16,
}

fn fit(text: &str, mounts: &Path, upstream: &Upstream) -> Fitted {
    let (health, ready, metrics) = (free_port(), free_port(), free_port());
    let cluster = root().join("examples/cluster");
    let line = |line: &str| -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let moved = |name: &str, port: u16| {
            let block = if line.ends_with('{') { " {" } else { "" };
            format!("{name} 127.0.0.1:{port}{block}")
        };
        match words.as_slice() {
            [key, "{"] if !line.starts_with(' ') => {
                format!("{}:{{port}} {{", key.rsplit_once(':').expect("a port").0)
            }
            ["health", ..] => moved("health", health),
            ["ready", ..] => moved("ready", ready),
            ["prometheus", ..] => moved("prometheus", metrics),
            ["kubernetes", .., "{"] => format!("{line}\nmanifests {}", cluster.display()),
            ["forward", ".", .., "{"] => format!("forward . {} {{", upstream.address),
            ["forward", "."] => panic!("nobody to ask"),
            ["forward", ".", ..] => format!("forward . {}", upstream.address),
            _ => line.replace("/etc/coredns", &mounts.display().to_string()),
        }
    };
    let corefile = text.lines().map(line).collect::<Vec<_>>().join("\n");
    Fitted { corefile, ready, metrics }
}

/// What is mounted beside the Corefile: node names of k3s, and custom files that say nothing, as Gardener puts them there.
fn mounts() -> PathBuf {
    let mounts = directory();
    fs::write(mounts.join("NodeHosts"), "192.0.2.10 node-1\n").expect("a file");
    fs::create_dir_all(mounts.join("custom")).expect("a directory");
    for name in ["changeme.override", "changeme.server"] {
        fs::write(mounts.join("custom").join(name), "# see the documentation\n").expect("a file");
    }
    mounts
}

#[test]
fn each_starts_and_answers() {
    let mounts = mounts();
    let upstream = Upstream::start();
    let files = corefiles();
    assert_eq!(files.len(), 14);
    for (name, text) in files {
        let fitted = fit(&text, &mounts, &upstream);
        let server = Server::start(&fitted.corefile);
        for (question, answer) in [
            ("api.shop.svc.cluster.local A", Some("A 10.96.120.8")),
            ("ok.example.org A", Some("A 192.0.2.53")),
            ("8.120.96.10.in-addr.arpa PTR", Some("PTR api.shop.svc.cluster.local.")),
            ("_http._tcp.api.shop.svc.cluster.local SRV", Some("api.shop.svc.cluster.local.")),
            // The upstream knows no names of addresses, and says so; the cluster would have said NXDOMAIN.
            ("1.2.0.192.in-addr.arpa PTR", None),
        ] {
            let reply = server.ask(question);
            assert_eq!(reply.status, "NOERROR", "{name}: {question}: {}", reply.text);
            let found = answer.is_none_or(|answer| reply.answer.iter().any(|record| record.ends_with(answer)));
            assert!(found, "{name}: {question}: {}", reply.text);
        }
        assert_eq!(server.ask("nothing.shop.svc.cluster.local A").status, "NXDOMAIN", "{name}");
        eventually("it is ready", std::time::Duration::from_secs(5), || {
            http(&format!("http://127.0.0.1:{}/ready", fitted.ready)) == (200, "OK".to_owned())
        });
        assert_eq!(http(&format!("http://127.0.0.1:{}/metrics", fitted.metrics)).0, 200, "{name}");
        own_ways(&name, &server);
    }
    _ = fs::remove_dir_all(mounts);
}

/// What only this distribution's file does.
fn own_ways(name: &str, server: &Server) {
    let answer = |question: &str| server.ask(question).answer.join(" ");
    match name {
        "aks" => assert_eq!(server.ask("x.reddog.microsoft.com A").status, "NXDOMAIN"),
        "minikube" => assert!(answer("host.minikube.internal A").ends_with("A 192.168.49.1")),
        "k3s" => assert!(answer("node-1 A").ends_with("A 192.0.2.10")),
        "openshift" => assert!(answer("hostname.bind TXT -c CH").contains("TXT")),
        "gardener" => {
            let found = answer("api.shop.svc.cluster.local.svc.cluster.local A");
            assert!(found.starts_with("api.shop.svc.cluster.local.svc.cluster.local. "), "{found}");
        }
        _ => {}
    }
}

/// As an operator would look at them, without what is mounted beside them.
#[test]
fn each_passes_check() {
    let missing =
        |line: u32, column: u32, pattern: &str| format!("{line}:{column}: warning: no file matches `{pattern}`");
    for (name, _) in corefiles() {
        let file = format!("{name}.Corefile");
        let output = Command::new(program())
            .args(["check", &file])
            .current_dir(root().join("tests/corefiles/stock"))
            .output()
            .expect("the program");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = match name.as_str() {
            "k3s" => {
                vec![missing(19, 12, "/etc/coredns/custom/*.override"), missing(22, 8, "/etc/coredns/custom/*.server")]
            }
            "aks" => vec![missing(18, 12, "custom/*.override"), missing(28, 8, "custom/*.server")],
            "gardener" => vec![missing(26, 12, "custom/*.override"), missing(28, 8, "custom/*.server")],
            _ => Vec::new(),
        };
        let mut lines: Vec<String> = expected.iter().map(|line| format!("{file}:{line}\n")).collect();
        let warnings = if lines.len() == 1 { "1 warning".to_owned() } else { format!("{} warnings", lines.len()) };
        lines.push(format!("0 errors, {warnings}\n"));
        assert_eq!((output.status.code(), text), (Some(0), lines.concat()), "{file}");
    }
}
