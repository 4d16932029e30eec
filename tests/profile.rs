//! `pprof`: profiles of a server that is asked.

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::support::{
    client,
    message::query,
    server::{Server, directory, free_port, http, pause},
};

fn start(pprof: u16) -> Server {
    Server::start(&format!(".:{{port}} {{\n pprof 127.0.0.1:{pprof}\n whoami\n}}\n"))
}

/// Says that something is over, also if it has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Keeps the server busy while something is done.
fn under_load<T>(server: &Server, deeds: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let socket = client::socket(server.port, Duration::from_millis(200));
            let (mut number, mut reply) = (0, [0; 512]);
            while !is_over.load(Relaxed) {
                // Another name each time, so that each query takes a walk.
                number += 1;
                socket.send(&query(7, &format!("n{number}.test."), "A")).expect("sent");
                _ = socket.recv(&mut reply);
            }
        });
        let _over = Over(&is_over);
        deeds()
    })
}

/// Takes a profile into a file.
fn profile(pprof: u16, seconds: u32, file: &str) -> (u16, PathBuf) {
    let path = directory().join(file);
    let url = format!("http://127.0.0.1:{pprof}/debug/pprof/profile?seconds={seconds}");
    let output = Command::new("curl").args(["-s", "-m", "30", "-w", "%{http_code}", "-o"]).arg(&path).arg(url).output();
    let code = String::from_utf8_lossy(&output.expect("curl is needed").stdout).parse().expect("a status");
    (code, path)
}

#[test]
fn a_profile_names_what_the_server_does() {
    let pprof = free_port();
    let server = start(pprof);
    let octets = under_load(&server, || {
        let (code, path) = profile(pprof, 2, "profile");
        assert_eq!(code, 200, "{}", String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
        std::fs::read(path).expect("a profile")
    });
    // Texts stand in a profile as they are.
    let text = String::from_utf8_lossy(&octets);
    for part in ["seamark::server::udp", "nanoseconds", "worker-", "src/server/udp/mod.rs"] {
        assert!(text.contains(part), "no {part} in {} octets", octets.len());
    }
    // A second one works as well, and the server goes on.
    assert_eq!(profile(pprof, 1, "second").0, 200);
    assert_eq!(server.ask("www.test. A").status, "NOERROR");
}

#[test]
fn one_profile_at_a_time_and_none_of_a_client_that_has_gone() {
    let pprof = free_port();
    let server = start(pprof);
    let url = |path: &str| format!("http://127.0.0.1:{pprof}/debug/pprof{path}");
    thread::scope(|scope| {
        let first = scope.spawn(|| profile(pprof, 2, "first").0);
        pause(700);
        assert_eq!(http(&url("/profile?seconds=1")), (503, "a profile is being taken already\n".to_owned()));
        assert_eq!(first.join().expect("no panic"), 200);
    });
    // A client that goes takes its profile with it.
    let gone = Command::new("curl").args(["-s", "-m", "1", &url("/profile?seconds=60")]).output().expect("curl");
    assert!(!gone.status.success());
    crate::support::server::eventually("the next one", Duration::from_secs(10), || profile(pprof, 1, "next").0 == 200);
    assert_eq!(http(&url("/profile?seconds=0")).0, 400);
    for path in ["", "/"] {
        assert!(http(&url(path)).1.contains("profile?seconds="));
    }
    assert!(http(&url("/cmdline")).1.contains("coredns\0-conf\0Corefile"));
    for path in ["/heap", "/goroutine", "/block", "/mutex", "/allocs", "/threadcreate", "/trace", "/symbol"] {
        let (code, text) = http(&url(path));
        assert!(code == 501 && text.contains("Go's runtime"), "{path}: {code} {text}");
    }
    assert_eq!(http(&url("/nothing")).0, 404);
    drop(server);
}

/// Go's tool reads it.
#[test]
#[ignore = "make e2e"]
fn pprof_reads_a_profile() {
    let pprof = free_port();
    let server = start(pprof);
    let path = under_load(&server, || profile(pprof, 3, "profile").1);
    let output = Command::new("go").args(["tool", "pprof", "-top", "-cum"]).arg(path).output().expect("go is needed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Type: cpu"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    // Programs with line tables only have names without modules.
    assert!(["seamark::server::", "take_batch"].iter().any(|name| text.contains(name)), "{text}");
}
