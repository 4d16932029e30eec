use std::fmt::Write as _;

use super::{KubeDns, LocalAddresses, outage::prepared};

const UPSTREAM_SERVERS: &str = "__PILLAR__UPSTREAM__SERVERS__";
const CLUSTER_DNS: &str = "__PILLAR__CLUSTER__DNS__";
const LOCAL_DNS: &str = "__PILLAR__LOCAL__DNS__";
const DNS_SERVER: &str = "__PILLAR__DNS__SERVER__";
const DNS_DOMAIN: &str = "__PILLAR__DNS__DOMAIN__";
const ANY: &str = "__PILLAR__";

/// Whom names outside of the cluster are asked from unless the ConfigMap says otherwise.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What the variables of a template stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pillars {
    /// `__PILLAR__LOCAL__DNS__`.
    pub local: LocalAddresses,
    /// `__PILLAR__CLUSTER__DNS__`: addresses joined by blanks; `None` if nobody knows them.
    pub cluster_dns: Option<String>,
    /// `__PILLAR__DNS__DOMAIN__`, which installers replace; `None` if it is left to them.
    pub domain: Option<String>,
    /// Port of the blocks for stub domains.
    pub port: u16,
    /// For how long behind their end names of the cluster are answered while its DNS is away, as a Corefile says it;
    /// `None` = not at all.
    pub stale: Option<String>,
}

/// Why a template gives no Corefile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The address of the cluster's DNS is not known.
    #[error(
        "the template asks for {CLUSTER_DNS}, and the environment has no address of the service: create the service before this pod, or give -clusterdns"
    )]
    NoClusterDns,
    /// The domain was not put in.
    #[error("{DNS_DOMAIN} is left in the template: put the cluster's domain in its place, or give -clusterdomain")]
    NoDomain,
    /// A variable that does not exist.
    #[error("line {line} of the template: `{name}` is no variable")]
    Unknown {
        /// Line, counted from 1.
        line: usize,
        /// As it stands there.
        name: String,
    },
    /// Only blanks and comments.
    #[error("the template has no server block")]
    Empty,
}

/// The Corefile that a template and the ConfigMap `kube-dns` make together.
///
/// # Errors
/// The template lacks something, or asks for what is not known.
pub fn render(template: &str, pillars: &Pillars, kube_dns: &KubeDns) -> Result<String, TemplateError> {
    if template.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Err(TemplateError::Empty);
    }
    let mut text = template.to_owned();
    if !kube_dns.upstreams.is_empty() {
        text = without_force_tcp(&text);
    }
    if text.contains(CLUSTER_DNS) {
        text = text.replace(CLUSTER_DNS, pillars.cluster_dns.as_deref().ok_or(TemplateError::NoClusterDns)?);
    }
    if text.contains(DNS_DOMAIN) {
        text = text.replace(DNS_DOMAIN, pillars.domain.as_deref().ok_or(TemplateError::NoDomain)?);
    }
    let upstreams = if kube_dns.upstreams.is_empty() { RESOLV_CONF.to_owned() } else { kube_dns.upstreams.join(" ") };
    text = text.replace(UPSTREAM_SERVERS, &upstreams).replace(LOCAL_DNS, &pillars.local.to_string());
    // The variable before holds all addresses already.
    text = text.replace(DNS_SERVER, "");
    if let Some((line, found)) = text.lines().enumerate().find(|(_, line)| line.contains(ANY)) {
        let from = &found[found.find(ANY).unwrap_or(0)..];
        let name = from.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        return Err(TemplateError::Unknown { line: line + 1, name });
    }
    if let Some(cluster_dns) = &pillars.cluster_dns {
        let cluster_dns: Vec<&str> = cluster_dns.split(' ').collect();
        text = prepared(&text, &cluster_dns, pillars.stale.as_deref());
    }
    for (domain, servers) in &kube_dns.stub_domains {
        let (port, local, servers) = (pillars.port, &pillars.local, servers.join(" "));
        // Writing to a String cannot fail.
        _ = write!(
            text,
            "\n{domain}:{port} {{\n    errors\n    cache 30\n    bind {local}\n    forward . {servers}\n}}\n"
        );
    }
    Ok(text)
}

