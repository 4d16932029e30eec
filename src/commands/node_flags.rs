use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use super::flags::{Flag, Parsed};
use crate::{
    corefile,
    node::{Backend, Endpoints, LocalAddresses, Pillars, Ports, Sources, Wanted, bound},
    wire::Name,
};

/// node-cache's flags, and behind them our own.
pub(super) const FLAGS: &[Flag] = &[
    Flag { name: "localip", value: Some("IP,IP"), help: "addresses to listen on, of either family (required)" },
    Flag { name: "conf", value: Some("FILE"), help: "where to write the Corefile that serves (default -corefile)" },
    Flag { name: "corefile", value: Some("FILE"), help: "the same as -conf, which goes first (default /etc/Corefile)" },
    Flag { name: "basecorefile", value: Some("FILE"), help: "template (default /etc/coredns/Corefile.base)" },
    Flag { name: "kubednscm", value: Some("DIR"), help: "ConfigMap kube-dns (default /etc/kube-dns, if it is there)" },
    Flag { name: "upstreamsvc", value: Some("NAME"), help: "service of the cluster's DNS (default kube-dns)" },
    Flag { name: "dns.port", value: Some("PORT"), help: "port of DNS, also for the packet rules (default 53)" },
    Flag { name: "p", value: Some("PORT"), help: "the same as -dns.port" },
    Flag { name: "health-port", value: Some("PORT"), help: "port of `health`, for the packet rules (default 8080)" },
    Flag { name: "pidfile", value: Some("FILE"), help: "file to write the process id to" },
    Flag { name: "setupinterface", value: None, help: "make and keep the device (default true)" },
    Flag { name: "interfacename", value: Some("NAME"), help: "name of the device (default nodelocaldns)" },
    Flag { name: "setupiptables", value: None, help: "put in and keep the packet rules (default true)" },
    Flag { name: "skipteardown", value: None, help: "leave device and packet rules at the end" },
    Flag { name: "syncinterval", value: Some("TIME"), help: "how often to look at the host, such as 60s (default 60)" },
    Flag { name: "metrics-listen-address", value: Some("ADDR"), help: "setup metrics (default 0.0.0.0:9353)" },
    Flag { name: "reloadwithsignal", value: None, help: "accepted; a new Corefile is always taken over at once" },
    Flag { name: "quiet", value: None, help: "do not print zones and version at start" },
    Flag { name: "plugins", value: None, help: "list the directives" },
    Flag { name: "version", value: None, help: "print the version" },
    Flag { name: "rulesbackend", value: Some("nft|iptables|none"), help: "who holds the packet rules (default nft)" },
    Flag { name: "clusterdns", value: Some("IP,IP"), help: "the cluster's DNS, in place of the service's address" },
    Flag {
        name: "fallbackdns",
        value: Some("IP:PORT,.."),
        help: "pods of the cluster's DNS, for when no node cache lives",
    },
    Flag {
        name: "fallbackname",
        value: Some("NAME"),
        help: "their headless service, which the cluster's DNS is asked for",
    },
    Flag {
        name: "servestale",
        value: Some("TIME"),
        help: "how long old answers serve when the cluster's DNS is away; 0: not at all (default 1h)",
    },
    Flag { name: "cleanup", value: None, help: "take everything from the host, and end" },
    Flag { name: "clusterdomain", value: Some("NAME"), help: "value of __PILLAR__DNS__DOMAIN__" },
    Flag { name: "log-format", value: Some("text|json"), help: "form of log lines (default text)" },
    Flag {
        name: "workers",
        value: Some("N"),
        help: "threads that answer queries (default: one per core, two at most)",
    },
    Flag { name: "help", value: None, help: "print this text" },
];

/// For how long behind their end names of the cluster are answered while its DNS is away, unless a flag says otherwise.
pub(super) const STALE: &str = "1h";

/// A node's pods ask no more than two threads can answer, and each has memory of its own.
const WORKERS: usize = 2;

/// Where the ConfigMap `kube-dns` is mounted unless a flag says otherwise.
const KUBE_DNS: &str = "/etc/kube-dns";

