//! `seamark check`: what it says of Corefiles, and how it ends.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::server::directory;

/// Runs it in a directory with this text for standard input; gives exit code and what it wrote to either stream.
fn check(home: &Path, args: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_seamark"))
        .arg("check")
        .args(args)
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("an end");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn each_trap_has_its_warning() {
    let home = directory();
    for (corefile, expected) in [
        (". {\n    errors\n}\n", "stdin:1:1: warning: no directive of this block answers: every query is SERVFAIL"),
        (
            ". {\n    kubernetes cluster.local {\n        fallthrough\n    }\n}\n",
            "stdin:3:9: warning: nothing stands behind `kubernetes`: what falls through is SERVFAIL",
        ),
        (". {\n    forward . 127.0.0.1\n}\n", "stdin:2:15: warning: `127.0.0.1` is this server itself"),
        (
            ". {\n    kubernetes cluster.local\n}\nsvc.cluster.local {\n    whoami\n}\n",
            "stdin:4:1: warning: takes names below svc.cluster.local. away from `kubernetes cluster.local.` in the block of line 1",
        ),
        (
            ". {\n    rewrite cname a.example b.example\n    rewrite name c.example d.example\n    whoami\n}\n",
            "stdin:3:5: warning: this rule is never met: the one of line 2 is about every query and stops",
        ),
        (
            ". {\n    rewrite continue cname suffix .a.example .b.example\n    whoami\n}\n",
            "stdin:2:35: warning: no alias ends like `.a.example`: the last dot is missing",
        ),
        (
            "a.test {\n    whoami\n}\na.test {\n    view v {\n        expr true\n    }\n    whoami\n}\n",
            "stdin:4:1: warning: no query comes here: the block of line 1 has no `view`, and takes them all",
        ),
        (
            ". {\n    whoami\n    forward . 192.0.2.1\n}\n",
            "stdin:2:5: warning: no query comes here: `forward`, which stands before it, answers them all",
        ),
        (
            ". {\n    hosts /etc/hosts cluster.local\n    kubernetes cluster.local\n    \
             forward . 192.0.2.1\n}\n",
            "stdin:3:5: warning: no query comes here: `hosts`, which stands before it, answers them all",
        ),
        (
            "cluster.local {\n    kubernetes cluster.local in-addr.arpa\n}\n",
            "stdin:2:30: warning: no query for `in-addr.arpa` comes to this block: add it to line 1",
        ),
        (
            ". {\n    forward . 192.0.2.1\n    forward a.test 192.0.2.2\n}\n",
            "stdin:3:5: warning: this line is never used: that of line 2 takes all its names",
        ),
        (
            ". {\n    bind 127.0.0.5\n    forward . 127.0.0.5\n}\n",
            "stdin:3:15: warning: `127.0.0.5` is this server itself",
        ),
        (
            ". {\n    autopath @kubernetes\n    kubernetes cluster.local {\n        pods insecure\n    }\n    forward . \
             192.0.2.1\n}\n",
            "stdin:2:14: warning: answers no search list: `kubernetes` needs `pods verified`",
        ),
        (
            ". {\n    cache 30 cluster.local\n    kubernetes cluster.local\n    forward . 192.0.2.1\n}\n",
            "stdin:2:5: warning: keeps nothing: answers of `kubernetes` come from memory, and are never kept",
        ),
        (
            ". {\n    loop\n    whoami\n}\n",
            "stdin:2:5: warning: finds nothing: no directive of this block asks other servers",
        ),
        (
            ". {\n    transfer {\n        to *\n    }\n    whoami\n}\n",
            "stdin:2:5: warning: has nothing to hand over: no directive of this block has a whole zone",
        ),
        (
            "a.test {\n    dynupdate {\n        file db\n        allow k.a.test. @ TXT\n    }\n}\n",
            "stdin:2:5: warning: refuses every update: without `tsig` in this block nobody can show who they are",
        ),
        (
            ". {\n    geoip places.mmdb\n    whoami\n}\n",
            "stdin:2:5: warning: the labels of `geoip` can be read by nobody: add `metadata` to this block",
        ),
        (
            ". {\n    proxyproto {\n        default use\n        tlv_metadata\n    }\n    whoami\n}\n",
            "stdin:4:9: warning: the labels of `tlv_metadata` can be read by nobody: add `metadata` to this block",
        ),
        (
            ". {\n    proxyproto {\n        allow\n    }\n    whoami\n}\n",
            "stdin:2:5: warning: whoever sends a header is believed, whatever address it names: name the proxies with `allow`",
        ),
        (
            ". {\n    reload 5s\n    health {\n        lameduck 7s\n    }\n    whoami\n}\n",
            "stdin:4:18: warning: the process ends for 7s and `reload` looks every 5s: the Corefile is read again while it ends",
        ),
        (
            ". {\n    errors stdout\n    whoami\n}\n",
            "stdin:2:12: warning: `stdout` changes nothing: there is no other place: leave it out",
        ),
        (
            "a.test {\n    secondary {\n        transfer from 192.0.2.1\n        upstream\n    }\n}\n",
            "stdin:4:9: warning: `upstream` changes nothing: aliases are followed through this server itself: leave it out",
        ),
        (
            ". {\n    multisocket\n    whoami\n}\n",
            "stdin:2:5: warning: `multisocket` changes nothing: each core has sockets of its own anyway: leave it out",
        ),
        (
            ".:853 {\n    tls dns.pem dns.key\n    whoami\n}\n",
            "stdin:2:5: warning: `tls` changes nothing here: no key of this block begins with `tls://`",
        ),
        (
            "https://. {\n    tls dns.pem dns.key\n    https3 {\n        max_streams 5\n    }\n    whoami\n}\n",
            "stdin:3:5: warning: `https3` changes nothing here: no key of this block begins with `https3://`",
        ),
    ] {
        let (code, text) = check(&home, &["-"], corefile);
        assert_eq!((code, text), (Some(0), format!("{expected}\n0 errors, 1 warning\n")), "{corefile}");
        assert_eq!(check(&home, &["-strict", "-"], corefile).0, Some(1));
    }
    // The same words where they are no trap.
    for corefile in [
        ". {\n    kubernetes cluster.local {\n        fallthrough\n    }\n    forward . 127.0.0.1:5300\n}\n",
        ". {\n    kubernetes cluster.local\n}\nsvc.cluster.local:54 {\n    whoami\n}\n",
        "tls://. https://. quic://. {\n    tls dns.pem dns.key\n    whoami\n}\n.:853 {\n    whoami\n}\n",
        ". {\n    rewrite continue cname a.example b.example\n    rewrite name c.example d.example\n    whoami\n}\n",
        "a.test {\n    tsig {\n        secret k.a.test. c2VjcmV0\n    }\n    dynupdate {\n        file db\n        allow k.a.test. @ TXT\n    }\n    transfer {\n        to *\n    }\n}\n",
        "a.test {\n    view v {\n        expr true\n    }\n    whoami\n}\na.test {\n    whoami\n}\n",
        ". {\n    hosts /etc/hosts cluster.local {\n        fallthrough\n    }\n    kubernetes cluster.local\n    forward . 192.0.2.1\n}\n",
        ". {\n    forward a.test 192.0.2.2\n    forward . 192.0.2.1\n}\n",
        ". {\n    forward . 192.0.2.1 {\n        next NXDOMAIN\n    }\n    forward . 192.0.2.2\n}\n",
        ". {\n    bind 127.0.0.5\n    forward . 127.0.0.1\n}\n",
        ". {\n    autopath @kubernetes\n    kubernetes cluster.local {\n        pods verified\n    }\n    forward . 192.0.2.1\n}\n",
        ". {\n    cache 30\n    kubernetes cluster.local\n    forward . 192.0.2.1\n}\n",
        ". {\n    reload 30s\n    health {\n        lameduck 30s\n    }\n    whoami\n}\n",
        ". {\n    template IN A a.test {\n        answer \"{{ .Name }} A 192.0.2.1\"\n    }\n    forward . 192.0.2.1\n}\n",
    ] {
        let passed = (Some(0), "0 errors, 0 warnings\n".to_owned());
        assert_eq!(check(&home, &["-strict", "-"], corefile), passed, "{corefile}");
    }
}

#[test]
fn errors_have_their_place_in_a_configmap_too_and_in_each_form() {
    let home = directory();
    let yaml = "kind: ConfigMap\ndata:\n  Corefile: |\n    .:53 {\n        nonsense\n        whoami x\n    }\n    . {\n    }\n";
    fs::write(home.join("dns.yaml"), yaml).expect("a file");
    let (code, text) = check(&home, &["dns.yaml"], "");
    assert_eq!(code, Some(1));
    for part in ["--> dns.yaml:5:9\n", "--> dns.yaml:6:16\n", "2 errors, 0 warnings"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert_eq!(check(&home, &["."], "").1.replace("./", ""), text, "the directory that holds it");
    let (_, github) = check(&home, &["-format", "github", "dns.yaml"], "");
    assert!(github.starts_with("::error file=dns.yaml,line=5,col=9::Unknown directive 'nonsense'"), "{github}");
    let (_, json) = check(&home, &["dns.yaml", "--format=json"], "");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json[1]["line"], &json[1]["column"], &json[1]["level"]), (&6.into(), &16.into(), &"error".into()));
    let twice = ".:53 {\n    whoami\n}\n. {\n    whoami\n}\n";
    let (code, text) = check(&home, &["-"], twice);
    assert!(code == Some(1) && text.contains("zone `.` is already defined for port 53"), "{text}");
}

