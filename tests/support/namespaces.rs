use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use super::server::{directory, eventually, subject};

/// The cluster's DNS as pods know it.
pub(crate) const CLUSTER_IP: &str = "10.96.0.10";
/// The cluster's DNS as the node cache knows it: the service `kube-dns-upstream`.
pub(crate) const UPSTREAM_IP: &str = "10.96.0.11";
/// A pod of the cluster's DNS, and the other one, which is the same process here.
pub(crate) const ENDPOINT: &str = "10.244.9.9";
pub(crate) const OTHER_ENDPOINT: &str = "10.244.9.10";
/// The cluster's DNS knows the names `n0.default.svc.cluster.local` to one less than this.
pub(crate) const NAMES: usize = 10_000;

/// A node with a pod, the cluster's DNS on another node, and an upstream in the internet, each in a network namespace
/// of its own:
///
/// ```text
///   pod 10.244.1.5 ── cni0 10.244.1.1 ── node ── 10.244.9.1 ── 10.244.9.9 dns (cluster.local)
///       fd00:1::5          fd00:1::1        └── 198.51.100.1 ── 198.51.100.53 net (google.com)
/// ```
///
/// Everything goes when it is dropped, and what an earlier run was not given the time to remove goes at the start.
pub(crate) struct World {
    prefix: String,
    children: Vec<Child>,
    pub(crate) directory: PathBuf,
}

/// How kube-proxy sends ClusterIPs to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxy {
    Iptables,
    Nftables,
    /// Nothing does: the fallback is on its own.
    Absent,
}

impl World {
    pub(crate) fn build(proxy: Proxy) -> Self {
        sweep();
        let directory = directory();
        let number = directory.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit('-').next());
        let prefix = format!("seamark-{}-{}", std::process::id(), number.unwrap_or("0"));
        let world = Self { prefix, children: Vec::new(), directory };
        for place in ["node", "pod", "dns", "net"] {
            run("ip", &["netns", "add", &world.name(place)]);
            world.shell(place, "ip link set lo up");
        }
        world.shell("node", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        world.shell("node", "ip link add cni0 type bridge && ip link set cni0 up");
        world.shell("node", "ip addr add 10.244.1.1/24 dev cni0 && ip addr add fd00:1::1/64 dev cni0 nodad");
        world.connect("pod", "10.244.1.5/24", "fd00:1::5/64", ("10.244.1.1", "fd00:1::1"));
        world.shell("node", "ip link set v-pod master cni0");
        for (place, subnet, subnet6) in [("dns", "10.244.9", "fd00:9"), ("net", "198.51.100", "fd00:99")] {
            let (host, host6) = if place == "dns" { (9, 9) } else { (53, 53) };
            let gateway = (format!("{subnet}.1"), format!("{subnet6}::1"));
            let (address, address6) = (format!("{subnet}.{host}/24"), format!("{subnet6}::{host6}/64"));
            world.connect(place, &address, &address6, (&gateway.0, &gateway.1));
            let (v4, v6) = gateway;
            world.shell(
                "node",
                &format!("ip addr add {v4}/24 dev v-{place} && ip addr add {v6}/64 dev v-{place} nodad"),
            );
        }
        world.shell("dns", &format!("ip addr add {OTHER_ENDPOINT}/24 dev eth0"));
        // Processes of the node find their way to ClusterIPs as they find it to anything else.
        world.shell("node", "ip route add default via 198.51.100.53");
        world.proxy(proxy);
        world
    }

    /// A veth pair between the node, where it is called `v-PLACE`, and a place.
    fn connect(&self, place: &str, address: &str, address6: &str, gateway: (&str, &str)) {
        self.shell("node", &format!("ip link add v-{place} type veth peer name eth0 netns {}", self.name(place)));
        self.shell("node", &format!("ip link set v-{place} up"));
        self.shell(place, "ip link set eth0 up");
        self.shell(place, &format!("ip addr add {address} dev eth0 && ip addr add {address6} dev eth0 nodad"));
        self.shell(
            place,
            &format!("ip route add default via {} && ip -6 route add default via {}", gateway.0, gateway.1),
        );
    }

    /// Rules as kube-proxy writes them, cut down to two services with the same two endpoints, which take turns.
    pub(crate) fn proxy(&self, proxy: Proxy) {
        for (ip, protocol) in [(CLUSTER_IP, "udp"), (CLUSTER_IP, "tcp"), (UPSTREAM_IP, "udp"), (UPSTREAM_IP, "tcp")] {
            match proxy {
                Proxy::Iptables => {
                    for chain in ["PREROUTING", "OUTPUT"] {
                        let rule = format!("iptables -t nat -A {chain} -d {ip}/32 -p {protocol} --dport 53");
                        let half = "-m statistic --mode nth --every 2 --packet 0";
                        self.shell("node", &format!("{rule} {half} -j DNAT --to-destination {OTHER_ENDPOINT}:53"));
                        self.shell("node", &format!("{rule} -j DNAT --to-destination {ENDPOINT}:53"));
                    }
                }
                Proxy::Nftables => {
                    self.shell("node", "nft add table ip kube-proxy");
                    for hook in ["prerouting", "output"] {
                        let chain = format!("nat-{hook} '{{ type nat hook {hook} priority -100; }}'");
                        self.shell("node", &format!("nft add chain ip kube-proxy {chain}"));
                        let to = format!("numgen inc mod 2 map '{{ 0 : {ENDPOINT}, 1 : {OTHER_ENDPOINT} }}'");
                        let rule = format!("ip daddr {ip} {protocol} dport 53 dnat to {to}");
                        self.shell("node", &format!("nft add rule ip kube-proxy nat-{hook} {rule}"));
                    }
                }
                Proxy::Absent => {}
            }
        }
    }

