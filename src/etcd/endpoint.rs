use std::{fmt, str::FromStr};

/// The port of etcd's clients.
const PORT: u16 = 2379;

/// A member of the cluster: `http://HOST:PORT`, `https://HOST:PORT`, or without a scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    text: String,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether it is encrypted; `None` = if there is anything to encrypt with.
    pub is_encrypted: Option<bool>,
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (is_encrypted, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some(("unix" | "unixs", _)) => return Err("sockets of files are not built into seamark"),
            Some(_) => return Err("the scheme must be `http` or `https`"),
            None => (None, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            // An IPv6 address without a port ends in `]`.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| "the port must be a number")?)
            }
            _ => (rest, PORT),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let is_host =
            host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c) || bare.is_some() && c == ':');
        if host.is_empty() || !is_host {
            return Err("expected `http://HOST:PORT` or `https://HOST:PORT`");
        }
        Ok(Self { text: text.to_owned(), host: host.to_owned(), port, is_encrypted })
    }
}

impl Endpoint {
    /// Host and port as they stand in a URI.
    pub(super) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_members_are() {
        for (text, host, port, is_encrypted) in [
            ("http://localhost:2379", "localhost", 2379, Some(false)),
            ("https://etcd-0.etcd:12379/", "etcd-0.etcd", 12379, Some(true)),
            ("192.0.2.1:4001", "192.0.2.1", 4001, None),
            ("http://etcd", "etcd", 2379, Some(false)),
            ("https://[2001:db8::1]:1", "2001:db8::1", 1, Some(true)),
            ("http://[2001:db8::1]", "2001:db8::1", 2379, Some(false)),
        ] {
            let endpoint = Endpoint::from_str(text).unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.is_encrypted), (host, port, is_encrypted));
        }
        assert_eq!(Endpoint::from_str("http://[::1]").unwrap().authority(), "[::1]:2379");
        for text in [
            "",
            "http://",
            "ftp://a:1",
            "unix:///run/etcd",
            "http://a:x",
            "http://a:65536",
            "http://a/b",
            "a b:1",
            "a,b:1",
        ] {
            assert!(Endpoint::from_str(text).is_err(), "{text}");
        }
    }
}