#[test]
fn templates_of_the_node_cache_and_explanations() {
    let home = directory();
    let template = "__PILLAR__DNS__DOMAIN__:53 {\n    whoami\n    cache 30\n    bind __PILLAR__LOCAL__DNS__\n}\n";
    let (code, text) = check(&home, &["-node", "-explain", "-"], template);
    let expected = "stdin\n  dns://:53 on 169.254.20.10, names in cluster.local.\n     1. bind (169.254.20.10): listens on these addresses only\n     \
                    2. cache (30): keeps what those below answer, but for live data of the cluster\n     3. whoami: answers who asked\n\n0 errors, 0 warnings\n";
    assert_eq!((code, text.as_str()), (Some(0), expected));
    assert_eq!(check(&home, &["-node", "-"], "__PILLAR__TYPO__ {\n}\n").0, Some(1));
    let rights =
        check(&home, &["-explain", "-"], ". {\n    kubernetes cluster.local {\n        pods verified\n    }\n}\n").1;
    assert!(
        rights.contains("list and watch namespaces, services, endpointslices.discovery.k8s.io, pods\n"),
        "{rights}"
    );
}

#[test]
fn roles_beside_the_configmap_are_compared_with_what_the_corefile_needs() {
    let home = directory();
    let corefile = "kind: ConfigMap\ndata:\n  Corefile: |\n    . {\n        kubernetes cluster.local {\n            \
                    pods verified\n        }\n    }\n";
    let role = "---\nkind: ClusterRole\nrules:\n- apiGroups: ['']\n  resources: [services, namespaces]\n  verbs: [list, \
                watch]\n- apiGroups: ['']\n  resources: [pods]\n  verbs: [list]\n";
    let slices = "- apiGroups: [discovery.k8s.io]\n  resources: [endpointslices]\n  verbs: [list, watch]\n";
    for (roles, expected) in [
        (String::new(), vec![]),
        (
            role.to_owned(),
            vec![
                "no ClusterRole here lets anybody list and watch endpointslices.discovery.k8s.io",
                "no ClusterRole here lets anybody watch pods",
            ],
        ),
        (format!("{role}{slices}"), vec!["no ClusterRole here lets anybody watch pods"]),
        ("---\nkind: ClusterRole\nrules:\n- {apiGroups: ['*'], resources: ['*'], verbs: ['*']}\n".to_owned(), vec![]),
    ] {
        let (_, text) = check(&home, &["-"], &format!("{corefile}{roles}"));
        let found: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("stdin:5:9: warning: ")).collect();
        assert_eq!(found, expected, "{text}");
    }
    // Our own manifests agree with each other.
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    let (code, text) =
        check(&home, &["-strict", &format!("{deploy}/rbac.yaml"), &format!("{deploy}/cluster-dns.yaml")], "");
    assert_eq!((code, text.as_str()), (Some(0), "0 errors, 0 warnings\n"));
    assert_eq!(check(&home, &[&format!("{deploy}/rbac.yaml")], "").0, Some(2), "roles alone are no Corefile");
}

#[test]
fn what_cannot_be_read_ends_with_2() {
    let home = directory();
    for args in [&["missing"][..], &["."], &["-format", "xml", "-"], &["-nope"]] {
        assert_eq!(check(&home, args, "").0, Some(2), "{args:?}");
    }
}