/// What the command line asks for.
pub(super) struct Options {
    pub(super) local: LocalAddresses,
    pub(super) conf: PathBuf,
    pub(super) template: PathBuf,
    pub(super) kube_dns: Option<PathBuf>,
    pub(super) cluster_dns: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) port: u16,
    pub(super) health_port: u16,
    pub(super) pidfile: Option<PathBuf>,
    /// Name of the device; `None` if it is another's affair.
    pub(super) device: Option<String>,
    pub(super) backend: Backend,
    pub(super) endpoints: Endpoints,
    pub(super) cleanup: bool,
    /// As a Corefile says it; `None` = no old answers.
    pub(super) stale: Option<String>,
    pub(super) keep: bool,
    pub(super) interval: Duration,
    pub(super) metrics: String,
    pub(super) quiet: bool,
    pub(super) json: bool,
    pub(super) workers: usize,
}

impl Options {
    /// Reads the flags; `environment` knows the addresses of services.
    pub(super) fn read(parsed: &Parsed, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let local = LocalAddresses::parse(parsed.value("localip").unwrap_or_default());
        let text = |name: &str, default: &str| parsed.value(name).unwrap_or(default).to_owned();
        let path = |name: &str| parsed.value(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let default_kube_dns = || Some(PathBuf::from(KUBE_DNS)).filter(|path| path.exists());
        let backend = match parsed.value("rulesbackend").unwrap_or("nft") {
            _ if !parsed.is_not_off("setupiptables") => Backend::None,
            "nft" => Backend::Nft,
            "iptables" => Backend::Iptables,
            "none" => Backend::None,
            other => return Err(format!("flag `-rulesbackend` takes `nft`, `iptables` or `none`, found `{other}`")),
        };
        let local = local.map_err(|error| format!("flag `-localip`: {error}"))?;
        let cluster_dns = cluster_dns(parsed, environment)?;
        Ok(Self {
            endpoints: endpoints(parsed, cluster_dns.as_deref(), &local, backend)?,
            cleanup: parsed.is_on("cleanup"),
            stale: stale(&text("servestale", STALE))?,
            local,
            conf: path("conf").or_else(|| path("corefile")).unwrap_or_else(|| PathBuf::from("/etc/Corefile")),
            template: path("basecorefile").unwrap_or_else(|| PathBuf::from("/etc/coredns/Corefile.base")),
            kube_dns: path("kubednscm").or_else(default_kube_dns),
            cluster_dns,
            domain: parsed.value("clusterdomain").map(str::to_owned),
            port: parsed.port()?,
            health_port: parsed.number("health-port")?.unwrap_or(8080),
            pidfile: path("pidfile"),
            device: parsed
                .is_not_off("setupinterface")
                .then(|| device(&text("interfacename", "nodelocaldns")))
                .transpose()?,
            backend,
            keep: parsed.is_on("skipteardown"),
            interval: interval(&text("syncinterval", "60"))?,
            metrics: text("metrics-listen-address", "0.0.0.0:9353"),
            quiet: parsed.is_on("quiet"),
            json: parsed.json_log()?,
            workers: parsed.workers(WORKERS)?,
        })
    }

    /// What the variables of the template stand for.
    pub(super) fn pillars(&self) -> Pillars {
        Pillars {
            local: self.local.clone(),
            cluster_dns: self.cluster_dns.clone(),
            domain: self.domain.clone(),
            port: self.port,
            stale: self.stale.clone(),
        }
    }

    /// What is to be done to the host that serves this Corefile.
    pub(super) fn wanted(&self, corefile: &str) -> Wanted {
        Wanted {
            tested: bound(corefile, &self.local),
            local: self.local.clone(),
            device: self.device.clone(),
            backend: self.backend,
            ports: Ports { dns: self.port, health: self.health_port },
            endpoints: self.endpoints.clone(),
            keep: self.keep,
            interval: self.interval,
        }
    }

    /// Where the Corefile comes from.
    pub(super) fn sources(&self) -> Sources {
        Sources { template: self.template.clone(), kube_dns: self.kube_dns.clone() }
    }

    /// The directory that relative imports of the Corefile start from.
    pub(super) fn directory(&self) -> &Path {
        self.conf.parent().unwrap_or_else(|| Path::new(""))
    }
}

/// `-clusterdns`, else the address that the kubelet puts into the environment for the service, if it was there before
/// the pod.
fn cluster_dns(parsed: &Parsed, environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    if let Some(list) = parsed.value("clusterdns") {
        let addresses = LocalAddresses::parse(list).map_err(|error| format!("flag `-clusterdns`: {error}"))?;
        return Ok(Some(addresses.to_string()));
    }
    let service = parsed.value("upstreamsvc").unwrap_or("kube-dns").to_uppercase().replace('-', "_");
    Ok(environment(&format!("{service}_SERVICE_HOST")).filter(|address| !address.is_empty()))
}

/// Who answers when no node cache does: addresses, with port 53 unless they name another, or a name, or whoever answers
/// for the cluster's DNS. A local address would be this process again.
/// Who keeps the packet rules to himself gets no others unasked.
fn endpoints(
    parsed: &Parsed,
    cluster_dns: Option<&str>,
    local: &LocalAddresses,
    backend: Backend,
) -> Result<Endpoints, String> {
    let servers = cluster_dns.unwrap_or_default().split(' ').filter_map(|ip| ip.parse::<IpAddr>().ok());
    let servers = servers.filter(|ip| !local.iter().any(|address| address == *ip));
    let mut endpoints =
        Endpoints { servers: servers.map(|ip| SocketAddr::new(ip, 53)).collect(), ..Endpoints::default() };
    let list = parsed.value("fallbackdns").unwrap_or_default();
    for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let address = word.parse().or_else(|_| word.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
        let error = |_| format!("flag `-fallbackdns`: `{word}` is neither an IP address nor one with a port");
        endpoints.fixed.push(address.map_err(error)?);
    }
    if let Some(text) = parsed.value("fallbackname") {
        endpoints.name = Some(Name::parse(text).map_err(|error| format!("flag `-fallbackname`: {error}"))?);
        if endpoints.servers.is_empty() {
            return Err("flag `-fallbackname`: the cluster's DNS is not known: give -clusterdns".to_owned());
        }
    } else if backend == Backend::None {
        endpoints.servers.clear();
    }
    Ok(endpoints)
}

/// A duration as a Corefile takes it. It has a bound in any case: what nobody vouches for is not told for ever.
fn stale(text: &str) -> Result<Option<String>, String> {
    const MOST: Duration = Duration::from_secs(86_400);
    match corefile::duration(text) {
        Some(Duration::ZERO) => Ok(None),
        Some(time) if time <= MOST => Ok(Some(text.to_owned())),
        _ => Err(format!("flag `-servestale` needs a time such as `1h`, 24h at most, or 0, found `{text}`")),
    }
}

/// The kernel takes 15 octets, none of them a slash or a blank.
fn device(name: &str) -> Result<String, String> {
    let good = !name.is_empty() && name.len() <= 15 && !name.contains(|c: char| c == '/' || c.is_whitespace());
    let good = good && name != "." && name != "..";
    good.then(|| name.to_owned()).ok_or_else(|| format!("flag `-interfacename`: `{name}` cannot name a device"))
}

/// `60` and `60s` mean what people expect. node-cache multiplied by a second whatever it was given, so that `60ns` is
/// found in manifests and means a minute there.
fn interval(text: &str) -> Result<Duration, String> {
    let seconds = |number: &str| number.parse::<u64>().ok().map(Duration::from_secs);
    let old_form = || text.strip_suffix("ns").and_then(seconds).filter(|time| time.as_secs() <= 86_400);
    let time = seconds(text).or_else(old_form).or_else(|| corefile::duration(text));
    time.filter(|time| *time >= Duration::from_millis(100))
        .ok_or_else(|| format!("flag `-syncinterval` needs a time such as `60s`, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::flags::parse;

    fn read(line: &str) -> Result<Options, String> {
        let parsed = parse(FLAGS, line.split_whitespace().map(str::to_owned))?;
        let environment = |name: &str| (name == "KUBE_DNS_UPSTREAM_SERVICE_HOST").then(|| "10.96.7.7".to_owned());
        Options::read(&parsed, &environment)
    }

    #[test]
    fn the_stock_manifest() {
        let options =
            read("-localip 169.254.20.53,10.96.0.10 -conf /etc/Corefile -upstreamsvc kube-dns-upstream").unwrap();
        assert_eq!(options.local.to_string(), "169.254.20.53 10.96.0.10");
        assert_eq!(options.conf, Path::new("/etc/Corefile"));
        assert_eq!(options.template, Path::new("/etc/coredns/Corefile.base"));
        assert_eq!(options.cluster_dns.as_deref(), Some("10.96.7.7"));
        assert_eq!((options.port, options.health_port), (53, 8080));
        assert_eq!(options.device.as_deref(), Some("nodelocaldns"));
        assert_eq!((options.backend, options.keep), (Backend::Nft, false));
        assert_eq!((options.interval, options.metrics.as_str()), (Duration::from_secs(60), "0.0.0.0:9353"));
    }

    #[test]
    fn intervals_as_people_write_them() {
        for (text, expected) in [
            ("60", Some(60_000)),
            ("60s", Some(60_000)),
            ("60ns", Some(60_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("60000000000ns", Some(60_000)),
            ("0", None),
            ("-5s", None),
            ("soon", None),
        ] {
            assert_eq!(interval(text).ok(), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn each_flag_has_its_meaning() {
        let with = |flags: &str| read(&format!("-localip 169.254.20.53 {flags}")).unwrap();
        assert_eq!(with("-corefile a").conf, Path::new("a"));
        assert_eq!(with("-corefile a -conf b").conf, Path::new("b"));
        assert_eq!(with("-basecorefile t").template, Path::new("t"));
        assert_eq!(with("-kubednscm d").kube_dns.as_deref(), Some(Path::new("d")));
        assert_eq!(with("").cluster_dns, None, "there is no service kube-dns in this environment");
        assert_eq!(with("-clusterdns 10.1.1.1,fd00::1").cluster_dns.as_deref(), Some("10.1.1.1 fd00::1"));
        assert_eq!((with("-p 5353").port, with("-dns.port=54").port), (5353, 54));
        assert_eq!(with("-health-port 9090").health_port, 9090);
        assert_eq!(with("-pidfile /x").pidfile.as_deref(), Some(Path::new("/x")));
        assert_eq!(with("-setupinterface=false").device, None);
        assert_eq!(with("-interfacename dns0").device.as_deref(), Some("dns0"));
        assert_eq!(with("-setupiptables=false -rulesbackend nft").backend, Backend::None);
        assert_eq!(with("-rulesbackend iptables").backend, Backend::Iptables);
        assert!(with("-skipteardown").keep && with("-skipteardown=true").keep);
        assert_eq!(with("-metrics-listen-address :9").metrics, ":9");
        assert_eq!(with("").pillars().stale.as_deref(), Some("1h"));
        assert_eq!(with("-servestale 90m").pillars().stale.as_deref(), Some("90m"));
        assert_eq!(with("-servestale 0").pillars().stale, None);
        assert!(with("").endpoints.is_empty(), "nobody is known");
        let fallback = with("-clusterdns 169.254.20.53,10.96.7.7").endpoints;
        assert_eq!(fallback.servers, ["10.96.7.7:53".parse().unwrap()], "not this process itself");
        assert!(with("-clusterdns 10.96.7.7 -setupiptables=false").endpoints.is_empty(), "no rules unasked");
        let fallback = with("-fallbackdns 10.244.0.2,[fd00::2]:5353").endpoints;
        assert_eq!(fallback.fixed, ["10.244.0.2:53", "[fd00::2]:5353"].map(|text| text.parse().unwrap()));
        let fallback = with("-clusterdns 10.96.7.7 -fallbackname pods.kube-system.svc.cluster.local").endpoints;
        assert_eq!((fallback.name.is_some(), fallback.servers), (true, vec!["10.96.7.7:53".parse().unwrap()]));
    }

    #[test]
    fn wrong_flags_are_named() {
        for (line, error) in [
            ("", "flag `-localip`: no address: name those to listen on, such as `169.254.20.53,10.96.0.10`"),
            ("-localip x", "flag `-localip`: `x` is not an IP address"),
            ("-localip 10.0.0.1 -nope", "unknown flag `-nope`"),
            ("-localip 10.0.0.1 -clusterdns dns", "flag `-clusterdns`: `dns` is not an IP address"),
            ("-localip 10.0.0.1 -dns.port 99999", "flag `-dns.port` needs a number, found `99999`"),
            ("-localip 10.0.0.1 -syncinterval x", "flag `-syncinterval` needs a time such as `60s`, found `x`"),
            ("-localip 10.0.0.1 -interfacename a/b", "flag `-interfacename`: `a/b` cannot name a device"),
            ("-localip 10.0.0.1 -fallbackdns dns", {
                "flag `-fallbackdns`: `dns` is neither an IP address nor one with a port"
            }),
            ("-localip 10.0.0.1 -fallbackname a.b", {
                "flag `-fallbackname`: the cluster's DNS is not known: give -clusterdns"
            }),
            ("-localip 10.0.0.1 -servestale 25h", {
                "flag `-servestale` needs a time such as `1h`, 24h at most, or 0, found `25h`"
            }),
            ("-localip 10.0.0.1 -rulesbackend pf", {
                "flag `-rulesbackend` takes `nft`, `iptables` or `none`, found `pf`"
            }),
        ] {
            assert_eq!(read(line).err().as_deref(), Some(error), "{line}");
        }
    }
}
