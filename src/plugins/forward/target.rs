use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use crate::{
    corefile::{Error, Token},
    upstream::{Found, ServerName, resolv_conf},
    wire::Name,
};

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    Server(Server),
    /// A file in the format of resolv.conf.
    File(String),
    /// Such a file if there is one of this name, else a host.
    FileOrHost(String, Server),
}

/// One server, or several that share a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) scheme: Scheme,
    pub(super) place: Place,
    pub(super) port: u16,
    /// Whom its certificate must name, if that is said here.
    pub(super) name: Option<ServerName<'static>>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// An address, and its zone if it is link-local.
    Address(IpAddr, Option<String>),
    Host(Box<Name>),
}

/// What is spoken with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Plain,
    Tls,
    Https,
    Quic,
}

impl Scheme {
    const KNOWN: [(&'static str, Self); 4] =
        [("dns", Self::Plain), ("tls", Self::Tls), ("https", Self::Https), ("quic", Self::Quic)];

    const fn port(self) -> u16 {
        match self {
            Self::Plain => 53,
            Self::Tls | Self::Quic => 853,
            Self::Https => 443,
        }
    }
}

impl To {
    pub(super) fn read(word: &Token) -> Result<Self, Error> {
        let Some((scheme, rest)) = word.text.split_once("://") else {
            return if word.text.contains('/') {
                Ok(Self::File(word.text.clone()))
            } else {
                Self::file_or_server(word)
            };
        };
        match Scheme::KNOWN.iter().find(|(name, _)| *name == scheme) {
            Some((_, scheme)) => Server::read(word, *scheme, rest).map(Self::Server),
            None => {
                let names: Vec<_> = Scheme::KNOWN.iter().map(|(name, _)| *name).collect();
                let scheme = Token { text: scheme.to_owned(), ..word.clone() };
                Err(word.error(format!("unknown scheme `{}://`{}", scheme.text, scheme.hint(&names))))
            }
        }
    }

    /// A file may be called as a host is.
    fn file_or_server(word: &Token) -> Result<Self, Error> {
        let server = Server::read(word, Scheme::Plain, &word.text)?;
        let may_be_file = matches!(server.place, Place::Host(_));
        Ok(if may_be_file { Self::FileOrHost(word.text.clone(), server) } else { Self::Server(server) })
    }

    /// Whether it is followed: read or resolved again.
    pub(super) const fn is_followed(&self) -> bool {
        !matches!(self, Self::Server(Server { place: Place::Address(..), .. }))
    }

    /// What it is, after a look at the disk.
    pub(super) fn settled(self) -> Self {
        match self {
            Self::FileOrHost(path, _) if Path::new(&path).is_file() => Self::File(path),
            Self::FileOrHost(_, server) => Self::Server(server),
            settled => settled,
        }
    }

    /// The server, unless it is a file.
    pub(super) const fn server(&self) -> Option<&Server> {
        match self {
            Self::Server(server) => Some(server),
            Self::File(_) | Self::FileOrHost(..) => None,
        }
    }
}

impl Server {
    fn read(word: &Token, scheme: Scheme, text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(word.error(format!("expected an address behind `{}`", word.text)));
        }
        if text.contains('/') {
            return Err(word.error(match scheme {
                Scheme::Https => "a path is not allowed here: questions go to `/dns-query`".to_owned(),
                _ => format!("expected an address or a host name, found `{text}`"),
            }));
        }
        let (address, name) = if scheme == Scheme::Plain { (text, None) } else { split_name(text) };
        let Parts { host, zone, port } = Parts::of(address).ok_or_else(|| word.error(neither(&word.text)))?;
        let place = match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) if zone.is_some() => {
                return Err(word.error("only an IPv6 address can have a zone"));
            }
            Ok(ip) => Place::Address(ip, zone.map(str::to_owned)),
            Err(_) if zone.is_none() => {
                Place::Host(Box::new(host_name(host).ok_or_else(|| word.error(neither(&word.text)))?))
            }
            Err(_) => return Err(word.error(neither(&word.text))),
        };
        let (name, behind) = match name.map(|name| name.split_once(':').unwrap_or((name, ""))) {
            None => (None, ""),
            Some((name, port)) => (Some(server_name(word, name)?), port),
        };
        let port = match port.or_else(|| (!behind.is_empty()).then_some(behind)) {
            None => scheme.port(),
            Some(text) => {
                let port = text.parse::<u16>().ok().filter(|&port| port != 0);
                port.ok_or_else(|| word.error(format!("expected a port between 1 and 65535, found `{text}`")))?
            }
        };
        Ok(Self { scheme, place, port, name })
    }

    /// Its host, if it is given by name.
    pub(super) const fn host(&self) -> Option<&Name> {
        match &self.place {
            Place::Host(host) => Some(host),
            Place::Address(..) => None,
        }
    }

    /// Where to reach it; `found` says where its host is.
    pub(super) fn addresses(&self, found: impl FnOnce(&Name) -> Option<Found>) -> Vec<SocketAddr> {
        match &self.place {
            Place::Address(ip, zone) => resolv_conf::in_zone(*ip, self.port, zone.as_deref()).into_iter().collect(),
            Place::Host(host) => {
                let addresses = found(host).map(|found| found.addresses).unwrap_or_default();
                addresses.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect()
            }
        }
    }

    /// Whom its certificate must name: as it says itself, as the line says, its host, its address.
    pub(super) fn certified(&self, line: Option<&ServerName<'static>>) -> ServerName<'static> {
        let host = |host: &Name| ServerName::try_from(host.to_string().trim_end_matches('.').to_owned()).ok();
        let own = match &self.place {
            Place::Address(ip, _) => Some(ServerName::from(*ip)),
            Place::Host(name) => host(name),
        };
        let name = self.name.clone().or_else(|| line.cloned()).or(own);
        // Every host name that is read is a name that TLS takes.
        name.unwrap_or_else(|| ServerName::from(IpAddr::from([0; 4])))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Address(ip, None) => ip.fmt(f),
            Place::Address(ip, Some(zone)) => write!(f, "{ip}%{zone}"),
            Place::Host(host) => f.write_str(host.to_string().trim_end_matches('.')),
        }
    }
}

