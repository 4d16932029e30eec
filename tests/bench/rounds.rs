//! Programs in turns: CPU time for each query, queries a second.

use std::collections::BTreeMap;

use crate::support::server::{eventually, free_port, pause};

use super::{
    COREDNS, CORES, FLOOR, PATIENCE, SEAMARK,
    load::{Load, Workload, dnsperf},
    peers::{Program, Role, Setting},
};

/// One measurement: microseconds of CPU for each query, and what dnsperf says.
#[derive(Clone, Copy)]
struct Turn {
    used: f64,
    load: Load,
}

/// Figures of programs by workload (its place in the list) and name.
pub(super) struct Rounds {
    pub(super) workloads: Vec<Workload>,
    turns: BTreeMap<(usize, &'static str), Vec<Turn>>,
}

struct Running {
    program: Program,
    port: u16,
}

impl Rounds {
    /// All programs run all the time and have the core for themselves in turn.
    pub(super) fn measure(setting: &Setting, workloads: &[Workload], programs: &[&'static str], rounds: usize) -> Self {
        // Behind the node caches: a cluster DNS on the other core.
        let behind = free_port();
        let is_needed = workloads.iter().any(|workload| workload.role == Role::Node);
        let _behind = is_needed.then(|| setting.start(SEAMARK, Role::Cluster, behind, CORES[1], None));
        let node_setting = setting.with_upstream(behind);
        if is_needed {
            eventually("a cluster DNS", PATIENCE, || setting.is_up(behind, SEAMARK));
        }
        let mut running: BTreeMap<(Role, &str), Running> = BTreeMap::new();
        for workload in workloads {
            for &name in workload.programs.iter().filter(|name| programs.contains(name)) {
                running.entry((workload.role, name)).or_insert_with(|| {
                    let port = free_port();
                    let setting = if workload.role == Role::Node { &node_setting } else { setting };
                    let program = setting.start_pinned(name, workload.role, port);
                    eventually(&format!("{name} answers"), PATIENCE, || setting.is_up(port, name));
                    Running { program, port }
                });
            }
        }
        let mut turns: BTreeMap<_, Vec<Turn>> = BTreeMap::new();
        for round in 1..=rounds {
            for (at, workload) in workloads.iter().enumerate() {
                let questions = workload.questions(setting, round);
                for &name in workload.programs.iter().filter(|name| programs.contains(name)) {
                    let Running { program, port } = &running[&(workload.role, name)];
                    if workload.is_warm() {
                        workload.warm(*port, &questions);
                    }
                    pause(200);
                    let before = program.cpu();
                    let load = workload.run(*port, &questions);
                    let used = (program.cpu() - before) / load.done * 1e6;
                    println!(
                        "round {round}: {}: {name}: {used:.2} us CPU per query, {:.0} queries/s, {:.0} lost",
                        workload.name, load.rate, load.lost
                    );
                    turns.entry((at, name)).or_default().push(Turn { used, load });
                }
            }
        }
        Self { workloads: workloads.to_vec(), turns }
    }

    /// Median of microseconds for each query.
    pub(super) fn used(&self, workload: usize, name: &'static str) -> Option<f64> {
        let turns = self.turns.get(&(workload, name))?;
        Some(median(turns.iter().map(|turn| turn.used).collect()))
    }

    /// Median of how many times as much as another program of the same round it took.
    pub(super) fn multiple(&self, workload: usize, name: &'static str, beside: &'static str) -> Option<f64> {
        let turns = self.turns.get(&(workload, name))?;
        let others = self.turns.get(&(workload, beside))?;
        Some(median(turns.iter().zip(others).map(|(turn, other)| turn.used / other.used).collect()))
    }

    /// The same, where a workload has no floor of its own: beside that of the cluster names.
    pub(super) fn multiple_of_floor(&self, workload: usize, name: &'static str) -> Option<f64> {
        let floors = self.turns.get(&(workload, FLOOR)).or_else(|| self.turns.get(&(0, FLOOR)))?;
        let turns = self.turns.get(&(workload, name))?;
        Some(median(turns.iter().zip(floors).map(|(turn, floor)| turn.used / floor.used).collect()))
    }

    /// Median of queries a second, and the sum of what was lost.
    pub(super) fn rate(&self, workload: usize, name: &'static str) -> Option<(f64, f64)> {
        let turns = self.turns.get(&(workload, name))?;
        let lost = turns.iter().map(|turn| turn.load.lost).sum();
        Some((median(turns.iter().map(|turn| turn.load.rate).collect()), lost))
    }
}

pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A program with so many workers on all cores, which dnsperf has a share of: queries a second, microseconds for each.
pub(super) struct Workers {
    pub(super) what: &'static str,
    pub(super) name: &'static str,
    pub(super) count: usize,
    pub(super) rate: f64,
    pub(super) used: f64,
}

/// Names of the whole cluster; and one name in 20,000 spellings, which no worker has answered before: what workers share is
/// the same for all of these, so that they wait for each other as much as they ever can.
const SHARING: [&str; 2] = ["cluster names", "one name, ever other spellings"];

pub(super) fn with_workers(setting: &Setting, counts: &[usize]) -> Vec<Workers> {
    let spellings = setting.directory.join("spellings");
    let name = setting.probe.trim_end_matches('.');
    let text: String = (0..20_000).map(|number| spelled(name, number) + " A\n").collect();
    std::fs::write(&spellings, text).expect("a file");
    let mut all = Vec::new();
    for name in [SEAMARK, COREDNS] {
        for &count in counts {
            let port = free_port();
            let cores = format!("{},{}", CORES[0], CORES[1]);
            let program = setting.start(name, Role::Cluster, port, &cores, Some(count));
            eventually(&format!("{name} answers"), PATIENCE, || setting.is_up(port, name));
            for (what, questions) in SHARING.into_iter().zip([setting.questions.join("names"), spellings.clone()]) {
                pause(500);
                let before = program.cpu();
                let load = dnsperf(&cores, port, &questions, false, &["-l", "4", "-T", "2"]);
                let used = (program.cpu() - before) / load.done * 1e6;
                println!("{what}: {name} with {count} workers: {:.0} queries/s, {used:.2} us", load.rate);
                all.push(Workers { what, name, count, rate: load.rate, used });
            }
        }
    }
    all.sort_by_key(|workers| workers.what);
    all
}

/// A name with capitals where the bits of a number are set.
fn spelled(name: &str, mut number: usize) -> String {
    let mut spell = |letter: char| {
        if !letter.is_ascii_lowercase() {
            return letter;
        }
        let is_capital = number & 1 == 1;
        number >>= 1;
        if is_capital { letter.to_ascii_uppercase() } else { letter }
    };
    name.chars().map(&mut spell).collect()
}
