use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{KubeDns, Pillars, ask::addresses_of, kube_dns::host_and_port};
use crate::wire::Name;

/// How often names are looked up again, and those that have no address yet.
const AGAIN: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(10);
/// Whom the node asks.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The cluster's domain where no flag says it; kube-dns knew no other.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// Finds the addresses of a name; none = nobody knows it.
type LookUp = Box<dyn Fn(&str) -> Vec<IpAddr> + Send>;

/// Keeps the addresses of the servers of stub domains that the ConfigMap gives by name. As the node must have DNS whether
/// they are found or not, a Corefile never has a name: a stub domain without any address is left out until there is one.
pub(super) struct Names {
    look_up: LookUp,
    known: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Those that the log has named as unknown.
    unknown: BTreeSet<String>,
    last: Option<Instant>,
}

impl Names {
    pub(super) fn new(look_up: LookUp) -> Self {
        Self { look_up, known: BTreeMap::new(), unknown: BTreeSet::new(), last: None }
    }

    /// Names of the cluster are asked of its DNS, others of the servers of the node.
    pub(super) fn of_the_node(pillars: &Pillars) -> Self {
        let cluster_dns = pillars.cluster_dns.as_deref().unwrap_or_default();
        let cluster_dns: Vec<_> = cluster_dns.split(' ').filter_map(|ip| ip.parse().ok()).map(port_53).collect();
        let domain = format!(".{}", pillars.domain.as_deref().unwrap_or(CLUSTER_DOMAIN).trim_end_matches('.'));
        Self::new(Box::new(move |host| {
            let Ok(name) = Name::parse(&format!("{host}.")) else { return Vec::new() };
            let servers = if host.ends_with(&domain) { cluster_dns.clone() } else { servers_of_the_node() };
            addresses_of(&name, &servers).unwrap_or_default()
        }))
    }

    /// Looks up again what is due. Says whether any address has changed, and which names have become unknown.
    pub(super) fn refresh(&mut self, kube_dns: &KubeDns, now: Instant) -> (bool, Vec<String>) {
        let wanted: BTreeSet<String> = names(kube_dns).collect();
        let new = wanted.iter().any(|name| !self.known.contains_key(name) && !self.unknown.contains(name));
        let pause = if self.unknown.is_empty() { AGAIN } else { SOON };
        if !new && self.last.is_some_and(|last| now.duration_since(last) < pause) {
            return (false, Vec::new());
        }
        self.last = Some(now);
        let before = self.known.clone();
        self.known.retain(|name, _| wanted.contains(name));
        self.unknown.retain(|name| wanted.contains(name));
        let mut lost = Vec::new();
        for name in wanted {
            let found: BTreeSet<IpAddr> = (self.look_up)(&name).into_iter().collect();
            if !found.is_empty() {
                self.unknown.remove(&name);
                self.known.insert(name, found);
            } else if !self.known.contains_key(&name) && self.unknown.insert(name.clone()) {
                // Old addresses are better than none.
                lost.push(name);
            }
        }
        (self.known != before, lost)
    }

    /// The ConfigMap with addresses in the place of names.
    pub(super) fn filled(&self, kube_dns: &KubeDns) -> KubeDns {
        let mut filled = kube_dns.clone();
        for servers in filled.stub_domains.values_mut() {
            let with_addresses = servers.iter().flat_map(|server| self.addresses(server));
            *servers = with_addresses.collect();
        }
        filled.stub_domains.retain(|_, servers| !servers.is_empty());
        filled
    }

    fn addresses(&self, server: &str) -> Vec<String> {
        let Some((host, port)) = host_and_port(server) else { return vec![server.to_owned()] };
        let known = self.known.get(host).into_iter().flatten();
        known.map(|ip| SocketAddr::new(*ip, port).to_string()).collect()
    }
}

/// The names among the servers.
fn names(kube_dns: &KubeDns) -> impl Iterator<Item = String> {
    let servers = kube_dns.stub_domains.values().flatten();
    servers.filter_map(|server| host_and_port(server)).map(|(host, _)| host.to_owned())
}

fn servers_of_the_node() -> Vec<SocketAddr> {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let server = |line: &str| line.trim().strip_prefix("nameserver")?.trim().parse().ok();
    text.lines().filter_map(server).map(port_53).collect()
}

const fn port_53(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 53)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn names_become_addresses_and_what_was_known_stays() {
        let dns: Arc<Mutex<BTreeMap<&str, &str>>> = Arc::default();
        let asked = Arc::clone(&dns);
        let mut names = Names::new(Box::new(move |name| {
            asked.lock().unwrap().get(name).into_iter().flat_map(|ip| ip.parse()).collect()
        }));
        let stub =
            |domain: &str, servers: &[&str]| (domain.to_owned(), servers.iter().map(|s| (*s).to_owned()).collect());
        let stub_domains =
            [stub("a.example", &["10.1.1.1:5353", "ns.a.example:54"]), stub("b.example", &["ns.b.example"])].into();
        let kube_dns = KubeDns { stub_domains, ..KubeDns::default() };
        let start = Instant::now();
        for (second, a, b, changed, lost, expected) in [
            (0, "", "", false, &["ns.a.example", "ns.b.example"][..], "a.example 10.1.1.1:5353"),
            (9, "10.2.2.2", "", false, &[], "a.example 10.1.1.1:5353"),
            (10, "10.2.2.2", "", true, &[], "a.example 10.1.1.1:5353 10.2.2.2:54"),
            (20, "", "10.3.3.3", true, &[], "a.example 10.1.1.1:5353 10.2.2.2:54, b.example 10.3.3.3:53"),
            (49, "10.2.2.9", "", false, &[], "a.example 10.1.1.1:5353 10.2.2.2:54, b.example 10.3.3.3:53"),
            (50, "10.2.2.9", "", true, &[], "a.example 10.1.1.1:5353 10.2.2.9:54, b.example 10.3.3.3:53"),
        ] {
            *dns.lock().unwrap() = [("ns.a.example", a), ("ns.b.example", b)].into();
            let (found, unknown) = names.refresh(&kube_dns, start + Duration::from_secs(second));
            let filled = names.filled(&kube_dns).stub_domains;
            let filled: Vec<_> =
                filled.iter().map(|(domain, servers)| format!("{domain} {}", servers.join(" "))).collect();
            assert_eq!((found, filled.join(", ").as_str()), (changed, expected), "second {second}");
            assert_eq!(unknown, lost, "second {second}");
        }
        assert_eq!(names.refresh(&KubeDns::default(), start + Duration::from_secs(90)), (true, Vec::new()));
    }
}
