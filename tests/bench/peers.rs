//! The programs, and what each of them is run with. All of them listen on 127.0.0.1.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    live::coredns,
    support::{
        apiserver::ApiServer,
        dig::ask,
        server::{directory, free_port, program},
    },
};

use super::{COREDNS, CORES, FLOOR, KNOT, UNBOUND};

/// A running program. Killed when it is dropped.
pub(super) struct Program(Child);

impl Program {
    pub(super) fn start(core: &str, words: &[&str], directory: &Path) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).args(words).current_dir(directory);
        let log = fs::File::create(directory.join("log")).expect("a log");
        let quiet = command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        Self(quiet.spawn().expect("taskset"))
    }

    /// User and system time, seconds.
    pub(super) fn cpu(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("a process");
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        // Fields 14 and 15 of proc(5), counted behind the name, in hundredths of a second.
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap_or(0.);
        (ticks(11) + ticks(12)) / 100.
    }

    /// Resident memory and its peak, KiB.
    pub(super) fn memory(&self) -> (u64, u64) {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let number = |label: &str| {
            let line = text.lines().find(|line| line.starts_with(label)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        (number("VmRSS:"), number("VmHWM:"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// What a program is there for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// The cluster's DNS, with the kubeadm Corefile.
    Cluster,
    /// A node's cache in front of it, with the four blocks of the stock manifest.
    Node,
}

/// What programs are run with.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) directory: PathBuf,
    pub(super) kubeconfig: PathBuf,
    /// Files of questions about the cluster, and its zone.
    pub(super) questions: PathBuf,
    pub(super) upstream: u16,
    /// `insecure`, or `verified`.
    pub(super) pods: &'static str,
    /// A cluster name to see whether a program has read the cluster.
    pub(super) probe: String,
}

impl Setting {
    pub(super) fn new(cluster: &ApiServer, upstream: u16) -> Self {
        let questions = cluster.questions("names").parent().map(Path::to_path_buf).unwrap_or_default();
        let zone = fs::read_to_string(questions.join("cluster.local.zone")).expect("a made cluster");
        let probe = zone.lines().last().and_then(|line| line.split(' ').next()).unwrap_or_default();
        let probe = format!("{probe}.cluster.local.");
        Self { directory: directory(), kubeconfig: cluster.kubeconfig(), questions, upstream, pods: "insecure", probe }
    }

    /// Removes what programs were run with.
    pub(super) fn clear(&self) {
        _ = fs::remove_dir_all(&self.directory);
    }

    /// The same with another upstream.
    pub(super) fn with_upstream(&self, upstream: u16) -> Self {
        Self { upstream, ..self.clone() }
    }

    /// Starts a program with as many workers as there are cores, or so many.
    pub(super) fn start(&self, name: &str, role: Role, port: u16, core: &str, workers: Option<usize>) -> Program {
        let directory = self.directory.join(format!("{}-{port}", name.replace(' ', "-")));
        fs::create_dir_all(&directory).expect("a directory");
        let corefile = |program: &Path| {
            let text = match role {
                Role::Cluster => self.corefile(port),
                Role::Node => self.node_corefile(port),
            };
            fs::write(directory.join("Corefile"), text).expect("a Corefile");
            std::os::unix::fs::symlink(program, directory.join("coredns")).expect("a link");
            let count = workers.map(|workers| workers.to_string()).unwrap_or_default();
            let go = format!("GOMAXPROCS={count}");
            let command = ["./coredns", "-conf", "Corefile"];
            let words = match workers {
                None => command.to_vec(),
                Some(_) if name == COREDNS => [&["env", &go], &command[..]].concat(),
                Some(_) => [&command[..], &["-workers", &count]].concat(),
            };
            Program::start(core, &words, &directory)
        };
        match name {
            FLOOR => Program::start(core, &[&floor(), &port.to_string()], &directory),
            UNBOUND => {
                fs::write(directory.join("unbound.conf"), self.unbound(port)).expect("a file");
                Program::start(core, &["unbound", "-d", "-c", "unbound.conf"], &directory)
            }
            KNOT => {
                let hits: String = (0..1000).map(|number| format!("h{number} 30 A 192.0.2.1\n")).collect();
                let apex = "@ 30 SOA ns hostmaster 1 7200 1800 86400 30\n@ 30 NS ns\nns 30 A 192.0.2.1\n";
                fs::write(directory.join("example.org.zone"), format!("$ORIGIN example.org.\n{apex}{hits}"))
                    .expect("a zone");
                fs::copy(self.questions.join("cluster.local.zone"), directory.join("cluster.local.zone"))
                    .expect("a zone");
                fs::write(directory.join("knot.conf"), knot(port, &directory)).expect("a file");
                Program::start(core, &["knotd", "-c", "knot.conf"], &directory)
            }
            COREDNS => corefile(&coredns()),
            _ => corefile(program()),
        }
    }

    pub(super) fn start_floor(&self, core: &str, port: u16) -> Program {
        self.start(FLOOR, Role::Cluster, port, core, None)
    }

    /// The same for a program of the cluster on the server's core.
    pub(super) fn start_pinned(&self, name: &str, role: Role, port: u16) -> Program {
        self.start(name, role, port, CORES[0], None)
    }

    /// Whether a program answers what it is there for.
    pub(super) fn is_up(&self, port: u16, name: &str) -> bool {
        let words = if name == UNBOUND { "probe.example.org." } else { self.probe.as_str() };
        !ask(port, &[words, "+recurse", "+time=1"]).answer.is_empty()
    }

    /// The kubeadm Corefile on one address, as Unbound and the floor listen on one.
    fn corefile(&self, port: u16) -> String {
        let [health, ready, metrics] = [free_port(), free_port(), free_port()];
        format!(
            ".:{port} {{
    bind 127.0.0.1
    errors
    health 127.0.0.1:{health}
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {}
        pods {}
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus 127.0.0.1:{metrics}
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
            self.pods,
            self.upstream
        )
    }

    /// The four blocks of the stock manifest. Behind them is the upstream port, which must speak TCP.
    fn node_corefile(&self, port: u16) -> String {
        let [health, metrics] = [free_port(), free_port()];
        let block = |zone: &str, cache: &str, health: &str| {
            format!(
                "{zone}:{port} {{
    errors
    cache {cache}
    reload
    loop
    bind 127.0.0.1
    forward . 127.0.0.1:{} {{
        force_tcp
    }}
    prometheus 127.0.0.1:{metrics}
{health}}}
",
                self.upstream
            )
        };
        let sizes = "{\n        success 9984 30\n        denial 9984 5\n    }";
        [
            block("cluster.local", sizes, &format!("    health 127.0.0.1:{health}\n")),
            block("in-addr.arpa", "30", ""),
            block("ip6.arpa", "30", ""),
            block(".", "30", ""),
        ]
        .concat()
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
remote-control:
 control-enable: no
forward-zone:
 name: \".\"
 forward-addr: 127.0.0.1@{}
",
            self.upstream
        )
    }
}

fn knot(port: u16, directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "server:
    rundir: {directory}
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {directory}
template:
  - id: default
    storage: {directory}
    journal-content: none
zone:
  - domain: cluster.local
    file: cluster.local.zone
  - domain: example.org
    file: example.org.zone
"
    )
}

fn floor() -> String {
    std::env::var("FLOOR").expect("`make bench` builds the floor and sets FLOOR")
}
