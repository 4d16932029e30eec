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
            ".:853 {\n    tls dns.pem dns.key\n    whoami\n}\n",
            "stdin:2:5: warning: `tls` changes nothing here: no key of this block begins with `tls://`",
        ),
        (
            "https://. {\n    tls dns.pem dns.key\n    https3 {\n        max_streams 5\n    }\n    whoami\n}\n",
            "stdin:3:5: warning: `https3` changes nothing here: no key of this block begins with `https3://`",
        ),
    ] {
        let (code, text) = check(&home, &["-"], corefile);
        assert_eq!((code, text), (Some(0), format!("{expected}\n0 errors, 1 warning\n")));
        assert_eq!(check(&home, &["-strict", "-"], corefile).0, Some(1));
    }
    // The same words where they are no trap.
    for corefile in [
        ". {\n    kubernetes cluster.local {\n        fallthrough\n    }\n    forward . 127.0.0.1:5300\n}\n",
        ". {\n    kubernetes cluster.local\n}\nsvc.cluster.local:54 {\n    whoami\n}\n",
        "tls://. https://. quic://. {\n    tls dns.pem dns.key\n    whoami\n}\n.:853 {\n    whoami\n}\n",
        ". {\n    rewrite continue cname a.example b.example\n    rewrite name c.example d.example\n    whoami\n}\n",
    ] {
        assert_eq!(check(&home, &["-strict", "-"], corefile), (Some(0), "0 errors, 0 warnings\n".to_owned()));
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
    let expected = "stdin\n  dns://:53, names in cluster.local.\n     1. bind (169.254.20.10): listens on these addresses only\n     \
                    2. cache (30): keeps what those below answer\n     3. whoami: answers who asked\n\n0 errors, 0 warnings\n";
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
fn what_cannot_be_read_ends_with_2() {
    let home = directory();
    for args in [&["missing"][..], &["."], &["-format", "xml", "-"], &["-nope"]] {
        assert_eq!(check(&home, args, "").0, Some(2), "{args:?}");
    }
}
