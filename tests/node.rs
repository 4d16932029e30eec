//! The node cache on a node made of network namespaces. Run by `make e2e`, as root.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::support::{
    asker::{Asker, Tally},
    namespaces::{CLUSTER_IP, ENDPOINT, NAMES, OTHER_ENDPOINT, Proxy, UPSTREAM_IP, World},
    server::{directory, eventually, is_as_released, pause, program, subject},
};

const LINK_LOCAL: &str = "169.254.20.53";
const CLUSTER_NAME: &str = "kubernetes.default.svc.cluster.local";

/// What an instance leaves for the time without one.
const FALLBACK: &str = "table inet seamark-fallback\n";

/// The Corefile of the stock manifest.
const STOCK: &str = "\
__PILLAR__DNS__DOMAIN__:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__CLUSTER__DNS__ {
            force_tcp
    }
    prometheus :9253
    health __PILLAR__LOCAL__DNS__:8080
    }
in-addr.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__CLUSTER__DNS__ {
            force_tcp
    }
    prometheus :9253
    }
ip6.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__CLUSTER__DNS__ {
            force_tcp
    }
    prometheus :9253
    }
.:53 {
    errors
    cache 30
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__UPSTREAM__SERVERS__
    prometheus :9253
    }
";

/// A node with the stock manifest's template, after the `sed` of the recipe.
struct Node {
    world: World,
    instances: usize,
}

