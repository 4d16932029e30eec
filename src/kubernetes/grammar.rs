//! What a name below a cluster zone means, and which address a reverse name is of. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smallvec::SmallVec;

use crate::wire::Name;

/// What a name below a cluster zone means. Labels are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// The zone itself, `svc` or `pod`: exists, has no data.
    Structure,
    /// `<ns>.svc` or `<ns>.pod`.
    Namespace {
        /// The namespace.
        namespace: &'a [u8],
        /// It is `<ns>.pod`.
        pod: bool,
    },
    /// A service, or something left of it.
    Service(ServiceName<'a>),
    /// A pod's address with dashes.
    Pod {
        /// The namespace.
        namespace: &'a [u8],
        /// The label.
        label: &'a [u8],
    },
    /// No such name can be.
    Nothing,
}

/// A service, or something left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName<'a> {
    /// The namespace.
    pub namespace: &'a [u8],
    /// The service.
    pub service: &'a [u8],
    /// What stands left of the service.
    pub part: Part<'a>,
}

/// What stands left of a service's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// Nothing.
    Whole,
    /// An endpoint's name; in multicluster zones with its cluster.
    Endpoint {
        /// The name.
        name: &'a [u8],
        /// The cluster.
        cluster: Option<&'a [u8]>,
    },
    /// A port and a protocol; empty matches any.
    Port {
        /// The port's name.
        port: &'a [u8],
        /// The protocol.
        protocol: &'a [u8],
    },
    /// The endpoints of a zone (`<zone>.pin._zone`, `<zone>.prefer._zone`).
    Zonal {
        /// The zone's labels, joined with dots.
        zone: SmallVec<[u8; 64]>,
        /// Others if the zone has none.
        prefer: bool,
    },
}

/// How names are read in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dialect {
    /// Endpoints have a cluster label.
    pub multicluster: bool,
    /// `_zone` names exist.
    pub zonal: bool,
}

/// Reads the labels left of the zone: `name` is the whole name in lower case, `above` how many labels stand left.
pub fn read(name: &Name, above: usize, dialect: Dialect) -> Lookup<'_> {
    let labels: SmallVec<[&[u8]; 8]> = name.labels().take(above).collect();
    match labels.as_slice() {
        [] | [b"svc" | b"pod"] => Lookup::Structure,
        [namespace, kind @ (b"svc" | b"pod")] => Lookup::Namespace { namespace, pod: *kind == b"pod" },
        // CoreDNS passes over up to two labels left of a pod's.
        [label, namespace, b"pod"] | [_, label, namespace, b"pod"] | [_, _, label, namespace, b"pod"] => {
            Lookup::Pod { namespace, label }
        }
        [left @ .., service, namespace, b"svc"] => match part(left, dialect) {
            Some(part) => Lookup::Service(ServiceName { namespace, service, part }),
            None => Lookup::Nothing,
        },
        _ => Lookup::Nothing,
    }
}

fn part<'a>(left: &[&'a [u8]], dialect: Dialect) -> Option<Part<'a>> {
    let bare = |label: &'a [u8]| label.strip_prefix(b"_").unwrap_or(label);
    match left {
        [] => Some(Part::Whole),
        // With the cluster missing, one label names nothing in a multicluster zone.
        [name] => (!dialect.multicluster).then_some(Part::Endpoint { name, cluster: None }),
        [name, cluster] if dialect.multicluster && !name.starts_with(b"_") && !cluster.starts_with(b"_") => {
            Some(Part::Endpoint { name, cluster: Some(cluster) })
        }
        // Two lone underscores ask for any port, which is the service itself (as CoreDNS).
        [b"_", b"_"] => Some(Part::Whole),
        [port, protocol] => Some(Part::Port { port: bare(port), protocol: bare(protocol) }),
        [zone @ .., how @ (b"pin" | b"prefer"), b"_zone"] if dialect.zonal && !dialect.multicluster => {
            let mut joined = SmallVec::new();
            for (index, label) in zone.iter().enumerate() {
                if index > 0 {
                    joined.push(b'.');
                }
                joined.extend_from_slice(label);
            }
            Some(Part::Zonal { zone: joined, prefer: *how == b"prefer" })
        }
        _ => None,
    }
}