pub(super) fn neither(text: &str) -> String {
    format!("`{text}` is neither an address, nor a file, nor a host name")
}

/// `192.0.2.1%dns.example.org:853` → the address, and what stands behind `%`. Within brackets it is a zone.
fn split_name(text: &str) -> (&str, Option<&str>) {
    let behind = text.find(']').unwrap_or(0);
    match text[behind..].find('%') {
        Some(at) => (&text[..behind + at], Some(&text[behind + at + 1..])),
        None => (text, None),
    }
}

/// An address or a host as it is written.
struct Parts<'a> {
    host: &'a str,
    zone: Option<&'a str>,
    port: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (address, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(None) => return None,
            Some(Some((address, ""))) => (address, None),
            Some(Some((address, rest))) => (address, Some(rest.strip_prefix(':')?)),
            // More than one colon is an IPv6 address without a port.
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let (host, zone) = address.split_once('%').map_or((address, None), |(host, zone)| (host, Some(zone)));
        (zone != Some("")).then_some(Self { host, zone, port })
    }
}

/// A host name: letters, digits, hyphens, underscores. The last label is no number, else it would be a misspelled
/// address.
fn host_name(text: &str) -> Option<Name> {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    };
    let labels = text.strip_suffix('.').unwrap_or(text);
    let last = labels.rsplit('.').next().unwrap_or_default();
    let is_host = labels.split('.').all(label) && !last.bytes().all(|octet| octet.is_ascii_digit());
    let is_certifiable = || ServerName::try_from(labels).is_ok();
    if is_host && is_certifiable() { Name::parse(text).ok() } else { None }
}

