//! What is asked, and dnsperf, which asks it.

use std::{fmt::Write as _, fs, path::PathBuf, process::Command};

use super::{
    COREDNS, CORES, FLOOR, KNOT, SEAMARK, UNBOUND,
    peers::{Role, Setting},
};

/// Seconds of one measurement.
const SECONDS: &str = "3";
const HITS: usize = 1_000;
/// More than anybody answers in one measurement.
const MISSES: usize = 500_000;
/// Names that the pods of a node ask for.
const OF_A_NODE: usize = 2_000;

/// A kind of question, and the programs that take it.
#[derive(Clone, Copy)]
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    file: File,
    pub(super) role: Role,
    tcp: bool,
    pub(super) programs: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum File {
    /// Of the cluster (tests/apiserver/README.md).
    Cluster(&'static str),
    /// The first names of the cluster.
    Node,
    Hits,
    Misses,
}

const fn cluster(name: &'static str, file: &'static str, what: &'static str) -> Workload {
    let programs = &[FLOOR, SEAMARK, COREDNS];
    Workload { name, what, file: File::Cluster(file), role: Role::Cluster, tcp: false, programs }
}

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        programs: &[FLOOR, SEAMARK, KNOT, COREDNS],
        ..cluster(
            "cluster names",
            "names",
            "A and AAAA of Services, one in ten headless; one name in ten does not exist",
        )
    },
    cluster(
        "ndots:5 walk",
        "walk",
        "what resolvers of pods send, A and AAAA: the search list, then the name; each of 200 namespaces uses ten Services and ten names outside",
    ),
    cluster("PTR", "ptr", "addresses of Services and of endpoints"),
    cluster("SRV", "srv", "a port of headless Services, with the addresses of the targets"),
    Workload {
        programs: &[FLOOR, SEAMARK, KNOT, UNBOUND, COREDNS],
        file: File::Hits,
        ..cluster("cache hits", "", "1,000 names outside the cluster, kept; Knot has them in a zone")
    },
    Workload {
        programs: &[SEAMARK, UNBOUND, COREDNS],
        file: File::Misses,
        ..cluster("forward misses", "", "a name that nobody has asked for yet")
    },
    Workload {
        programs: &[SEAMARK, COREDNS],
        file: File::Node,
        role: Role::Node,
        ..cluster(
            "node cache",
            "",
            "2,000 of the cluster names through the four blocks of a node cache, upstreams over TCP",
        )
    },
    Workload {
        programs: &[SEAMARK, KNOT, COREDNS],
        tcp: true,
        ..cluster("TCP", "names", "the cluster names over eight connections, 25 questions under way on each")
    },
];

impl Workload {
    /// The file of questions. Misses need another one each time.
    pub(super) fn questions(&self, setting: &Setting, round: usize) -> PathBuf {
        let text = match self.file {
            File::Cluster(file) => return setting.questions.join(file),
            File::Node => {
                let all = fs::read_to_string(setting.questions.join("names")).expect("questions");
                all.lines().take(OF_A_NODE).fold(String::new(), |text, line| text + line + "\n")
            }
            File::Hits => names(HITS, "h"),
            File::Misses => names(MISSES, &format!("m{round}-")),
        };
        let path = setting.directory.join(self.name.replace(' ', "-"));
        fs::write(&path, text).expect("a file");
        path
    }

    /// Whether answers come from a cache that must have been filled.
    pub(super) fn is_warm(&self) -> bool {
        matches!(self.file, File::Hits | File::Node)
    }

    pub(super) fn run(&self, port: u16, questions: &PathBuf) -> Load {
        dnsperf(CORES[1], port, questions, self.tcp, &["-l", SECONDS])
    }

    /// Each question once.
    pub(super) fn warm(&self, port: u16, questions: &PathBuf) {
        dnsperf(CORES[1], port, questions, self.tcp, &["-n", "1"]);
    }
}

fn names(count: usize, prefix: &str) -> String {
    let mut text = String::new();
    (0..count).for_each(|number| _ = writeln!(text, "{prefix}{number}.example.org A"));
    text
}

/// What dnsperf says.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) done: f64,
    pub(super) rate: f64,
    pub(super) lost: f64,
}

/// Asks over eight sockets, 200 questions under way.
pub(super) fn dnsperf(cores: &str, port: u16, questions: &PathBuf, tcp: bool, how: &[&str]) -> Load {
    let mut command = Command::new("taskset");
    let port = port.to_string();
    command.args(["-c", cores, "dnsperf", "-s", "127.0.0.1", "-p", &port, "-c", "8", "-q", "200"]);
    command.args(["-m", if tcp { "tcp" } else { "udp" }, "-d"]).arg(questions).args(how);
    let output = command.output().expect("dnsperf");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |label: &str| {
        let line = text.lines().find(|line| line.contains(label)).unwrap_or_default();
        let word = line.split(':').nth(1).and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.)
    };
    let load =
        Load { done: number("Queries completed"), rate: number("Queries per second"), lost: number("Queries lost") };
    assert!(load.done > 0., "{text}");
    load
}