/// Takes `force_tcp` from the blocks that forward to the upstream servers: what stands in the ConfigMap is asked over UDP.
fn without_force_tcp(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut inside = false;
    for line in template.split_inclusive('\n') {
        let mut words = line.split_whitespace();
        if words.next() == Some("forward") && line.contains(UPSTREAM_SERVERS) && words.next_back() == Some("{") {
            inside = true;
        } else if inside && line.trim() == "}" {
            inside = false;
        } else if inside && line.trim() == "force_tcp" {
            continue;
        }
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pillars() -> Pillars {
        Pillars {
            local: LocalAddresses::parse("169.254.20.53,10.96.0.10").unwrap(),
            cluster_dns: Some("10.96.7.7".to_owned()),
            domain: None,
            port: 53,
            stale: None,
        }
    }

    #[test]
    fn old_answers_serve_where_the_clusters_dns_is_asked() {
        let template = "a {\n    cache 30\n    forward . __PILLAR__CLUSTER__DNS__\n}\n";
        let with = Pillars { stale: Some("1h".to_owned()), ..pillars() };
        for (pillars, expected) in [(with, 1), (pillars(), 0)] {
            let rendered = render(template, &pillars, &KubeDns::default()).unwrap();
            assert_eq!(rendered.matches("serve_stale 1h").count(), expected, "{rendered}");
            assert_eq!(rendered.matches("failfast").count(), 1, "{rendered}");
        }
    }

    #[test]
    fn each_variable_is_replaced() {
        for (template, expected) in [
            ("bind __PILLAR__LOCAL__DNS__", "bind 169.254.20.53 10.96.0.10"),
            ("bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__", "bind 169.254.20.53 10.96.0.10 "),
            ("forward . __PILLAR__CLUSTER__DNS__ {", "forward . 10.96.7.7 {"),
            ("forward . __PILLAR__UPSTREAM__SERVERS__", "forward . /etc/resolv.conf"),
            (".:53 {\n whoami\n}\n", ".:53 {\n whoami\n}\n"),
        ] {
            assert_eq!(render(template, &pillars(), &KubeDns::default()).unwrap(), expected);
        }
        let with_domain = Pillars { domain: Some("cluster.local".to_owned()), ..pillars() };
        let rendered = render("__PILLAR__DNS__DOMAIN__:53 {", &with_domain, &KubeDns::default());
        assert_eq!(rendered.unwrap(), "cluster.local:53 {");
    }

    #[test]
    fn what_is_missing_is_named() {
        let nobody = Pillars { cluster_dns: None, ..pillars() };
        for (template, pillars, error) in [
            ("", pillars(), TemplateError::Empty),
            ("# only\n\n   # comments\n", pillars(), TemplateError::Empty),
            ("forward . __PILLAR__CLUSTER__DNS__", nobody, TemplateError::NoClusterDns),
            ("__PILLAR__DNS__DOMAIN__:53 {", pillars(), TemplateError::NoDomain),
            ("\nx __PILLAR__NOPE__ {", pillars(), {
                TemplateError::Unknown { line: 2, name: "__PILLAR__NOPE__".to_owned() }
            }),
        ] {
            assert_eq!(render(template, &pillars, &KubeDns::default()), Err(error), "{template}");
        }
    }

    #[test]
    fn upstreams_of_the_config_map_are_asked_over_udp() {
        let kube_dns = KubeDns { upstreams: vec!["8.8.8.8".to_owned(), "1.1.1.1".to_owned()], ..KubeDns::default() };
        let template = "a {\n  forward . __PILLAR__CLUSTER__DNS__ {\n    force_tcp\n  }\n}\n. {\n\tforward . __PILLAR__UPSTREAM__SERVERS__ {\n\t\tforce_tcp\n\t\tmax_concurrent 9\n\t}\n}\n";
        let expected = "a {\n  forward . 10.96.7.7 {\n      max_fails 5\n      failfast_all_unhealthy_upstreams\n    force_tcp\n  }\n}\n. {\n\tforward . 8.8.8.8 1.1.1.1 {\n\t\tmax_concurrent 9\n\t}\n}\n";
        assert_eq!(render(template, &pillars(), &kube_dns).unwrap(), expected);
        let file = render(template, &pillars(), &KubeDns::default()).unwrap();
        assert!(file.contains("/etc/resolv.conf {\n\t\tforce_tcp"), "{file}");
    }

    #[test]
    fn stub_domains_are_blocks_in_a_fixed_order() {
        let stub = |domain: &str, server: &str| (domain.to_owned(), vec![server.to_owned()]);
        let stub_domains = [stub("b.example", "10.2.2.2:5353"), stub("a.example", "10.1.1.1")].into();
        let kube_dns = KubeDns { stub_domains, ..KubeDns::default() };
        let rendered = render(". {\n}\n", &pillars(), &kube_dns).unwrap();
        let expected = ". {\n}\n
a.example:53 {\n    errors\n    cache 30\n    bind 169.254.20.53 10.96.0.10\n    forward . 10.1.1.1\n}\n
b.example:53 {\n    errors\n    cache 30\n    bind 169.254.20.53 10.96.0.10\n    forward . 10.2.2.2:5353\n}\n";
        assert_eq!(rendered, expected);
    }
}