impl Node {
    fn build(proxy: Proxy) -> Self {
        let mut world = World::build(proxy);
        world.start_servers();
        let template = STOCK
            .replace("__PILLAR__LOCAL__DNS__", LINK_LOCAL)
            .replace("__PILLAR__DNS__DOMAIN__", "cluster.local")
            .replace("__PILLAR__DNS__SERVER__", CLUSTER_IP);
        let node = Self { world, instances: 0 };
        fs::create_dir_all(node.path("kube-dns")).expect("a directory");
        node.write("Corefile.base", &template);
        node.write("kube-dns/upstreamNameservers", r#"["198.51.100.53"]"#);
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.directory.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// The stock arguments, with the paths of this test.
    fn command(&self, more: &str) -> String {
        let program = self.world.link(&subject(), "node", "node-cache");
        let (conf, base, kube_dns) = (self.path("Corefile"), self.path("Corefile.base"), self.path("kube-dns"));
        format!(
            "{} -localip {LINK_LOCAL},{CLUSTER_IP} -conf {} -basecorefile {} -kubednscm {} -upstreamsvc kube-dns-upstream {more}",
            program.display(),
            conf.display(),
            base.display(),
            kube_dns.display()
        )
    }

    /// Starts an instance and waits until queries come to it.
    fn start(&mut self, more: &str) -> usize {
        self.launch(more, 2)
    }

    /// Starts an instance with these many local addresses, named by the last `-localip`.
    fn start_with(&mut self, local: &str, backend: &str, addresses: usize) -> usize {
        self.launch(&format!("{local} -rulesbackend {backend}"), addresses)
    }

    fn launch(&mut self, more: &str, addresses: usize) -> usize {
        self.instances += 1;
        let log = format!("node-{}", self.instances);
        let command = self.command(more);
        let number = self.world.start("node", &log, &command, &[("KUBE_DNS_UPSTREAM_SERVICE_HOST", UPSTREAM_IP)]);
        eventually("the node cache is ready", Duration::from_secs(30), || {
            self.world.log(&log).matches(" come here").count() >= addresses
        });
        number
    }

    /// Ends an instance; gives its exit code.
    fn end(&mut self, number: usize, signal: &str) -> Option<i32> {
        self.world.signal(number, signal);
        self.world.child(number).wait().expect("a child").code()
    }

    fn pod(&self, server: &str, question: &str) -> String {
        self.world.ask("pod", server, question)
    }

    fn http(&self, url: &str) -> String {
        self.world.shell("node", &format!("curl -s -m 5 {url}"))
    }

    /// The names of our tables, of the device and of iptables rules: what we have left on the host.
    fn traces(&self) -> String {
        let line = "nft list tables | grep seamark; ip -br link show | grep nodelocaldns; \
                    ip -br addr | grep -e 169.254.20.53 -e 10.96.0.10; iptables-save 2>/dev/null | grep NodeLocal; true";
        self.world.shell("node", line)
    }

    /// Waits until a node cache knows who answers when none does.
    fn knows_endpoints(&self, endpoints: &[&str]) {
        let listed: Vec<String> = endpoints.iter().map(|endpoint| format!("{endpoint}:53")).collect();
        let told = format!("without a node cache the cluster's DNS answers: {}\n", listed.join(" "));
        eventually("the endpoints are known", Duration::from_secs(60), || {
            (1..=self.instances).any(|number| self.world.log(&format!("node-{number}")).contains(&told))
        });
    }

    fn clean_up(&self) {
        assert_eq!(self.world.shell("node", &self.command("-cleanup")), "nothing is left on this host\n");
    }

    /// What dig says of a question from the pod: the whole reply, and how many milliseconds it took.
    fn dig(&self, question: &str) -> (String, u128) {
        let start = Instant::now();
        let output = self.world.try_shell("pod", &format!("dig +time=10 +tries=1 @{CLUSTER_IP} {question}"));
        (String::from_utf8_lossy(&output.stdout).into_owned(), start.elapsed().as_millis())
    }

    /// Memory of an instance, kB: all of it, what is its own, and what is of files.
    fn memory(&mut self, number: usize) -> [usize; 3] {
        let path = format!("/proc/{}/status", self.world.child(number).id());
        let status = fs::read_to_string(path).expect("a process");
        ["VmRSS:", "RssAnon:", "RssFile:"].map(|word| {
            let line = status.lines().find_map(|line| line.strip_prefix(word)).expect("a line");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        })
    }

    fn unready(&self) -> bool {
        self.world.try_shell("node", "curl -s -m 1 127.0.0.1:9353/ready").stdout != b"OK"
    }

    fn asker(&self, server: &str) -> Asker {
        Asker::start(self.world.network("pod"), format!("{server}:53").parse().expect("an address"))
    }
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn the_recipe_from_a_pod_with_both_kinds_of_kube_proxy_and_of_rules() {
    for proxy in [Proxy::Iptables, Proxy::Nftables] {
        for backend in ["nft", "iptables"] {
            let mut node = Node::build(proxy);
            assert_eq!(node.pod(CLUSTER_IP, CLUSTER_NAME), "10.96.0.1", "kube-proxy alone");
            assert_eq!(node.pod(CLUSTER_IP, "google.com"), "", "the cluster's DNS of this test knows no internet");
            let number = node.start(&format!("-rulesbackend {backend}"));
            for words in ["", "+tcp"] {
                assert_eq!(node.pod(LINK_LOCAL, &format!("google.com {words}")), "192.0.2.80");
                assert_eq!(
                    node.pod(CLUSTER_IP, &format!("google.com {words}")),
                    "192.0.2.80",
                    "only the cache knows it"
                );
                assert_eq!(node.pod(CLUSTER_IP, &format!("{CLUSTER_NAME} {words}")), "10.96.0.1");
                assert_eq!(node.pod(LINK_LOCAL, &format!("{CLUSTER_NAME} {words}")), "10.96.0.1");
            }
            assert_eq!(node.http(&format!("{LINK_LOCAL}:8080/health")), "OK");
            assert_eq!(node.http("127.0.0.1:9353/ready"), "OK");
            let metrics = node.http(&format!("{LINK_LOCAL}:9253/metrics"));
            for upstream in [UPSTREAM_IP, "198.51.100.53"] {
                let asked = format!("coredns_forward_requests_total{{to=\"{upstream}:53\"}}");
                assert!(metrics.contains(&asked), "{asked}\n{metrics}");
            }
            let setup = node.http("127.0.0.1:9353/metrics");
            for kind in ["configmap", "interface_add", "interface_check", "iptables", "iptables_lock"] {
                let none = format!("coredns_nodecache_setup_errors_total{{errortype=\"{kind}\"}} 0\n");
                assert!(setup.contains(&none), "{none}{setup}");
            }
            let page = include_str!("../docs/node-local.md");
            for family in ["coredns_nodecache_setup_errors_total", "seamark_node_intercepted"] {
                assert!(page.contains(family) && setup.contains(&format!("# TYPE {family} ")), "{family}");
            }
            assert_eq!(node.end(number, "TERM"), Some(0));
            assert_eq!(node.traces(), FALLBACK, "{proxy:?} {backend}");
            assert_eq!(node.pod(CLUSTER_IP, CLUSTER_NAME), "10.96.0.1", "kube-proxy alone, again");
            assert_eq!(node.pod(LINK_LOCAL, CLUSTER_NAME), "10.96.0.1", "for pods that know nobody else");
            node.clean_up();
            assert_eq!(node.traces(), "", "{proxy:?} {backend}");
        }
    }
}

/// Asks all the time from a pod, over both addresses, while something happens; gives what became of the questions.
fn while_asking(node: &mut Node, happen: impl FnOnce(&mut Node)) -> [Tally; 2] {
    let askers = [node.asker(CLUSTER_IP), node.asker(LINK_LOCAL)];
    pause(300);
    happen(node);
    pause(1500);
    askers.map(Asker::stop)
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn whatever_happens_to_the_node_cache_pods_are_answered() {
    for proxy in [Proxy::Iptables, Proxy::Nftables, Proxy::Absent] {
        let mut node = Node::build(proxy);
        // Without kube-proxy the service has no address to ask.
        let flags = match proxy {
            Proxy::Iptables | Proxy::Nftables => String::new(),
            Proxy::Absent => format!("-clusterdns {ENDPOINT} -fallbackdns {ENDPOINT},{OTHER_ENDPOINT}"),
        };
        let mut number = node.start(&flags);
        // With the stock arguments nobody has said who they are.
        node.knows_endpoints(&[ENDPOINT, OTHER_ENDPOINT]);
        let mut told = Vec::new();
        let mut story = |what: &str, tallies: [Tally; 2]| {
            for (tally, server) in tallies.iter().zip([CLUSTER_IP, LINK_LOCAL]) {
                told.push(format!("{what}, {server}: {tally:?}"));
                assert!(tally.asked > 500, "{what}: {tally:?}");
                assert_eq!(tally.lost, 0, "{what}, {server}, {proxy:?}");
            }
        };
        let tallies = while_asking(&mut node, |_| ());
        story("nothing", tallies);
        let tallies = while_asking(&mut node, |node| {
            node.world.shell("node", "nft flush ruleset");
            // kube-proxy repairs its own rules.
            node.world.proxy(proxy);
        });
        story("rules flushed", tallies);
        let tallies = while_asking(&mut node, |node| _ = node.end(number, "KILL"));
        story("SIGKILL", tallies);
        let tallies = while_asking(&mut node, |node| number = node.start(&flags));
        story("start after SIGKILL", tallies);
        let tallies = while_asking(&mut node, |node| {
            let next = node.start(&flags);
            assert_eq!(node.end(number, "TERM"), Some(0));
            number = next;
        });
        story("upgrade with overlap", tallies);
        let tallies = while_asking(&mut node, |node| {
            assert_eq!(node.end(number, "TERM"), Some(0));
            number = node.start(&flags);
        });
        story("SIGTERM, then start", tallies);
        eprintln!("{proxy:?}\n  {}", told.join("\n  "));
    }
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn both_families_in_one_process() {
    for backend in ["nft", "iptables"] {
        let mut node = Node::build(Proxy::Nftables);
        let template = fs::read_to_string(node.path("Corefile.base")).expect("a template");
        let more = format!("bind {LINK_LOCAL} {CLUSTER_IP}");
        assert!(template.contains(&more), "{template}");
        node.write("Corefile.base", &template.replace(&more, &format!("{more} fd00::53")));
        let number = node.start_with("-localip fd00::53,169.254.20.53,10.96.0.10", backend, 3);
        for words in ["", "+tcp"] {
            for server in ["fd00::53", LINK_LOCAL, CLUSTER_IP] {
                assert_eq!(
                    node.pod(server, &format!("google.com {words}")),
                    "192.0.2.80",
                    "{server} {backend} {words}"
                );
            }
        }
        assert_eq!(node.end(number, "INT"), Some(0));
        node.clean_up();
        assert_eq!(node.traces(), "", "{backend}");
    }
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn what_others_do_to_the_host_is_repaired_or_named() {
    let mut node = Node::build(Proxy::Nftables);
    let number = node.start("-fallbackdns 10.244.9.9 -syncinterval 1s");
    node.world.shell("node", "ip link del nodelocaldns");
    eventually("the device is back", Duration::from_secs(5), || node.pod(LINK_LOCAL, "google.com") == "192.0.2.80");
    node.world.shell("node", "ip addr del 10.96.0.10/32 dev nodelocaldns");
    eventually("the address is back", Duration::from_secs(5), || node.pod(CLUSTER_IP, "google.com") == "192.0.2.80");
    node.world.shell("node", "nft delete table inet seamark-fallback");
    eventually("the fallback is back", Duration::from_secs(5), || node.traces().contains("seamark-fallback"));
    let owned = node
        .traces()
        .split_whitespace()
        .find(|word| word.starts_with("seamark-") && !word.contains("fallback"))
        .map(str::to_owned);
    let deletion = format!("nft delete table inet {}", owned.expect("our own table"));
    assert!(!node.world.try_shell("node", &deletion).status.success(), "nobody else may touch it");

    node.world.shell(
        "node",
        "nft add table inet fw; nft add chain inet fw in '{ type filter hook input priority 0; policy drop; }'",
    );
    eventually("the self-test sees it", Duration::from_secs(15), || {
        node.world.log("node-1").contains(
            "queries to 10.96.0.10 are not answered: a firewall drops what it does not know: table fw, chain in",
        )
    });
    eventually("it is not ready", Duration::from_secs(5), || node.unready());
    node.world.shell("node", "nft delete table inet fw");
    eventually("it is ready again", Duration::from_secs(15), || !node.unready());

    node.write("kube-dns/stubDomains", r#"{"corp.example": ["10.244.9.9"], "broken""#);
    eventually("it is counted", Duration::from_secs(10), || {
        node.http("127.0.0.1:9353/metrics")
            .contains("coredns_nodecache_setup_errors_total{errortype=\"configmap\"} 1\n")
    });
    assert_eq!(node.pod(CLUSTER_IP, "google.com"), "192.0.2.80", "the last good one goes on");
    node.write("kube-dns/stubDomains", r#"{"google.com": ["10.244.9.9"]}"#);
    eventually("it is taken over", Duration::from_secs(10), || node.pod(CLUSTER_IP, "google.com").is_empty());
    node.write("kube-dns/stubDomains", "{}");
    eventually("it goes again", Duration::from_secs(10), || node.pod(CLUSTER_IP, "google.com") == "192.0.2.80");
    // A server by its name, which the cluster's DNS knows.
    node.write("kube-dns/stubDomains", r#"{"google.com": ["pods.kube-system.svc.cluster.local"]}"#);
    eventually("it is found", Duration::from_secs(10), || node.pod(CLUSTER_IP, "google.com").is_empty());
    assert_eq!(node.end(number, "QUIT"), Some(0));
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn wrong_input_ends_with_a_message_and_leaves_nothing() {
    let node = Node::build(Proxy::Absent);
    node.write("empty", "# nothing\n");
    node.write("bad", ".:53 {\n    bind 169.254.20.53\n    nonsense\n}\n");
    node.write("loopback", ".:5353 {\n    bind 127.0.0.1\n    whoami\n}\n");
    let no_right = "setpriv --bounding-set=-net_admin --inh-caps=-net_admin";
    let line = "-localip 169.254.20.53";
    let known = "-clusterdns 10.244.9.9";
    node.world.shell("node", "ip link add kube-ipvs0 type bridge; ip addr add 10.96.0.10/32 dev kube-ipvs0");
    for (before, flags, code, message) in [
        ("", "-localip 169.254.20.530", 2, "flag `-localip`: `169.254.20.530` is not an IP address"),
        ("", "-localip 169.254.20.53 -nope", 2, "unknown flag `-nope`"),
        ("", line, 1, "the environment has no address of the service"),
        ("", &format!("{line},10.96.0.10 {known}"), 1, "10.96.0.10 belongs to device kube-ipvs0 already"),
        ("", &format!("{line} {known} -interfacename cni0"), 1, "device cni0 is there already"),
        (
            "sysctl -qw net.ipv6.conf.default.disable_ipv6=1;",
            &format!("-localip fd00::53 {known}"),
            1,
            "is IPv6 off on this host?",
        ),
        (no_right, &format!("{line} {known}"), 1, "the process needs the capability NET_ADMIN"),
        (
            no_right,
            &format!("{line} {known} -setupinterface=false -basecorefile BASE/loopback"),
            1,
            "packet rules: nftables: Operation not permitted",
        ),
        ("", &format!("{line} {known} -basecorefile BASE/empty"), 1, "the template has no server block"),
        ("", &format!("{line} {known} -basecorefile BASE/bad"), 1, "Unknown directive 'nonsense'"),
        ("", &format!("{line} {known} -basecorefile BASE/absent"), 1, "No such file"),
        ("", &format!("{line} {known} -conf /nowhere/Corefile"), 1, "/nowhere/Corefile: cannot be written"),
    ] {
        let base = node.world.directory.display().to_string();
        let defaults =
            format!("-conf {base}/Corefile -basecorefile {base}/Corefile.base -metrics-listen-address 127.0.0.1:9353");
        let program = node.world.link(&subject(), "node", "node-cache");
        let command = format!("{before} timeout 10 {} {defaults} {}", program.display(), flags.replace("BASE", &base));
        let output = node.world.try_shell("node", &command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{flags}: {said}");
        assert!(said.contains(message), "{flags}: {said}");
        let traces = node.traces();
        assert_eq!(traces.lines().filter(|line| !line.starts_with("kube-ipvs0")).count(), 0, "{flags}: {traces}");
    }
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn the_fallback_learns_the_endpoints_and_cleanup_takes_everything_away() {
    let mut node = Node::build(Proxy::Absent);
    // A headless service of the cluster's DNS: here a name that its one pod answers.
    let flags = format!("-clusterdns {ENDPOINT} -fallbackname pods.kube-system.svc.cluster.local");
    let number = node.start(&flags);
    eventually("the endpoint is learnt", Duration::from_secs(5), || {
        node.world.log("node-1").contains("the cluster's DNS answers: 10.244.9.9:53")
    });
    assert_eq!(node.end(number, "KILL"), None);
    assert_eq!(node.pod(LINK_LOCAL, CLUSTER_NAME), "10.96.0.1");
    assert!(node.traces().contains("nodelocaldns"), "nobody was there to remove the device");
    node.clean_up();
    assert_eq!(node.traces(), "");

    let number = node.start(&flags);
    let told = node.world.shell("node", &node.command("-cleanup"));
    assert_eq!(told, "1 running: everything goes when the last one ends\n");
    assert_eq!(node.pod(LINK_LOCAL, "google.com"), "192.0.2.80", "it goes on until it ends");
    assert_eq!(node.end(number, "TERM"), Some(0));
    assert_eq!(node.traces(), "");

    let flags = format!("{flags} -rulesbackend iptables -skipteardown");
    let number = node.start(&flags);
    assert_eq!(node.end(number, "TERM"), Some(0));
    assert_eq!(node.traces().matches("NodeLocal DNS Cache").count(), 24, "they were to be kept");
    let number = node.start(&flags);
    node.world.shell("node", &node.command("-cleanup"));
    assert_eq!(node.end(number, "TERM"), Some(0));
    assert_eq!(node.traces(), "");
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn an_endpoint_that_is_gone_leaves_the_fallback() {
    let mut node = Node::build(Proxy::Iptables);
    let number = node.start("");
    node.knows_endpoints(&[ENDPOINT, OTHER_ENDPOINT]);
    node.world.shell("dns", &format!("ip addr del {OTHER_ENDPOINT}/24 dev eth0"));
    // kube-proxy goes on sending queries there in this test: they are lost, and teach nothing.
    node.knows_endpoints(&[ENDPOINT]);
    assert_eq!(node.end(number, "KILL"), None);
    for _ in 0..5 {
        assert_eq!(node.pod(LINK_LOCAL, CLUSTER_NAME), "10.96.0.1", "straight to the one that lives");
    }
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn names_of_the_cluster_outlive_its_dns() {
    // How the cluster's DNS goes: its port is closed, or its node is not there.
    for (what, line) in
        [("closed", "iptables -A INPUT -p tcp -j REJECT --reject-with tcp-reset"), ("gone", "ip link set eth0 down")]
    {
        let mut node = Node::build(Proxy::Nftables);
        let template = fs::read_to_string(node.path("Corefile.base")).expect("a template");
        assert!(template.contains("success 9984 30"));
        node.write("Corefile.base", &template.replace("success 9984 30", "success 9984 1 1"));
        let instance = node.start("");
        assert_eq!(node.pod(CLUSTER_IP, CLUSTER_NAME), "10.96.0.1");
        let corefile = fs::read_to_string(node.path("Corefile")).expect("a Corefile");
        assert_eq!(corefile.matches("serve_stale 1h").count(), 3, "{corefile}");
        node.world.shell("dns", line);
        pause(1200);
        // The first one waits for the cluster's DNS, for 500 ms; those behind it know already.
        let mut told = Vec::new();
        eventually("the old answer comes without a wait", Duration::from_secs(20), || {
            let (reply, took) = node.dig(CLUSTER_NAME);
            assert!(reply.contains("\t10.96.0.1\n") && reply.contains("EDE: 3 (Stale Answer)"), "{what}: {reply}");
            told.push(took);
            told.len() > 1 && took < 400
        });
        // A name that nobody has asked for. It is believed after some probes that the cluster's DNS is away.
        let mut number = 0;
        let mut last = (String::new(), 0);
        eventually("it fails at once", Duration::from_secs(40), || {
            number += 1;
            last = node.dig(&format!("n{number}.default.svc.cluster.local"));
            assert!(last.0.contains("status: SERVFAIL") && last.0.contains("; EDE: "), "{what}: {}", last.0);
            // The network alone would take 3.5 s.
            last.1 < 1500
        });
        let took = last.1;
        eprintln!("{what}: stale after {told:?} ms, SERVFAIL after {took} ms for the {number}. name");
        assert_eq!(node.pod(CLUSTER_IP, "google.com"), "192.0.2.80", "the internet is not concerned");
        assert_eq!(node.end(instance, "TERM"), Some(0));
    }
    let mut node = Node::build(Proxy::Nftables);
    node.start("-servestale 0");
    let corefile = fs::read_to_string(node.path("Corefile")).expect("a Corefile");
    assert!(!corefile.contains("serve_stale"), "{corefile}");
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn misses_spread_over_the_endpoints_and_come_back_when_one_goes() {
    let mut node = Node::build(Proxy::Nftables);
    let number = node.start("");
    let connections = |node: &Node, endpoint: &str| {
        let line = format!("ss -Htn state established src {endpoint}:53 | wc -l");
        node.world.shell("dns", &line).trim().parse::<usize>().expect("a number")
    };
    // Each name is a miss. One after the other, so that nothing but their number asks for more connections.
    let misses = |node: &Node, first: usize| {
        let numbers = first..first + 400;
        let names: String = numbers.map(|number| format!("n{number}.default.svc.cluster.local\n")).collect();
        node.write("names", &names);
        let line = format!("dig +noall +comments +time=2 +tries=1 @{CLUSTER_IP} -f {}", node.path("names").display());
        let output = node.world.try_shell("pod", &line);
        String::from_utf8_lossy(&output.stdout).matches("status: NOERROR").count()
    };
    assert_eq!(misses(&node, 0), 400);
    let counts = [ENDPOINT, OTHER_ENDPOINT].map(|endpoint| connections(&node, endpoint));
    assert_eq!(counts, [2, 2], "four connections, of which kube-proxy gave every other to each");
    // A pod of the cluster's DNS goes, with all its connections.
    node.world.shell("dns", &format!("ip addr del {OTHER_ENDPOINT}/24 dev eth0"));
    let rule = format!("ip daddr {UPSTREAM_IP} tcp dport 53 dnat to {ENDPOINT}");
    node.world.shell(
        "node",
        &format!("nft flush chain ip kube-proxy nat-output; nft add rule ip kube-proxy nat-output {rule}"),
    );
    let answered = misses(&node, 400);
    assert!(answered >= 390, "{answered} of 400 while connections were found out to be dead");
    assert_eq!(misses(&node, 800), 400);
    assert_eq!(connections(&node, ENDPOINT), 4);
    assert_eq!(node.end(number, "TERM"), Some(0));
}

/// The objects of deploy/node-cache.yaml after the `sed` of its first lines.
fn manifest() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/node-cache.yaml");
    let text = filled(&fs::read_to_string(path).expect("node-cache.yaml"));
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).expect("YAML")).collect()
}

/// What the `sed` of the recipe makes of a text.
fn filled(text: &str) -> String {
    text.replace("__PILLAR__LOCAL__DNS__", LINK_LOCAL)
        .replace("__PILLAR__DNS__DOMAIN__", "cluster.local")
        .replace("__PILLAR__DNS__SERVER__", CLUSTER_IP)
}

fn kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The sed leaves what only the program knows; the template makes a good Corefile, and each flag is one.
#[test]
fn the_manifest_is_what_the_program_takes() {
    let objects = manifest();
    let pod = &kind(&objects, "DaemonSet")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(words(&container["command"]), ["/node-cache"]);
    let template = kind(&objects, "ConfigMap")["data"]["Corefile"].as_str().expect("a template");
    let tokens = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(tokens(template), tokens(&filled(STOCK)), "the template is the one that people know");

    // Files stand where the flags and the defaults of the program look for them.
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let mounted = |path: &str| mounts.iter().any(|mount| mount["mountPath"] == path);
    let args = words(&container["args"]);
    let value = |flag: &str| args[args.iter().position(|arg| *arg == flag).expect("a flag") + 1];
    let conf = Path::new(value("-conf"));
    assert!(mounted("/etc/coredns") && mounted("/etc/kube-dns"));
    assert!(mounted(conf.parent().and_then(Path::to_str).expect("a directory")), "the Corefile can be written");
    assert_eq!(pod["volumes"][0]["configMap"]["items"][0]["path"], "Corefile.base");
    let service = value("-upstreamsvc");
    assert!(objects.iter().any(|object| object["kind"] == "Service" && object["metadata"]["name"] == service));

    // What the program answers, where its probes ask.
    for (probe, host, port, path) in
        [("livenessProbe", LINK_LOCAL, 8080, "/health"), ("readinessProbe", "127.0.0.1", 9353, "/ready")]
    {
        assert_eq!(container[probe]["httpGet"], json!({"host": host, "port": port, "path": path}), "{probe}");
    }
    assert_eq!(container["ports"], Value::Null, "two instances share the ports of a node");
    assert_eq!(pod["hostNetwork"], true);

    // It goes as far as writing the Corefile: flags and template are good. It touches nothing of this host.
    let directory = directory();
    let (base, unwritable) = (directory.join("Corefile.base"), directory.join("nowhere/Corefile"));
    fs::write(&base, template).expect("a template");
    let link = directory.join("node-cache");
    std::os::unix::fs::symlink(program(), &link).expect("a link");
    let run = |args: &[&str]| {
        let args = args.iter().map(|arg| if Path::new(arg) == conf { unwritable.as_os_str() } else { OsStr::new(arg) });
        let output = Command::new(&link)
            .args(args)
            .args(["-basecorefile".as_ref(), base.as_os_str()])
            .env("KUBE_DNS_UPSTREAM_SERVICE_HOST", UPSTREAM_IP)
            .output()
            .expect("the program");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(&args);
    assert!(code == Some(1) && said.contains("/Corefile: cannot be written"), "{said}");
    // The same with a flag, and with a template, that are wrong: the test above can fail.
    assert_eq!(run(&[&args[..], &["-nope"]].concat()).0, Some(2));
    fs::write(&base, template.replace("loop", "looop")).expect("a template");
    assert!(run(&args).1.contains("Unknown directive 'looop'"));
    // For IPVS the other `sed`, of docs/node-local.md: one address less.
    fs::write(&base, template.replace(&format!(" {CLUSTER_IP}"), " ")).expect("a template");
    let alone: Vec<&str> = args.iter().map(|arg| arg.strip_suffix(&format!(",{CLUSTER_IP}")).unwrap_or(arg)).collect();
    assert!(alone.contains(&LINK_LOCAL));
    assert!(run(&alone).1.contains("/Corefile: cannot be written"));
    // The end of a pod is that of a start, with `-cleanup`.
    let stop = words(&container["lifecycle"]["preStop"]["exec"]["command"]);
    assert_eq!(stop, ["/node-cache", "-cleanup", "-localip", value("-localip")]);
    _ = fs::remove_dir_all(directory);
}

/// The manifest's arguments, with its rights and a root that cannot be written to.
#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn the_manifest_serves_with_its_rights_alone() {
    let objects = manifest();
    let container = &kind(&objects, "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(
        (&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"]),
        (&json!(true), &json!(false))
    );
    let rights: Vec<String> =
        words(&security["capabilities"]["add"]).iter().map(|name| format!("+{}", name.to_lowercase())).collect();
    let mut node = Node::build(Proxy::Nftables);
    let base = node.world.directory.display().to_string();
    let args = words(&container["args"]).join(" ").replace("/run/node-cache", &base);
    let program = node.world.link(&subject(), "node", "node-cache");
    // As a container is: capabilities, no way to more of them, a root to read only and a volume to write to.
    let script = format!(
        "mount --bind {base} {base} && mount -o remount,bind,ro / && \
         exec setpriv --bounding-set=-all,{rights} --inh-caps=-all --no-new-privs {} {args} -basecorefile {base}/Corefile.base -kubednscm {base}/kube-dns\n",
        program.display(),
        rights = rights.join(","),
    );
    node.write("container", &script);
    let environment = [("KUBE_DNS_UPSTREAM_SERVICE_HOST", UPSTREAM_IP)];
    node.instances = 1;
    let number = node.world.start("node", "node-1", &format!("unshare -m sh {base}/container"), &environment);
    eventually("the node cache is ready", Duration::from_secs(30), || !node.unready());
    node.knows_endpoints(&[ENDPOINT, OTHER_ENDPOINT]);
    assert_eq!(node.pod(CLUSTER_IP, "google.com"), "192.0.2.80");
    assert_eq!(node.pod(LINK_LOCAL, CLUSTER_NAME), "10.96.0.1");
    assert_eq!(node.http(&format!("{LINK_LOCAL}:8080/health")), "OK");
    let stop = words(&container["lifecycle"]["preStop"]["exec"]["command"]).join(" ");
    let told = node.world.shell("node", &stop.replace("/node-cache", &program.display().to_string()));
    assert_eq!(told, "1 running: everything goes when the last one ends\n");
    assert_eq!(node.end(number, "TERM"), Some(0));
    assert_eq!(node.traces(), "");
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn a_million_queries_over_ten_thousand_names_take_14_megabytes() {
    let mut node = Node::build(Proxy::Nftables);
    let number = node.start("");
    let names: String = (0..NAMES).map(|number| format!("n{number}.default.svc.cluster.local A\n")).collect();
    node.write("names", &names);
    let idle = node.memory(number);
    let line = format!("dnsperf -s {CLUSTER_IP} -d {} -n 100 -c 20 -q 100", node.path("names").display());
    let told = node.world.shell("pod", &line);
    let after = node.memory(number);
    eprintln!("idle {idle:?}, after a million queries {after:?}\n{told}");
    let completed = told.lines().find(|line| line.contains("Queries completed")).expect("dnsperf's report");
    assert!(completed.contains("1000000 ("), "{completed}");
    if is_as_released() {
        // `make order` if it is file memory that has grown, or another linker than lld.
        assert!(after[0] <= 14 * 1024, "{} kB of anonymous and {} kB of file memory", after[1], after[2]);
    }
    assert_eq!(node.end(number, "TERM"), Some(0));
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn without_nftables_the_iptables_programs_hold_the_rules() {
    let mut node = Node::build(Proxy::Iptables);
    // A kernel without nftables, as the process sees it. The programs that it starts see the real one.
    let source = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <errno.h>\n#include <stdlib.h>\n\
        __attribute__((constructor)) static void begin(void) { unsetenv(\"LD_PRELOAD\"); }\n\
        int socket(int domain, int type, int protocol) {\n\
          if (domain == 16 && protocol == 12) { errno = EPROTONOSUPPORT; return -1; }\n\
          return ((int (*)(int, int, int))dlsym(RTLD_NEXT, \"socket\"))(domain, type, protocol);\n}\n";
    node.write("lacking.c", source);
    let (source, library) = (node.path("lacking.c"), node.path("lacking.so"));
    let line = format!("cc -shared -fPIC -o {} {} -ldl", library.display(), source.display());
    node.world.shell("node", &line);
    let command = node.command("");
    let environment = [("KUBE_DNS_UPSTREAM_SERVICE_HOST", UPSTREAM_IP)];
    // The released program takes no library along; the one that was built with the tests does.
    let (_, flags) = command.split_once(' ').expect("flags");
    let program = env!("CARGO_BIN_EXE_seamark");
    let command = format!("env LD_PRELOAD={} {program} node-cache {flags}", library.display());
    node.instances = 1;
    let number = node.world.start("node", "node-1", &command, &environment);
    eventually("the node cache is ready", Duration::from_secs(30), || !node.unready());
    let log = node.world.log("node-1");
    for words in
        ["this kernel has no nftables", "the packet rules are put in with iptables", "no fallback to the cluster's DNS"]
    {
        assert!(log.contains(words), "{words}");
    }
    assert_eq!(node.traces().matches("NodeLocal DNS Cache").count(), 24);
    assert_eq!(node.pod(CLUSTER_IP, "google.com"), "192.0.2.80");
    assert_eq!(node.end(number, "TERM"), Some(0));
    assert_eq!(node.traces(), "");
}

#[test]
#[ignore = "needs root and network namespaces: `make e2e`"]
fn a_cluster_dns_that_comes_later_is_no_condition_of_a_start() {
    let mut node = Node::build(Proxy::Nftables);
    node.world.shell("dns", "iptables -A INPUT -p udp -j DROP; iptables -A INPUT -p tcp -j DROP");
    let number = node.start("");
    assert_eq!(node.pod(CLUSTER_IP, "google.com"), "192.0.2.80");
    assert!(node.dig(CLUSTER_NAME).0.contains("status: SERVFAIL"));
    node.world.shell("dns", "iptables -F INPUT");
    eventually("its names are known", Duration::from_secs(15), || node.pod(CLUSTER_IP, CLUSTER_NAME) == "10.96.0.1");
    node.knows_endpoints(&[ENDPOINT, OTHER_ENDPOINT]);
    assert_eq!(node.end(number, "TERM"), Some(0));
}
