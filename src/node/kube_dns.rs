use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use serde::de::DeserializeOwned;

/// At most this many servers may replace those of the node's resolv.conf, as kube-dns had it.
const MOST_UPSTREAMS: usize = 3;

/// What the ConfigMap `kube-dns` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubeDns {
    /// Suffix → its servers, as `forward` takes them. In a fixed order, so that the same ConfigMap gives the same Corefile.
    pub stub_domains: BTreeMap<String, Vec<String>>,
    /// Servers that take the place of the node's resolv.conf; none = the file.
    pub upstreams: Vec<String>,
    /// `federations` is set, which nothing answers any more.
    pub federations: bool,
}

/// What is wrong with the ConfigMap. The whole of it is refused then, so that half an update never serves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeDnsError {
    /// The JSON does not read.
    #[error("{key}: {error}")]
    Json {
        /// Key of the ConfigMap.
        key: &'static str,
        /// What the JSON reader says.
        error: String,
    },
    /// A suffix is no name.
    #[error("stubDomains: `{0}` is no domain in small letters such as `corp.example`")]
    Domain(String),
    /// A suffix without servers.
    #[error("stubDomains: `{0}` names no server")]
    NoServer(String),
    /// A server that is no address.
    #[error("{key}: `{server}` is neither an IP address nor one with a port")]
    Server {
        /// Key of the ConfigMap.
        key: &'static str,
        /// The word.
        server: String,
    },
    /// A server of a stub domain is nothing that can be asked.
    #[error("stubDomains: `{0}` is neither an IP address nor a name, nor one of them with a port")]
    Stub(String),
    /// More than three upstream servers.
    #[error("upstreamNameservers: {0} servers, at most {MOST_UPSTREAMS} are allowed")]
    TooMany(usize),
}

impl KubeDns {
    /// Reads the keys of the ConfigMap. Keys that are absent or empty mean the default; unknown ones mean nothing.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, KubeDnsError> {
        let stub_domains: BTreeMap<String, Vec<String>> = json(data, "stubDomains")?;
        for (domain, servers) in &stub_domains {
            if !is_domain(domain) {
                return Err(KubeDnsError::Domain(domain.clone()));
            }
            if servers.is_empty() {
                return Err(KubeDnsError::NoServer(domain.clone()));
            }
            check_servers("stubDomains", servers, |server| is_address(server) || host_and_port(server).is_some())?;
        }
        let upstreams: Vec<String> = json(data, "upstreamNameservers")?;
        if upstreams.len() > MOST_UPSTREAMS {
            return Err(KubeDnsError::TooMany(upstreams.len()));
        }
        check_servers("upstreamNameservers", &upstreams, is_address)?;
        let federations = data.get("federations").is_some_and(|text| !text.trim().is_empty());
        Ok(Self { stub_domains, upstreams, federations })
    }
}

fn json<T: DeserializeOwned + Default>(data: &BTreeMap<String, String>, key: &'static str) -> Result<T, KubeDnsError> {
    match data.get(key).map(|text| text.trim()).filter(|text| !text.is_empty()) {
        Some(text) => serde_json::from_str(text).map_err(|error| KubeDnsError::Json { key, error: error.to_string() }),
        None => Ok(T::default()),
    }
}

fn check_servers(key: &'static str, servers: &[String], good: impl Fn(&str) -> bool) -> Result<(), KubeDnsError> {
    match servers.iter().find(|server| !good(server)) {
        Some(server) if key == "stubDomains" => Err(KubeDnsError::Stub(server.clone())),
        Some(server) => Err(KubeDnsError::Server { key, server: server.clone() }),
        None => Ok(()),
    }
}

fn is_address(server: &str) -> bool {
    server.parse::<IpAddr>().is_ok() || server.parse::<SocketAddr>().is_ok()
}

/// The name and the port of a server that is given by name; `None` if it is an address, or neither.
pub(super) fn host_and_port(server: &str) -> Option<(&str, u16)> {
    if is_address(server) {
        return None;
    }
    let (host, port) = match server.split_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
        None => (server, 53),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    // What ends with digits alone is an address with a mistake.
    let named = host.rsplit('.').next().is_some_and(|label| label.contains(|c: char| !c.is_ascii_digit()));
    (named && is_domain(host)).then_some((host, port))
}

/// A subdomain of RFC 1123: what a Kubernetes name may be.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_may_have_names() {
        for (server, expected) in [
            ("ns.a.b", Some(("ns.a.b", 53))),
            ("ns.a.b.:5353", Some(("ns.a.b", 5353))),
            ("10.0.0.1", None),
            ("[fd00::1]:53", None),
            ("10.0.0.1:0x", None),
            ("ns.a.b:0", None),
            ("ns.a.b:53:53", None),
            ("tls://9.9.9.9", None),
            ("/etc/resolv.conf", None),
        ] {
            assert_eq!(host_and_port(server), expected, "{server}");
        }
    }

    fn read(pairs: &[(&str, &str)]) -> Result<KubeDns, KubeDnsError> {
        KubeDns::parse(&pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn what_the_config_map_may_say() {
        let stub = |text| read(&[("stubDomains", text)]).map(|found| format!("{:?}", found.stub_domains));
        let upstreams = |text| read(&[("upstreamNameservers", text)]).map(|found| found.upstreams.join(" "));
        assert_eq!(read(&[]), Ok(KubeDns::default()));
        assert_eq!(read(&[("stubDomains", ""), ("other", "x")]), Ok(KubeDns::default()));
        assert_eq!(stub(r#"{"corp.example": ["10.1.1.1", "[fd00::1]:5353"]}"#).unwrap(), {
            r#"{"corp.example": ["10.1.1.1", "[fd00::1]:5353"]}"#
        });
        assert_eq!(upstreams(r#"["8.8.8.8", "8.8.4.4:53"]"#).unwrap(), "8.8.8.8 8.8.4.4:53");
        assert!(read(&[("federations", "a=b")]).unwrap().federations);
        for (result, error) in [
            (stub("{"), "stubDomains: EOF while parsing an object at line 1 column 1"),
            (stub(r#"{"a.b": []}"#), "stubDomains: `a.b` names no server"),
            (stub(r#"{"": ["1.1.1.1"]}"#), "stubDomains: `` is no domain in small letters such as `corp.example`"),
            (
                stub(r#"{"a_b": ["1.1.1.1"]}"#),
                "stubDomains: `a_b` is no domain in small letters such as `corp.example`",
            ),
            (stub(r#"{"a.b": ["ns a.b"]}"#), {
                "stubDomains: `ns a.b` is neither an IP address nor a name, nor one of them with a port"
            }),
            (stub(r#"{"a.b": ["1.1.1.1:99999"]}"#), {
                "stubDomains: `1.1.1.1:99999` is neither an IP address nor a name, nor one of them with a port"
            }),
            (stub(r#"{"a.b": ["1.1.1.256"]}"#), {
                "stubDomains: `1.1.1.256` is neither an IP address nor a name, nor one of them with a port"
            }),
            (upstreams(r#"["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4"]"#), {
                "upstreamNameservers: 4 servers, at most 3 are allowed"
            }),
            (upstreams(r#"["dns.example"]"#), {
                "upstreamNameservers: `dns.example` is neither an IP address nor one with a port"
            }),
        ] {
            assert_eq!(result.unwrap_err().to_string(), error);
        }
    }
}
