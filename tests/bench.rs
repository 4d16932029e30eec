//! CPU per query beside others. Run by `make bench`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    live::{coredns, examples},
    support::{
        apiserver::ApiServer,
        server::{directory, eventually, free_port, pause, program},
    },
};

const ROUNDS: usize = 5;
const SECONDS: &str = "5";
/// The core of the server, and that of dnsperf and the upstream.
const CORES: [&str; 2] = ["0", "1"];
const HITS: usize = 1_000;
const MISSES: usize = 2_000_000;

/// A running program. Killed when it is dropped.
struct Program(Child);

impl Program {
    fn start(core: &str, words: &[&str], directory: &Path) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).args(words).current_dir(directory);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().expect("taskset"))
    }

    /// User and system time, seconds.
    fn cpu(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("a process");
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        // Fields 14 and 15 of proc(5), counted behind the name, in hundredths of a second.
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap_or(0.);
        (ticks(11) + ticks(12)) / 100.
    }

    /// Resident memory, KiB.
    fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// What a program is run with.
struct Setting {
    directory: PathBuf,
    kubeconfig: PathBuf,
    upstream: u16,
}

impl Setting {
    /// The kubeadm Corefile on one address, as Unbound and the floor listen on one.
    fn corefile(&self, port: u16) -> String {
        let [health, ready, metrics] = [free_port(), free_port(), free_port()];
        format!(
            ".:{port} {{
    bind 127.0.0.1
    errors
    health :{health}
    ready :{ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :{metrics}
    forward . 127.0.0.1:{} {{
        max_concurrent 1000
    }}
    cache 30 {{
        disable success cluster.local
        disable denial cluster.local
    }}
    loop
    reload
    loadbalance
}}
",
            self.kubeconfig.display(),
            self.upstream
        )
    }

    fn unbound(&self, port: u16) -> String {
        format!(
            "server:
 interface: 127.0.0.1@{port}
 num-threads: 1
 do-daemonize: no
 use-syslog: no
 chroot: \"\"
 username: \"\"
 pidfile: \"\"
 do-not-query-localhost: no
 module-config: \"iterator\"
 msg-cache-size: 256m
 rrset-cache-size: 512m
 outgoing-range: 8192
 num-queries-per-thread: 4096
forward-zone:
 name: \".\"
 forward-addr: 127.0.0.1@{}
",
            self.upstream
        )
    }

    fn start(&self, name: &str, port: u16) -> Program {
        let corefile = |program: &Path| {
            fs::write(self.directory.join("Corefile"), self.corefile(port)).expect("a Corefile");
            let link = self.directory.join("coredns");
            _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(program, &link).expect("a link");
            Program::start(CORES[0], &["./coredns", "-conf", "Corefile"], &self.directory)
        };
        match name {
            "floor" => Program::start(CORES[0], &[&floor(), &port.to_string()], &self.directory),
            "Unbound" => {
                fs::write(self.directory.join("unbound.conf"), self.unbound(port)).expect("a file");
                Program::start(CORES[0], &["unbound", "-d", "-c", "unbound.conf"], &self.directory)
            }
            "CoreDNS 1.15.0" => corefile(&coredns()),
            _ => corefile(program()),
        }
    }

    fn queries(&self, kind: &str) -> PathBuf {
        let path = self.directory.join(kind.replace(' ', "-"));
        if path.exists() {
            return path;
        }
        let mut text = String::new();
        match kind {
            "cluster names" => {
                text += "api.shop.svc.cluster.local A\nweb.shop.svc.cluster.local AAAA\n";
                text += "nobody.shop.svc.cluster.local A\n";
            }
            "cache hits" => (0..HITS).for_each(|number| _ = writeln!(text, "h{number}.example.org A")),
            _ => (0..MISSES).for_each(|number| _ = writeln!(text, "m{number}.example.org A")),
        }
        fs::write(&path, text).expect("a file");
        path
    }
}

fn floor() -> String {
    std::env::var("FLOOR").expect("`make bench` builds the floor and sets FLOOR")
}

/// What dnsperf says.
struct Load {
    done: f64,
    rate: f64,
    lost: f64,
}

fn dnsperf(port: u16, queries: &Path, how: &[&str]) -> Load {
    let mut command = Command::new("taskset");
    let port = port.to_string();
    let command = command.args(["-c", CORES[1], "dnsperf", "-s", "127.0.0.1", "-p", &port, "-d"]).arg(queries);
    let output = command.args(how).output().expect("dnsperf");
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

#[test]
#[ignore = "make bench"]
fn cpu_per_query() {
    let cluster = ApiServer::start();
    cluster.apply_directory(&examples());
    let directory = directory();
    let upstream = free_port();
    let _upstream = Program::start(CORES[1], &[&floor(), &upstream.to_string()], &directory);
    let setting = Setting { directory, kubeconfig: cluster.kubeconfig(), upstream };
    let mut figures: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for round in 1..=ROUNDS {
        for (kind, names) in [
            ("cluster names", &["floor", "seamark", "CoreDNS 1.15.0"][..]),
            ("cache hits", &["floor", "seamark", "Unbound", "CoreDNS 1.15.0"]),
            ("forward misses", &["seamark", "Unbound", "CoreDNS 1.15.0"]),
        ] {
            for &name in names {
                let port = free_port();
                let program = setting.start(name, port);
                eventually("the server answers", Duration::from_secs(20), || {
                    !crate::support::dig::ask(port, &["api.shop.svc.cluster.local.", "+recurse", "+time=1"])
                        .answer
                        .is_empty()
                });
                let queries = setting.queries(kind);
                if kind == "cache hits" {
                    dnsperf(port, &queries, &["-n", "1", "-q", "50"]);
                }
                pause(200);
                let before = program.cpu();
                let load = dnsperf(port, &queries, &["-l", SECONDS, "-c", "8", "-q", "200"]);
                let used = (program.cpu() - before) / load.done * 1e6;
                figures.entry((kind, name)).or_default().push(used);
                println!(
                    "round {round}: {kind}: {name}: {used:.2} us CPU per query, {:.0} queries/s, {} lost, RSS {} MiB",
                    load.rate,
                    load.lost,
                    program.memory() / 1024
                );
            }
        }
    }
    // What a machine gives changes from minute to minute: a program is compared with the floor of the same round.
    println!("medians of {ROUNDS} rounds, us CPU per query, and as a multiple of the floor of the same round:");
    for ((kind, name), used) in &figures {
        let middle = |mut figures: Vec<f64>| {
            figures.sort_by(f64::total_cmp);
            (figures[ROUNDS / 2], figures[0], figures[ROUNDS - 1])
        };
        let (median, least, most) = middle(used.clone());
        let floor = figures.get(&(*kind, "floor"));
        let multiple = floor.map(|floor| middle(used.iter().zip(floor).map(|(used, floor)| used / floor).collect()).0);
        let multiple = multiple.map(|multiple| format!("  {multiple:.2} x floor")).unwrap_or_default();
        println!("{kind:16} {name:16} {median:6.2}  ({least:.2} to {most:.2}){multiple}");
    }
}
