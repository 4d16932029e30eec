//! The life of a server: start, load, an API server that dies three times, changes that show.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{
    apiserver::ApiServer,
    server::{eventually, free_port, pause},
};

use super::{
    CORES, PATIENCE, SEAMARK,
    load::dnsperf,
    peers::{Program, Role, Setting},
    rounds::median,
};

/// Median and most of 40, milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Events {
    pub(super) middle: f64,
    pub(super) most: f64,
}

/// KiB and milliseconds.
pub(super) struct Life {
    /// From the start of the process to the first answer about the cluster.
    pub(super) start: f64,
    pub(super) synced: u64,
    pub(super) loaded: u64,
    /// Over all re-lists.
    pub(super) peak: u64,
    /// From the API server's reply to a write until the answer shows it.
    pub(super) events: Events,
    /// The same from when the write was sent.
    pub(super) writes: Events,
}

impl Life {
    pub(super) fn measure(cluster: &mut ApiServer, setting: &Setting, name: &str, relists: usize) -> Self {
        let port = free_port();
        let begin = |port| {
            let start = Instant::now();
            let program = setting.start_pinned(name, Role::Cluster, port);
            eventually(&format!("{name} knows the cluster"), PATIENCE, || setting.is_up(port, name));
            (program, start.elapsed().as_secs_f64() * 1e3)
        };
        let mut starts: Vec<f64> = (0..2).map(|_| begin(free_port()).1).collect();
        let (program, start) = begin(port);
        starts.push(start);
        let synced = settled(&program);
        let (writes, events) = events(cluster, port);
        dnsperf(CORES[1], port, &setting.questions.join("names"), false, &["-l", "5"]);
        let loaded = program.memory().0;
        for _ in 0..relists {
            cluster.restart();
            // It has listed again when it shows what was written since.
            shown(cluster, port);
            pause(1000);
        }
        let life = Self { start: median(starts), synced, loaded, peak: program.memory().1, events, writes };
        println!(
            "{name}: starts in {:.0} ms; {synced} KiB when synced, {loaded} KiB after load, {} KiB at most; \
             events {:.2} ms, {:.2} ms at most",
            life.start, life.peak, events.middle, events.most
        );
        life
    }
}

/// Resident memory once it stays as it is: a program may answer before it knows the whole cluster. KiB.
fn settled(program: &Program) -> u64 {
    let mut last = 0;
    let mut still = 0;
    for _ in 0..120 {
        pause(500);
        let now = program.memory().0;
        still = if now.abs_diff(last) <= now / 200 { still + 1 } else { 0 };
        last = now;
        if still == 6 {
            break;
        }
    }
    last
}

/// 40 changes: after they were sent, and after the API server replied.
fn events(cluster: &ApiServer, port: u16) -> (Events, Events) {
    let text = soak(cluster, port, "40");
    let events = |label: &str| {
        let (_, rest) = text.split_once(label)?;
        let words: Vec<f64> = rest.split_whitespace().take(4).filter_map(|word| word.parse().ok()).collect();
        let &[middle, most] = words.as_slice() else { return None };
        Some(Events { middle, most })
    };
    match (events("sent "), events("replied ")) {
        (Some(sent), Some(replied)) => (sent, replied),
        _ => panic!("no figures: {text}"),
    }
}

/// Waits until a change made now shows.
fn shown(cluster: &ApiServer, port: u16) {
    soak(cluster, port, "1");
}

fn soak(cluster: &ApiServer, port: u16, events: &str) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/e2e/soak");
    let mut command = Command::new("taskset");
    command.args(["-c", CORES[1]]).arg(program).args(["-events", events, "-server", &format!("127.0.0.1:{port}")]);
    let output = command.arg("-kubeconfig").arg(cluster.kubeconfig()).output().expect("`make bench` builds it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Resident memory of a node cache, idle and after 10,000 names, KiB.
pub(super) fn node_cache(setting: &Setting, name: &str) -> (u64, u64) {
    let behind = free_port();
    let _behind = setting.start(SEAMARK, Role::Cluster, behind, CORES[1], None);
    eventually("a cluster DNS", PATIENCE, || setting.is_up(behind, SEAMARK));
    let setting = setting.with_upstream(behind);
    let port = free_port();
    let program = setting.start_pinned(name, Role::Node, port);
    eventually(&format!("{name} answers"), Duration::from_secs(20), || setting.is_up(port, name));
    pause(2000);
    let idle = program.memory().0;
    dnsperf(CORES[1], port, &setting.questions.join("names"), false, &["-l", "5"]);
    let loaded = program.memory().0;
    println!("{name} as a node cache: {idle} KiB idle, {loaded} KiB after load");
    (idle, loaded)
}