/// The address that a pod's label means: three dashes make IPv4, anything else IPv6.
pub fn pod_address(label: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(label).ok()?;
    if text.matches('-').count() == 3 && !text.contains("--") {
        return text.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    text.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// The address of a complete reverse name (RFC 1035 section 3.5, RFC 3596 section 2.5).
pub fn reverse_address(name: &Name) -> Option<IpAddr> {
    let labels: SmallVec<[&[u8]; 34]> = name.labels().collect();
    match labels.as_slice() {
        [d, c, b, a, in_addr, arpa]
            if in_addr.eq_ignore_ascii_case(b"in-addr") && arpa.eq_ignore_ascii_case(b"arpa") =>
        {
            Some(IpAddr::V4(Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?)))
        }
        [nibbles @ .., ip6, arpa]
            if nibbles.len() == 32 && ip6.eq_ignore_ascii_case(b"ip6") && arpa.eq_ignore_ascii_case(b"arpa") =>
        {
            let mut address = 0u128;
            for label in nibbles.iter().rev() {
                let [digit] = label else { return None };
                address = address << 4 | u128::from(char::from(*digit).to_digit(16)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(address)))
        }
        _ => None,
    }
}

fn octet(label: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(label).ok()?;
    // No sign, no leading zero: 010 is another name.
    (text == "0" || !text.starts_with('0') && text.bytes().all(|octet| octet.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, dialect: Dialect) -> String {
        let name = Name::parse(name).unwrap();
        let zone = Name::parse("cluster.local.").unwrap();
        let text = |label: &[u8]| String::from_utf8_lossy(label).into_owned();
        match read(&name, name.labels_above(&zone).unwrap(), dialect) {
            Lookup::Structure => "structure".to_owned(),
            Lookup::Namespace { namespace, pod } => format!("namespace {} {pod}", text(namespace)),
            Lookup::Pod { namespace, label } => format!("pod {} in {}", text(label), text(namespace)),
            Lookup::Nothing => "nothing".to_owned(),
            Lookup::Service(ServiceName { namespace, service, part }) => {
                let part = match part {
                    Part::Whole => String::new(),
                    Part::Endpoint { name, cluster: None } => format!(" endpoint {}", text(name)),
                    Part::Endpoint { name, cluster: Some(c) } => format!(" endpoint {} at {}", text(name), text(c)),
                    Part::Port { port, protocol } => format!(" port {}/{}", text(port), text(protocol)),
                    Part::Zonal { zone, prefer } => format!(" zone {} {prefer}", text(&zone)),
                };
                format!("service {} in {}{part}", text(service), text(namespace))
            }
        }
    }

    #[test]
    fn names_below_a_cluster_zone() {
        for (name, meaning) in [
            ("cluster.local", "structure"),
            ("svc.cluster.local", "structure"),
            ("pod.cluster.local", "structure"),
            ("x.cluster.local", "nothing"),
            ("ns.svc.cluster.local", "namespace ns false"),
            ("ns.pod.cluster.local", "namespace ns true"),
            ("web.ns.svc.cluster.local", "service web in ns"),
            ("a.web.ns.svc.cluster.local", "service web in ns endpoint a"),
            ("_a.web.ns.svc.cluster.local", "service web in ns endpoint _a"),
            ("_http._tcp.web.ns.svc.cluster.local", "service web in ns port http/tcp"),
            ("http.tcp.web.ns.svc.cluster.local", "service web in ns port http/tcp"),
            ("_._.web.ns.svc.cluster.local", "service web in ns"),
            ("_http._tcp.a.web.ns.svc.cluster.local", "nothing"),
            ("a.b.c.d.web.ns.svc.cluster.local", "nothing"),
            ("eu-1a.pin._zone.web.ns.svc.cluster.local", "nothing"),
            ("10-0-0-1.ns.pod.cluster.local", "pod 10-0-0-1 in ns"),
            ("x.10-0-0-1.ns.pod.cluster.local", "pod 10-0-0-1 in ns"),
            ("y.x.10-0-0-1.ns.pod.cluster.local", "pod 10-0-0-1 in ns"),
            ("z.y.x.10-0-0-1.ns.pod.cluster.local", "nothing"),
        ] {
            assert_eq!(shown(name, Dialect::default()), meaning, "{name}");
        }
        let zonal = Dialect { zonal: true, multicluster: false };
        for (name, meaning) in [
            ("eu-1a.pin._zone.web.ns.svc.cluster.local", "service web in ns zone eu-1a false"),
            ("1a.eu.prefer._zone.web.ns.svc.cluster.local", "service web in ns zone 1a.eu true"),
            ("eu-1a.other._zone.web.ns.svc.cluster.local", "nothing"),
        ] {
            assert_eq!(shown(name, zonal), meaning, "{name}");
        }
        let multicluster = Dialect { multicluster: true, zonal: true };
        for (name, meaning) in [
            ("a.web.ns.svc.cluster.local", "nothing"),
            ("a.east.web.ns.svc.cluster.local", "service web in ns endpoint a at east"),
            ("_http._tcp.web.ns.svc.cluster.local", "service web in ns port http/tcp"),
            ("eu-1a.pin._zone.web.ns.svc.cluster.local", "nothing"),
        ] {
            assert_eq!(shown(name, multicluster), meaning, "{name}");
        }
    }

    #[test]
    fn reverse_names_and_pod_labels() {
        let v6 = format!("{}0.d.f.ip6.arpa.", "1.".to_owned() + &"0.".repeat(28));
        for (name, address) in [
            ("4.3.2.1.in-addr.arpa.", Some("1.2.3.4")),
            ("4.3.2.1.IN-ADDR.arpa.", Some("1.2.3.4")),
            ("3.2.1.in-addr.arpa.", None),
            ("04.3.2.1.in-addr.arpa.", None),
            ("5.4.3.2.1.in-addr.arpa.", None),
            ("256.3.2.1.in-addr.arpa.", None),
            ("x.3.2.1.in-addr.arpa.", None),
            (v6.as_str(), Some("fd00::1")),
        ] {
            let expected = address.map(|address| address.parse().unwrap());
            assert_eq!(reverse_address(&Name::parse(name).unwrap()), expected, "{name}");
        }
        for (label, address) in [
            ("10-0-0-1", Some("10.0.0.1")),
            ("010-0-0-1", None),
            ("10-0-0", None),
            ("fd00--1", Some("fd00::1")),
            ("fd00-0-0-0-0-0-0-1", Some("fd00::1")),
            ("x", None),
        ] {
            assert_eq!(pod_address(label.as_bytes()), address.map(|a| a.parse().unwrap()), "{label}");
        }
    }
}
