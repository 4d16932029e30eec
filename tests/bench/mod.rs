//! How fast, how small, how soon, beside others. Run by `make bench`, `make bench-quick` and `make bench-growth`, which
//! build the others and say where they are.
//!
//! What a machine gives changes from minute to minute: programs take turns within a round, and each is compared with the
//! floor of the same round.

mod chart;
mod growth;
mod life;
mod load;
mod page;
mod peers;
mod rounds;

use std::time::Duration;

use crate::support::{apiserver::ApiServer, server::free_port};
use life::Life;
use load::Workload;
use page::Page;
use peers::{Program, Setting};
use rounds::Rounds;

/// The cluster that everything is measured on.
const CLUSTER: &str = "services=8000,endpoints=74400,nodes=5000";
/// The core of the server, and that of dnsperf and the upstream.
const CORES: [&str; 2] = ["0", "1"];

const FLOOR: &str = "floor";
const SEAMARK: &str = "seamark";
const KNOT: &str = "Knot";
const UNBOUND: &str = "Unbound";
const COREDNS: &str = "CoreDNS 1.15.0";
const PROGRAMS: [&str; 5] = [FLOOR, SEAMARK, KNOT, UNBOUND, COREDNS];

/// A cluster, and an upstream with one address for every name.
fn surroundings(size: &str) -> (ApiServer, Program, Setting) {
    let cluster = ApiServer::with_cluster(size);
    let upstream = free_port();
    let setting = Setting::new(&cluster, upstream);
    let program = setting.start_floor(CORES[1], upstream);
    (cluster, program, setting)
}

#[test]
#[ignore = "make bench"]
fn the_table() {
    let (mut cluster, _upstream, setting) = surroundings(CLUSTER);
    let rounds = Rounds::measure(&setting, load::WORKLOADS, &PROGRAMS, 5);
    let workers = rounds::with_workers(&setting, &[1, 2, 4]);
    let lives: Vec<(&str, Life)> =
        [SEAMARK, COREDNS].map(|name| (name, Life::measure(&mut cluster, &setting, name, 3))).into();
    let nodes: Vec<(&str, (u64, u64))> = [SEAMARK, COREDNS].map(|name| (name, life::node_cache(&setting, name))).into();
    setting.clear();
    let mut page = Page::open();
    page.replace("table", &page::table(&rounds, &lives, &nodes, &workers));
    page.save();
    chart::write("performance-cpu.svg", &chart::cpu(&rounds));
    chart::write("performance-memory.svg", &chart::memory(&lives));
}

/// How much worse than the page claims a quick look may find it: it has fewer and shorter rounds.
const MARGIN: f64 = 0.15;

#[test]
#[ignore = "make bench-quick"]
fn as_the_page_claims() {
    let (_cluster, _upstream, setting) = surroundings(CLUSTER);
    let quick = ["cluster names", "ndots:5 walk", "cache hits", "forward misses"];
    let workloads: Vec<Workload> =
        load::WORKLOADS.iter().filter(|workload| quick.contains(&workload.name)).copied().collect();
    let rounds = Rounds::measure(&setting, &workloads, &[FLOOR, SEAMARK, COREDNS], 3);
    setting.clear();
    let page = Page::open();
    let mut broken = Vec::new();
    for (at, workload) in workloads.iter().enumerate() {
        for beside in [FLOOR, COREDNS] {
            let Some(found) = rounds.multiple(at, SEAMARK, beside) else { continue };
            let claimed = page.claim(workload.name, SEAMARK) / page.claim(workload.name, beside);
            println!("{}: {found:.2} x {beside}, the page says {claimed:.2}", workload.name);
            if found > claimed * (1. + MARGIN) {
                broken.push(format!("{}: {found:.2} x {beside} and not {claimed:.2}", workload.name));
            }
        }
    }
    assert!(broken.is_empty(), "slower than docs/performance.md says: {}", broken.join("; "));
}

/// How long a program may take until it has read the cluster.
const PATIENCE: Duration = Duration::from_secs(600);