/// Whom a certificate must name.
pub(super) fn server_name(word: &Token, text: &str) -> Result<ServerName<'static>, Error> {
    let name = ServerName::try_from(text.to_owned());
    name.map_err(|_| word.error(format!("expected the name in a server's certificate, found `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<To, String> {
        let stanza = corefile::stanza(text);
        To::read(&stanza.name).map_err(|error| error.message().to_owned())
    }

    /// `tls 192.0.2.1 853 dns.example.org`: scheme, place, port, name.
    fn shown(to: &To) -> String {
        match to {
            To::File(path) => format!("file {path}"),
            To::FileOrHost(_, server) => format!("file or {}", shown(&To::Server(server.clone()))),
            To::Server(server) => {
                let name = server.name.as_ref().map(|name| format!(" {}", name.to_str())).unwrap_or_default();
                let kind = if server.host().is_some() { "host " } else { "" };
                format!("{:?} {kind}{server} {}{name}", server.scheme, server.port).to_lowercase()
            }
        }
    }

    #[test]
    fn what_is_read() {
        for (text, expected) in [
            ("192.0.2.1", "plain 192.0.2.1 53"),
            ("dns://192.0.2.1:5300", "plain 192.0.2.1 5300"),
            ("2001:db8::1", "plain 2001:db8::1 53"),
            ("[2001:db8::1]", "plain 2001:db8::1 53"),
            ("[2001:db8::1]:5300", "plain 2001:db8::1 5300"),
            ("fe80::1%eth0", "plain fe80::1%eth0 53"),
            ("[fe80::1%eth0]:5300", "plain fe80::1%eth0 5300"),
            ("/etc/resolv.conf", "file /etc/resolv.conf"),
            ("./resolv.conf", "file ./resolv.conf"),
            ("resolv.conf", "file or plain host resolv.conf 53"),
            ("dns.example.org:5300", "file or plain host dns.example.org 5300"),
            ("dns://dns.example.org", "plain host dns.example.org 53"),
            ("tls://192.0.2.1", "tls 192.0.2.1 853"),
            ("tls://192.0.2.1:8853", "tls 192.0.2.1 8853"),
            ("tls://192.0.2.1%dns.example.org", "tls 192.0.2.1 853 dns.example.org"),
            ("tls://192.0.2.1%dns.example.org:8853", "tls 192.0.2.1 8853 dns.example.org"),
            ("tls://192.0.2.1:8853%dns.example.org", "tls 192.0.2.1 8853 dns.example.org"),
            ("tls://2001:db8::1%dns.example.org", "tls 2001:db8::1 853 dns.example.org"),
            ("tls://[fe80::1%eth0]:8853", "tls fe80::1%eth0 8853"),
            ("tls://[fe80::1%eth0]%dns.example.org", "tls fe80::1%eth0 853 dns.example.org"),
            ("tls://dns.example.org", "tls host dns.example.org 853"),
            ("https://192.0.2.1", "https 192.0.2.1 443"),
            ("https://[2001:db8::1]:8443", "https 2001:db8::1 8443"),
            ("https://dns.example.org:8443", "https host dns.example.org 8443"),
            ("quic://192.0.2.1", "quic 192.0.2.1 853"),
            ("quic://192.0.2.1%dns.example.org", "quic 192.0.2.1 853 dns.example.org"),
        ] {
            assert_eq!(read(text).map(|to| shown(&to)), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, message) in [
            ("grpc://192.0.2.1", "unknown scheme `grpc://`; expected one of: dns, tls, https, quic"),
            ("https3://192.0.2.1", "unknown scheme `https3://`; did you mean `https`?"),
            ("udp://192.0.2.1", "unknown scheme `udp://`; expected one of: dns, tls, https, quic"),
            ("TLS://192.0.2.1", "unknown scheme `TLS://`; expected one of: dns, tls, https, quic"),
            ("tls://", "expected an address behind `tls://`"),
            ("https://192.0.2.1/dns-query", "a path is not allowed here: questions go to `/dns-query`"),
            ("tls://192.0.2.1/x", "expected an address or a host name, found `192.0.2.1/x`"),
            ("192.0.2.1:0", "expected a port between 1 and 65535, found `0`"),
            ("192.0.2.1:99999", "expected a port between 1 and 65535, found `99999`"),
            ("192.0.2.1:", "expected a port between 1 and 65535, found ``"),
            ("192.0.2.1%eth0", "only an IPv6 address can have a zone"),
            ("300.1.1.1", "`300.1.1.1` is neither an address, nor a file, nor a host name"),
            ("fe80::1%", "`fe80::1%` is neither an address, nor a file, nor a host name"),
            ("[2001:db8::1", "`[2001:db8::1` is neither an address, nor a file, nor a host name"),
            ("tls://192.0.2.1%", "expected the name in a server's certificate, found ``"),
            ("tls://192.0.2.1%a..b", "expected the name in a server's certificate, found `a..b`"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn whom_a_certificate_must_name() {
        let line = ServerName::try_from("line.example.org").unwrap();
        for (text, line, expected) in [
            ("tls://192.0.2.1", None, "192.0.2.1"),
            ("tls://192.0.2.1", Some(&line), "line.example.org"),
            ("tls://192.0.2.1%own.example.org", None, "own.example.org"),
            ("tls://host.example.org", None, "host.example.org"),
            ("tls://host.example.org.", None, "host.example.org"),
            ("tls://host.example.org", Some(&line), "line.example.org"),
        ] {
            let To::Server(server) = read(text).unwrap() else { panic!("{text} is a server") };
            assert_eq!(server.certified(line).to_str(), expected, "{text}");
        }
    }
}
