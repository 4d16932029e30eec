//! `seamark explain`: how a pod finds a name, from files alone and against a server that runs.

use std::{fs, path::Path, process::Command};

use crate::support::{
    server::{Server, directory},
    upstream::Upstream,
};

fn explain(home: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seamark"));
    let output = command.arg("explain").args(args).current_dir(home).output().expect("the program");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// The stock Corefile with the sample cluster.
fn corefile(more: &str) -> String {
    let cluster = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cluster");
    format!(
        ". {{\n    kubernetes cluster.local in-addr.arpa {{\n        manifests {}\n        pods verified\n        fallthrough \
         in-addr.arpa\n    }}\n    forward . 192.0.2.1\n{more}}}\n",
        cluster.display()
    )
}

#[test]
fn a_name_outside_goes_through_the_whole_list() {
    let home = directory();
    fs::write(home.join("Corefile"), corefile("")).expect("a Corefile");
    let expected = "\
www.example.org, asked by pod web-0 of namespace shop
search shop.svc.cluster.local. svc.cluster.local. cluster.local.; ndots:5
2 dots in the name, fewer than 5: the list goes first.

1. www.example.org.shop.svc.cluster.local.
   Corefile:1, zone .: kubernetes answers from the cluster
   does not exist (NXDOMAIN)

2. www.example.org.svc.cluster.local.
   Corefile:1, zone .: kubernetes answers from the cluster
   does not exist (NXDOMAIN)

3. www.example.org.cluster.local.
   Corefile:1, zone .: kubernetes answers from the cluster
   does not exist (NXDOMAIN)

4. www.example.org.
   Corefile:1, zone .: forward asks other name servers
   supposed to exist: `forward` knows

4 names, each for A and AAAA: 8 queries
  with autopath: 2, the rest would be looked up in the server
  with a node cache: 8 to the node; what it does not keep goes on, 6 to the cluster's DNS and 2 to upstreams
  with a node cache and its autopath: 2 to the node
  written `www.example.org.`, with a dot at the end: 2
";
    assert_eq!(explain(&home, &["www.example.org", "-pod", "shop/web-0"]), (Some(0), expected.to_owned()));
    fs::write(home.join("Corefile"), corefile("    autopath @kubernetes\n")).expect("a Corefile");
    let (_, text) = explain(&home, &["www.example.org", "-pod", "shop"]);
    assert!(text.contains("with the autopath of line 8, if it knows the pod: 2,"), "{text}");
}

#[test]
fn names_of_the_cluster_end_where_they_exist() {
    let home = directory();
    fs::write(home.join("Corefile"), corefile("")).expect("a Corefile");
    let resolv = "search shop.svc.cluster.local svc.cluster.local\noptions ndots:2\n";
    fs::write(home.join("resolv.conf"), resolv).expect("a file");
    for (args, last, queries) in [
        (&["api", "-pod", "shop"][..], "1. api.shop.svc.cluster.local.", "10.96.120.8"),
        (&["web.shop", "-pod", "data/db-1"], "2. web.shop.svc.cluster.local.", "10.96.121.9, fd00:10:96::1219"),
        (&["api.shop.svc.cluster.local."], "1. api.shop.svc.cluster.local.", "10.96.120.8"),
        (&["api.shop", "-resolv-conf", "resolv.conf"], "2. api.shop.svc.cluster.local.", "10.96.120.8"),
        (&["api.shop.svc", "-resolv-conf", "resolv.conf"], "1. api.shop.svc.", "supposed to exist: `forward` knows"),
    ] {
        let (code, text) = explain(&home, args);
        let expected = format!("{last}\n   Corefile:1, zone .: ");
        let block = text.split("\n\n").find(|block| block.starts_with(&expected)).unwrap_or_default();
        assert!(code == Some(0) && block.ends_with(queries), "{args:?}: {text}");
        let after: u32 = last.split('.').next().and_then(|number| number.parse().ok()).expect("a number");
        assert!(!text.contains(&format!("\n{}. ", after + 1)), "{args:?} goes on: {text}");
    }
}

#[test]
fn without_objects_names_are_read_by_their_form() {
    let home = directory();
    let stock = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corefiles/stock/kubeadm.Corefile");
    let stock = stock.display().to_string();
    let (_, text) = explain(&home, &["db-1.db", "-pod", "data", "-corefile", &stock]);
    for part in [
        "supposed not to exist: it would be a part of service `db` of namespace `data`",
        "2. db-1.db.svc.cluster.local.",
        "supposed to exist: it is service `db-1` of namespace `db`",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn a_server_that_runs_says_what_is_so() {
    let upstream = Upstream::start();
    let text = corefile("").replace(". {\n", ".:{port} {\n").replace("192.0.2.1", &upstream.address.to_string());
    let server = Server::start(&text);
    let address = format!("127.0.0.1:{}", server.port);
    let port = server.port.to_string();
    let args = ["ok.example.org", "-pod", "shop", "-server", &address, "-dns.port", &port];
    let (code, text) = explain(&server.directory, &args);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("3. ok.example.org.cluster.local.\n   Corefile:1, zone .: kubernetes answers from the cluster\n   does not exist (NXDOMAIN)\n"), "{text}");
    assert!(
        text.contains("4. ok.example.org.\n   Corefile:1, zone .: forward asks other name servers\n   192.0.2.53\n"),
        "{text}"
    );
    // Without its Corefile nobody knows who answers.
    let home = directory();
    let (_, text) = explain(&home, &["api", "-pod", "shop", "-server", &address]);
    assert!(text.contains("1. api.shop.svc.cluster.local.\n   10.96.120.8\n"), "{text}");
}

#[test]
fn wrong_words_end_with_2() {
    let home = directory();
    for args in [&[][..], &["-pod", "shop"], &["a..b"], &["api"], &["api", "-server", "nowhere"], &["api", "-nope"]] {
        assert_eq!(explain(&home, args).0, Some(2), "{args:?}");
    }
}
