//! A minute of everything at once. Run by `make soak`.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    live::kubeadm_towards,
    support::{
        apiserver::ApiServer,
        server::{Background as _, Server, eventually, free_port, http, pause, program, resident},
    },
};

const CLUSTER: &str = "services=8000,endpoints=74400,nodes=5000";
const SECONDS: u64 = 60;
/// Seconds of the same before that, without a re-list, and how often. The kernel deals out clients' sockets to workers: each
/// time others, so that all workers have had their share, and keep it.
const WARM: u64 = 10;
const TIMES: u64 = 3;
/// Changes of endpoints a second.
const CHANGES: &str = "500";

/// The program of benches/floor.c, as an upstream that has one address for every name.
struct Floor(Child);

impl Floor {
    fn start(port: u16) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/e2e/floor");
        Self(Command::new(program).arg(port.to_string()).spawn().expect("`make soak` builds it"))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Asks and changes for so many seconds. What it prints ends with two lines of counts; answers that are wrong come before.
fn soak(server: &Server, cluster: &ApiServer, seconds: u64) -> std::thread::JoinHandle<String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/e2e/soak");
    // The API server shall get what it needs, so that the changes are as many as they should be.
    Command::new("nice")
        .args(["-n", "5"])
        .arg(program)
        .args(["-server", &format!("127.0.0.1:{}", server.port), "-seconds", &seconds.to_string()])
        .args(["-changes", CHANGES, "-kubeconfig"])
        .arg(cluster.kubeconfig())
        .stdin(Stdio::null())
        .output_in_background()
}

#[test]
#[ignore = "make soak"]
fn a_minute_of_load_with_reloads_changes_and_a_relist_loses_nothing_and_is_right() {
    let mut cluster = ApiServer::with_cluster(CLUSTER);
    let upstream = free_port();
    let _upstream = Floor::start(upstream);
    let (health, ready, metrics) = (free_port(), free_port(), free_port());
    let address = format!("127.0.0.1:{upstream}");
    let corefile = kubeadm_towards(&cluster.kubeconfig(), &address, health, ready, metrics);
    let server = Server::start_program(program(), &corefile);
    Command::new("renice").args(["-n", "5", "-p", &server.id().to_string()]).output().expect("renice");
    eventually("ready", Duration::from_secs(20), || http(&format!("http://127.0.0.1:{ready}/ready")).0 == 200);
    let synced = resident(&server);
    let mut reloads = 0;
    // The text differs each time, as a reload of the same would be none.
    let mut reload = || {
        server.rewrite(&corefile.replace("cache 30", &format!("cache {}", 30 + reloads % 2)));
        server.signal("USR1");
        reloads += 1;
        if reloads % 10 == 0 {
            println!("after {reloads} reloads: {} KiB resident", resident(&server));
        }
        pause(1000);
    };
    // What memory is like in this life, before the long part of it.
    for _ in 0..TIMES {
        let load = soak(&server, &cluster, WARM);
        (0..WARM).for_each(|_| reload());
        println!("{}", load.join().expect("soak"));
    }
    let steady = resident(&server);

    let load = soak(&server, &cluster, SECONDS);
    (0..SECONDS / 2).for_each(|_| reload());
    cluster.restart();
    (0..SECONDS / 2 - 6).for_each(|_| reload());
    let report = load.join().expect("soak");
    println!("{report}");
    let start = Instant::now();
    while resident(&server) > steady + steady / 10 && start.elapsed() < Duration::from_secs(30) {
        pause(500);
    }
    let end = resident(&server);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("a process");
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    println!(
        "{reloads} reloads; resident {} MiB when synced, {} MiB after {TIMES} times {WARM} seconds, {} MiB in the end; {peak}",
        synced / 1024,
        steady / 1024,
        end / 1024
    );
    assert!(report.contains("lost 0,") && report.contains("wrong 0\n"), "lost or wrong:\n{report}");
    assert!(end <= steady + steady / 10, "memory does not come back: {steady} KiB, then {end} KiB");
    let (_, text) = http(&format!("http://127.0.0.1:{metrics}/metrics"));
    let series = |name: &str| text.lines().any(|line| line.starts_with(name) && !line.ends_with(" 0"));
    assert!(series("seamark_kubernetes_relists_total"), "no re-list:\n{text}");
    assert!(!series("coredns_reload_failed_total"), "a reload failed:\n{}", server.log());
}
