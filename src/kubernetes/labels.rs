use std::fmt::Write as _;

use super::grammar::{self, Dialect, Lookup, Part, ServiceName};
use crate::wire::Name;

/// What a name in `zone` says under a label such as `namespace` or `service`, by reading it alone: nothing is looked
/// up. `None` if there is no such label for the name; empty if the name leaves it out.
pub fn label(name: &Name, zone: &Name, dialect: Dialect, label: &str) -> Option<String> {
    let above = name.labels_above(zone)?;
    let name = name.to_lowercase();
    let lookup = grammar::read(&name, above, dialect);
    let known = match label {
        "parse-error" => return (lookup == Lookup::Nothing).then(|| "invalid query name".to_owned()),
        "zone" if dialect.zonal => true,
        "cluster" => dialect.multicluster,
        "port-name" | "protocol" | "endpoint" | "service" | "namespace" | "kind" => true,
        _ => false,
    };
    (known && lookup != Lookup::Nothing).then(|| printable(part(&lookup, label)))
}

fn part<'a>(lookup: &'a Lookup<'a>, label: &str) -> &'a [u8] {
    match (lookup, label) {
        (Lookup::Namespace { namespace, .. } | Lookup::Pod { namespace, .. }, "namespace") => namespace,
        (Lookup::Namespace { pod: true, .. } | Lookup::Pod { .. }, "kind") => b"pod",
        (Lookup::Namespace { pod: false, .. } | Lookup::Service(_), "kind") => b"svc",
        // A pod's label stands where a service does.
        (Lookup::Pod { label, .. }, "service") => label,
        (Lookup::Service(ServiceName { namespace, .. }), "namespace") => namespace,
        (Lookup::Service(ServiceName { service, .. }), "service") => service,
        (Lookup::Service(ServiceName { part, .. }), _) => match (part, label) {
            (Part::Endpoint { name, .. }, "endpoint") => name,
            (Part::Endpoint { cluster: Some(cluster), .. }, "cluster") => cluster,
            (Part::Port { port, .. }, "port-name") => port,
            (Part::Port { protocol, .. }, "protocol") => protocol,
            (Part::Zonal { zone, .. }, "zone") => zone,
            _ => b"",
        },
        _ => b"",
    }
}

/// What could break a line of a log becomes `\DDD`, as in names (RFC 1035 section 5.1).
fn printable(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for &octet in octets {
        match octet {
            0x21..=0x7E => text.push(char::from(octet)),
            _ => _ = write!(text, "\\{octet:03}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_say() {
        const LABELS: [&str; 7] = ["kind", "namespace", "service", "endpoint", "port-name", "protocol", "zone"];
        let zonal = Dialect { zonal: true, multicluster: false };
        let zone = Name::parse("cluster.local.").unwrap();
        let said = |name: &str, dialect, wanted: &str| label(&Name::parse(name).unwrap(), &zone, dialect, wanted);
        for (name, all) in [
            ("cluster.local.", "......"),
            ("svc.cluster.local.", "......"),
            ("ns.svc.cluster.local.", "svc.ns....."),
            ("ns.pod.cluster.local.", "pod.ns....."),
            ("WEB.ns.svc.cluster.local.", "svc.ns.web...."),
            ("a.web.ns.svc.cluster.local.", "svc.ns.web.a..."),
            ("_http._tcp.web.ns.svc.cluster.local.", "svc.ns.web..http.tcp."),
            ("eu.pin._zone.web.ns.svc.cluster.local.", "svc.ns.web....eu"),
            ("a\\010b.ns.svc.cluster.local.", "svc.ns.a\\010b...."),
            ("10-0-0-1.ns.pod.cluster.local.", "pod.ns.10-0-0-1...."),
        ] {
            let found = LABELS.map(|label| said(name, zonal, label).unwrap_or_else(|| "none".to_owned())).join(".");
            assert_eq!(found, all, "{name}");
            assert_eq!(said(name, zonal, "parse-error"), None, "{name}");
        }
        for name in ["x.cluster.local.", "dns-version.cluster.local.", "a.b.c.d.ns.svc.cluster.local."] {
            assert_eq!(said(name, zonal, "parse-error").as_deref(), Some("invalid query name"), "{name}");
            assert!(LABELS.iter().all(|label| said(name, zonal, label).is_none()), "{name}");
        }
        let plain = Dialect::default();
        assert_eq!(said("web.ns.svc.cluster.local.", plain, "zone"), None, "without `zonal`");
        assert_eq!(said("web.ns.svc.cluster.local.", plain, "cluster"), None, "not multicluster");
        let multicluster = Dialect { multicluster: true, zonal: false };
        assert_eq!(said("a.east.web.ns.svc.cluster.local.", multicluster, "cluster").as_deref(), Some("east"));
        assert_eq!(said("web.example.org.", plain, "service"), None, "another zone");
    }
}