    /// Starts the cluster's DNS and the upstream in the internet. CLUSTER_DNS names another program for the first.
    pub(crate) fn start_servers(&mut self) {
        let program = std::env::var_os("CLUSTER_DNS").map_or_else(subject, PathBuf::from);
        let known = self.directory.join("hosts");
        let names: Vec<String> = (0..NAMES)
            .map(|number| format!("10.97.{}.{} n{number}.default.svc.cluster.local\n", number / 256, number % 256))
            .collect();
        fs::write(&known, names.concat()).expect("a hosts file");
        let hosts = |bind: &str, file: &str, line: &str| {
            format!(".:53 {{\n    bind {bind}\n    hosts {file} {{\n        {line}\n    }}\n}}\n")
        };
        let names =
            format!("10.96.0.1 kubernetes.default.svc.cluster.local\n{ENDPOINT} pods.kube-system.svc.cluster.local");
        let cluster = hosts(&format!("{ENDPOINT} {OTHER_ENDPOINT}"), &known.display().to_string(), &names);
        let internet = hosts("198.51.100.53", "", "192.0.2.80 google.com");
        for (place, program, corefile) in [("dns", program, cluster), ("net", subject(), internet)] {
            let path = self.directory.join(format!("Corefile.{place}"));
            fs::write(&path, corefile).expect("a Corefile");
            let link = self.link(&program, &format!("coredns-{place}"), "coredns");
            self.start(place, place, &format!("{} -conf {}", link.display(), path.display()), &[]);
        }
        for (place, server, name) in
            [("dns", ENDPOINT, "kubernetes.default.svc.cluster.local"), ("net", "198.51.100.53", "google.com")]
        {
            eventually(place, Duration::from_secs(30), || !self.ask(place, server, name).is_empty());
        }
    }

    /// A link to a program by which it is called as `name`.
    pub(crate) fn link(&self, program: &std::path::Path, folder: &str, name: &str) -> PathBuf {
        let folder = self.directory.join(folder);
        fs::create_dir_all(&folder).expect("a directory");
        let link = folder.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(program, &link).expect("a link");
        }
        link
    }

    /// Starts a program at a place; what it writes goes to `LOG.log`. Gives its number among the children.
    pub(crate) fn start(&mut self, place: &str, log: &str, command: &str, environment: &[(&str, &str)]) -> usize {
        let log = File::create(self.directory.join(format!("{log}.log"))).expect("a log");
        let child = Command::new("ip")
            .args(["netns", "exec", &self.name(place)])
            .args(command.split_whitespace())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("ip (Debian package iproute2) is needed");
        self.children.push(child);
        self.children.len() - 1
    }

    /// A started program.
    pub(crate) fn child(&mut self, number: usize) -> &mut Child {
        &mut self.children[number]
    }

    /// Sends a signal to a started program: `ip netns exec` has become that program.
    pub(crate) fn signal(&self, number: usize, name: &str) {
        run("kill", &["-s", name, &self.children[number].id().to_string()]);
    }

    /// What a program has written.
    pub(crate) fn log(&self, log: &str) -> String {
        fs::read_to_string(self.directory.join(format!("{log}.log"))).unwrap_or_default()
    }

    /// Runs a shell line at a place, which must go well; gives what it prints.
    pub(crate) fn shell(&self, place: &str, line: &str) -> String {
        let output = self.try_shell(place, line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {line}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a shell line at a place.
    pub(crate) fn try_shell(&self, place: &str, line: &str) -> Output {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(place), "sh", "-c", line]);
        command.output().expect("ip (Debian package iproute2) is needed")
    }

    /// The first address that a server gives for a name, asked from a place; words such as `+tcp` may stand behind it.
    pub(crate) fn ask(&self, place: &str, server: &str, question: &str) -> String {
        let output = self.try_shell(place, &format!("dig +short +time=4 +tries=1 @{server} {question}"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().filter(|line| !line.starts_with(';')).unwrap_or_default().to_owned()
    }

    /// The file that stands for a place's network, to enter it.
    pub(crate) fn network(&self, place: &str) -> File {
        File::open(format!("/run/netns/{}", self.name(place))).expect("a network namespace")
    }

    fn name(&self, place: &str) -> String {
        format!("{}-{place}", self.prefix)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|end| end == "log") {
                    let text = fs::read_to_string(entry.path()).unwrap_or_default();
                    eprintln!("--- {}\n{text}", entry.file_name().display());
                }
            }
        }
        for child in &mut self.children {
            _ = child.kill();
            _ = child.wait();
        }
        for place in ["node", "pod", "dns", "net"] {
            _ = Command::new("ip").args(["netns", "del", &self.name(place)]).output();
        }
        _ = fs::remove_dir_all(&self.directory);
    }
}

/// Removes the namespaces of test runs that do not live any more.
fn sweep() {
    let listed = Command::new("ip").args(["netns", "list"]).output().expect("ip (Debian package iproute2) is needed");
    for name in String::from_utf8_lossy(&listed.stdout).lines().filter_map(|line| line.split(' ').next()) {
        let owner = name.strip_prefix("seamark-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|process| !PathBuf::from(format!("/proc/{process}")).exists()) {
            _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {error}(root is needed)", words.join(" "));
}
