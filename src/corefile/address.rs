use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Error, Token, Warning};

/// A key of a server block: for which zones, over what, on which port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The transport.
    pub scheme: Scheme,
    /// The zones, fully qualified and in lower case; several if the key is a network off the octet borders.
    pub zones: Vec<String>,
    /// The port, if the key names one.
    pub port: Option<u16>,
    /// The key as it stands in the file.
    pub token: Token,
}

impl Key {
    /// The port that is listened on; `plain` is that of keys that name neither port nor scheme.
    pub fn port_or(&self, plain: u16) -> u16 {
        let default = if self.scheme == Scheme::Dns { plain } else { self.scheme.default_port() };
        self.port.unwrap_or(default)
    }
}

/// How queries come to a server block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the schemes' own names")]
pub enum Scheme {
    Dns,
    Tls,
    Quic,
    Grpc,
    Https,
    Https3,
    Unix,
}

const SCHEMES: [Scheme; 7] =
    [Scheme::Dns, Scheme::Tls, Scheme::Quic, Scheme::Grpc, Scheme::Https, Scheme::Https3, Scheme::Unix];

impl Scheme {
    /// As it stands in front of `://`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Grpc => "grpc",
            Self::Https => "https",
            Self::Https3 => "https3",
            Self::Unix => "unix",
        }
    }

    /// Whether it is encrypted, so that a certificate is needed.
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Quic | Self::Grpc | Self::Https | Self::Https3)
    }

    /// Whether it listens on a TCP port.
    pub const fn takes_tcp(self) -> bool {
        matches!(self, Self::Dns | Self::Tls | Self::Grpc | Self::Https)
    }

    /// Whether it listens on a UDP port.
    pub const fn takes_udp(self) -> bool {
        matches!(self, Self::Dns | Self::Quic | Self::Https3)
    }

    /// The port of a key that names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Dns | Self::Unix => 53,
            Self::Tls | Self::Quic => 853,
            Self::Grpc | Self::Https | Self::Https3 => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a key.
pub(super) fn key(token: &Token, warnings: &mut Vec<Warning>) -> Result<Key, Error> {
    let (scheme, rest) = scheme(token)?;
    if rest.ends_with(['{', '}']) {
        return Err(token.error("a brace must be a word of its own: put a blank in front of it"));
    }
    if rest.contains(',') {
        return Err(token.error("keys are separated by a comma and a blank"));
    }
    let (zone, port) = port(token, rest)?;
    if port.is_some() && zone.contains(':') && rest.parse::<IpAddr>().is_ok() {
        let message =
            format!("`{rest}` is read as zone `{zone}` and port, as CoreDNS does; an IPv6 network needs its length");
        warnings.push(Warning { span: token.span.clone(), message });
    }
    let zone_word = Token { text: if zone.is_empty() { ".".to_owned() } else { zone.to_owned() }, ..token.clone() };
    Ok(Key { scheme, zones: zones_of(&zone_word)?, port, token: token.clone() })
}

fn scheme(token: &Token) -> Result<(Scheme, &str), Error> {
    let Some((word, rest)) = token.text.split_once("://") else { return Ok((Scheme::Dns, &token.text)) };
    let known = SCHEMES.into_iter().find(|scheme| scheme.as_str() == word);
    known.map(|scheme| (scheme, rest)).ok_or_else(|| {
        let names = SCHEMES.map(Scheme::as_str);
        token.error(format!("unknown scheme `{word}://`; schemes are written in small letters: {}", names.join(", ")))
    })
}

/// What stands behind the last colon is a port if it is a number.
fn port<'a>(token: &Token, text: &'a str) -> Result<(&'a str, Option<u16>), Error> {
    let Some((zone, port)) = text.rsplit_once(':') else { return Ok((text, None)) };
    if port.is_empty() {
        return Err(token.error("expected a port behind the colon"));
    }
    if port.bytes().all(|octet| octet.is_ascii_digit()) {
        let number = port.parse().ok().filter(|&port: &u16| port > 0);
        return match number {
            Some(number) => Ok((zone, Some(number))),
            None => Err(token.error(format!("expected a port between 1 and 65535, found `{port}`"))),
        };
    }
    if port.contains('/') {
        return Ok((text, None));
    }
    Err(token.error(format!("expected a port number behind the colon, found `{port}`")))
}

/// The zones of a word: a domain name, or a network in CIDR notation turned into its reverse zones. A dot at the end
/// of a network makes it a plain name.
pub fn zones_of(token: &Token) -> Result<Vec<String>, Error> {
    let text = token.text.as_str();
    if let Some((address, length)) = text.split_once('/')
        && let Ok(address) = address.parse::<IpAddr>()
    {
        return match prefix_length(length, address) {
            Some(length) => Ok(reverse_zones(address, length)),
            None if text.ends_with('.') => qualified(token).map(|zone| vec![zone]),
            None => {
                let longest = width(address);
                Err(token.error(format!("expected a prefix length between 0 and {longest} in `{text}`")))
            }
        };
    }
    qualified(token).map(|zone| vec![zone])
}

/// How many bits an address has.
pub(super) const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The number behind the slash of a network; `None` if it is none or longer than the address.
pub(super) fn prefix_length(text: &str, address: IpAddr) -> Option<u8> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|&length| digits && length <= width(address))
}

fn qualified(token: &Token) -> Result<String, Error> {
    let text = token.text.as_str();
    if text == "." {
        return Ok(".".to_owned());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let labels_fit = name.split('.').all(|label| (1..=63).contains(&label.len()));
    if !labels_fit || name.len() > 253 || name.contains(char::is_whitespace) {
        return Err(token.error(format!("`{text}` is not a domain name")));
    }
    Ok(format!("{}.", name.to_ascii_lowercase()))
}

/// The reverse zones that cover a network: cut at octets for IPv4, at nibbles for IPv6. A network off these borders
/// becomes several zones.
fn reverse_zones(address: IpAddr, length: u8) -> Vec<String> {
    match address {
        IpAddr::V4(v4) => covering(u128::from(u32::from(v4)), 32, length, 8, |network, bits| {
            let octets = Ipv4Addr::from(network as u32).octets();
            reverse_name(octets[..usize::from(bits) / 8].iter().map(u8::to_string), "in-addr.arpa.")
        }),
        IpAddr::V6(v6) => covering(u128::from(v6), 128, length, 4, |network, bits| {
            let octets = Ipv6Addr::from(network).octets();
            let nibbles = octets.iter().flat_map(|octet| [octet >> 4, octet & 0xF]).take(usize::from(bits) / 4);
            reverse_name(nibbles.map(|nibble| format!("{nibble:x}")), "ip6.arpa.")
        }),
    }
}

fn covering(address: u128, width: u8, length: u8, step: u8, name: impl Fn(u128, u8) -> String) -> Vec<String> {
    let bits = length.div_ceil(step) * step;
    let host_bits = u32::from(width - length);
    let network = address.checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0);
    let count = 1u128 << (bits - length);
    (0..count).map(|index| name(network | index.checked_shl(u32::from(width - bits)).unwrap_or(0), bits)).collect()
}

fn reverse_name(parts: impl Iterator<Item = String>, suffix: &str) -> String {
    let mut parts: Vec<String> = parts.collect();
    parts.reverse();
    parts.iter().map(|part| format!("{part}.")).collect::<String>() + suffix
}
