//! The header of the PROXY protocol, versions 1 and 2: what a proxy says of the client in front of the client's own
//! octets (www.haproxy.org/download/3.0/doc/proxy-protocol.txt).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What version 1 begins with.
const WORD: &[u8; 5] = b"PROXY";
/// The longest line of version 1, octets.
const LONGEST_LINE: usize = 107;
/// The fixed part of version 2, octets.
const FIXED: usize = 16;
/// The longest variable part of version 2 that is taken, octets: there is room for a certificate.
const LONGEST_REST: usize = 4096;
/// A TLV that only fills up.
const NOOP: u8 = 4;

/// The longest header, octets.
pub const LONGEST_PROXY_HEADER: usize = FIXED + LONGEST_REST;

/// What octets begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble<'a> {
    /// Something else.
    Nothing,
    /// The beginning of a header, or something that may become one.
    Part,
    /// A whole header, and its length in octets.
    Whole(ProxyHeader<'a>, usize),
    /// Something that is no header although it looks like one.
    Malformed,
}

/// What a proxy says of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader<'a> {
    /// How the client has come.
    pub carrier: Carrier,
    /// The client's address, and the one that it has asked; `None` if the proxy asks for itself, or knows of none.
    pub ends: Option<[SocketAddr; 2]>,
    /// What else is said, as it stands there; empty in version 1. [`ProxyHeader::tlvs`] reads it.
    rest: &'a [u8],
}

/// How a client has come to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// There is no client: the proxy asks for itself (`LOCAL`, `UNKNOWN`).
    Itself,
    /// Over a line of version 1, which knows TCP only.
    Line,
    /// Over a stream.
    Stream,
    /// With datagrams.
    Datagram,
}

impl<'a> Preamble<'a> {
    /// Reads what stands at the beginning of `octets`.
    pub fn of(octets: &'a [u8]) -> Self {
        let begins = |with: &[u8]| octets.iter().zip(with).all(|(one, other)| one == other);
        if begins(SIGNATURE) {
            return if octets.len() < FIXED { Self::Part } else { binary(octets) };
        }
        if begins(WORD) {
            return if octets.len() < WORD.len() { Self::Part } else { line(octets) };
        }
        Self::Nothing
    }
}

/// Version 2.
fn binary(octets: &[u8]) -> Preamble<'_> {
    let (fixed, behind) = octets.split_at(FIXED);
    let (command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let is_known = matches!(command, 0x20 | 0x21) && matches!(family, 0x00 | 0x11 | 0x12 | 0x21 | 0x22 | 0x31 | 0x32);
    // A proxy that speaks for a client must say how the client has come.
    if !is_known || length > LONGEST_REST || (command == 0x21 && family == 0) {
        return Preamble::Malformed;
    }
    let Some(rest) = behind.get(..length) else { return Preamble::Part };
    let whole = |carrier, ends, rest| Preamble::Whole(ProxyHeader { carrier, ends, rest }, FIXED + length);
    if command == 0x20 {
        // Whatever else it says is to be passed over.
        return whole(Carrier::Itself, None, &[]);
    }
    let carrier = if family & 0xF == 1 { Carrier::Stream } else { Carrier::Datagram };
    let (ends, addresses) = match family >> 4 {
        1 => (rest.first_chunk::<12>().map(|part| Some(ends_v4(part))), 12),
        2 => (rest.first_chunk::<36>().map(|part| Some(ends_v6(part))), 36),
        // Sockets of a file system: no address that we could name.
        _ => ((rest.len() >= 216).then_some(None), 216),
    };
    match ends {
        Some(ends) => whole(carrier, ends, &rest[addresses..]),
        None => Preamble::Malformed,
    }
}

fn ends_v4(part: &[u8; 12]) -> [SocketAddr; 2] {
    let end = |address: usize, port: usize| {
        let address: [u8; 4] = std::array::from_fn(|at| part[address + at]);
        SocketAddr::from((Ipv4Addr::from(address), u16::from_be_bytes([part[port], part[port + 1]])))
    };
    [end(0, 8), end(4, 10)]
}

fn ends_v6(part: &[u8; 36]) -> [SocketAddr; 2] {
    let end = |address: usize, port: usize| {
        let address: [u8; 16] = std::array::from_fn(|at| part[address + at]);
        SocketAddr::from((Ipv6Addr::from(address), u16::from_be_bytes([part[port], part[port + 1]])))
    };
    [end(0, 32), end(16, 34)]
}

/// Version 1: `PROXY TCP4 CLIENT ASKED PORT PORT`, and a line's end.
fn line(octets: &[u8]) -> Preamble<'_> {
    let Some(end) = octets.iter().take(LONGEST_LINE).position(|&octet| octet == b'\n') else {
        return if octets.len() < LONGEST_LINE { Preamble::Part } else { Preamble::Malformed };
    };
    match octets[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok()).and_then(words) {
        Some(header) => Preamble::Whole(header, end + 1),
        None => Preamble::Malformed,
    }
}

fn words(line: &str) -> Option<ProxyHeader<'static>> {
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(ProxyHeader { carrier: Carrier::Itself, ends: None, rest: &[] });
    }
    let mut address = || -> Option<IpAddr> {
        let text = words.next()?;
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (client, asked) = (address()?, address()?);
    let mut port = || words.next().and_then(port);
    let (from, to) = (port()?, port()?);
    let ends = Some([SocketAddr::new(client, from), SocketAddr::new(asked, to)]);
    words.next().is_none().then_some(ProxyHeader { carrier: Carrier::Line, ends, rest: &[] })
}

/// A port without sign and leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

impl ProxyHeader<'_> {
    /// What the proxy says besides addresses: a list of type (1 octet), length (2 octets) and value, without what only
    /// fills up. `None` if there is nothing, or no such list.
    pub fn tlvs(&self) -> Option<Vec<u8>> {
        let mut list = Vec::with_capacity(self.rest.len());
        let mut rest = self.rest;
        while !rest.is_empty() {
            let (&[kind, high, low], behind) = rest.split_first_chunk::<3>()?;
            let (value, next) = behind.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            if kind == NOOP {
                list.extend_from_slice(&[NOOP, 0, 0]);
            } else {
                list.extend_from_slice(&[kind, high, low]);
                list.extend_from_slice(value);
            }
            rest = next;
        }
        (!list.is_empty()).then_some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MALFORMED: &str = "malformed";
    const PART: &str = "part";

    /// `CARRIER CLIENT ASKED` and the octets behind the header, or what is wrong.
    fn read(octets: &[u8]) -> String {
        match Preamble::of(octets) {
            Preamble::Nothing => "nothing".to_owned(),
            Preamble::Part => PART.to_owned(),
            Preamble::Malformed => MALFORMED.to_owned(),
            Preamble::Whole(header, length) => {
                let ends = header.ends.map_or_else(|| " -".to_owned(), |[client, asked]| format!(" {client} {asked}"));
                format!("{:?}{ends} +{}", header.carrier, octets.len() - length)
            }
        }
    }

    /// Version 2 with this command, family and what is behind the length.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut octets = SIGNATURE.to_vec();
        octets.extend_from_slice(&[command, family]);
        octets.extend_from_slice(&(rest.len() as u16).to_be_bytes());
        octets.extend_from_slice(rest);
        octets
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 53, 0x30, 0x39, 0, 53];

    fn v6() -> Vec<u8> {
        let mut part = [[0x20, 1, 0xd, 0xb8], [0; 4], [0; 4], [0, 0, 0, 1]].concat();
        part.extend([[0xfd, 0, 0, 0], [0; 4], [0; 4], [0, 0, 0, 0x53]].concat());
        part.extend([0x30, 0x39, 0, 53]);
        part
    }

    #[test]
    fn lines_of_version_1() {
        for (line, found) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.53 12345 53\r\n", "Line 192.0.2.1:12345 198.51.100.53:53 +0"),
            ("PROXY TCP4 192.0.2.1 198.51.100.53 12345 53\r\nPROXY", "Line 192.0.2.1:12345 198.51.100.53:53 +5"),
            ("PROXY TCP6 2001:db8::1 fd00::53 12345 0\r\n", "Line [2001:db8::1]:12345 [fd00::53]:0 +0"),
            ("PROXY UNKNOWN\r\n", "Itself - +0"),
            ("PROXY UNKNOWN whatever stands here\r\nx", "Itself - +1"),
            // What may go on.
            ("P", PART),
            ("PROXY", PART),
            ("PROXY TCP4 192.0.2.1 198.51.100.53 12345 53\r", PART),
            // What is none.
            ("PRO", PART),
            ("PROBE TCP4 192.0.2.1 198.51.100.53 12345 53\r\n", "nothing"),
            ("proxy TCP4 192.0.2.1 198.51.100.53 12345 53\r\n", "nothing"),
            ("PROXYTCP4 192.0.2.1 198.51.100.53 12345 53\r\n", MALFORMED),
            ("PROXY\r\n", MALFORMED),
            ("PROXY \r\n", MALFORMED),
            ("PROXY TCP4 192.0.2.1 198.51.100.53 12345 53\n", MALFORMED),
            ("PROXY TCP4 192.0.2.1 198.51.100.53 12345\r\n", MALFORMED),
            ("PROXY TCP4 192.0.2.1 198.51.100.53 12345 53 7\r\n", MALFORMED),
            ("PROXY TCP4  192.0.2.1 198.51.100.53 12345 53\r\n", MALFORMED),
            ("PROXY TCP4 2001:db8::1 fd00::53 12345 53\r\n", MALFORMED),
            ("PROXY TCP6 192.0.2.1 198.51.100.53 12345 53\r\n", MALFORMED),
            ("PROXY TCP6 fe80::1%eth0 fd00::53 12345 53\r\n", MALFORMED),
            ("PROXY UDP4 192.0.2.1 198.51.100.53 12345 53\r\n", MALFORMED),
            ("PROXY TCP4 192.0.2.256 198.51.100.53 12345 53\r\n", MALFORMED),
            ("PROXY TCP4 192.0.2.1 198.51.100.53 65536 53\r\n", MALFORMED),
            ("PROXY TCP4 192.0.2.1 198.51.100.53 012 53\r\n", MALFORMED),
            ("PROXY TCP4 192.0.2.1 198.51.100.53 +12 53\r\n", MALFORMED),
            ("PROXY TCP4 192.0.2.1 198.51.100.53 -1 53\r\n", MALFORMED),
        ] {
            assert_eq!(read(line.as_bytes()), found, "{line:?}");
        }
        let endless = "PROXY UNKNOWN ".to_owned() + &"x".repeat(200);
        assert_eq!(read(&endless.as_bytes()[..106]), PART);
        assert_eq!(read(&endless.as_bytes()[..107]), MALFORMED);
        assert_eq!(read(b"PROXY TCP4 \xff 198.51.100.53 1 53\r\n"), MALFORMED);
    }

    #[test]
    fn headers_of_version_2() {
        let with_tlv = [&V4[..], &[0xEA, 0, 1, 7]].concat();
        let unix = [0u8; 216];
        for (what, octets, found) in [
            ("UDP over IPv4", v2(0x21, 0x12, &V4), "Datagram 192.0.2.1:12345 198.51.100.53:53 +0"),
            ("TCP over IPv4", v2(0x21, 0x11, &V4), "Stream 192.0.2.1:12345 198.51.100.53:53 +0"),
            ("with a TLV", v2(0x21, 0x11, &with_tlv), "Stream 192.0.2.1:12345 198.51.100.53:53 +0"),
            ("TCP over IPv6", v2(0x21, 0x21, &v6()), "Stream [2001:db8::1]:12345 [fd00::53]:53 +0"),
            ("UDP over IPv6", v2(0x21, 0x22, &v6()), "Datagram [2001:db8::1]:12345 [fd00::53]:53 +0"),
            ("a file's socket", v2(0x21, 0x31, &unix), "Stream - +0"),
            ("a check of health", v2(0x20, 0, &[]), "Itself - +0"),
            ("a check with an address", v2(0x20, 0x11, &V4), "Itself - +0"),
            ("a check with half an address", v2(0x20, 0x11, &V4[..3]), "Itself - +0"),
            ("no family", v2(0x21, 0, &[]), MALFORMED),
            ("no family, but an address", v2(0x21, 0, &V4), MALFORMED),
            ("a family without a transport", v2(0x21, 0x10, &V4), MALFORMED),
            ("an unknown transport", v2(0x21, 0x13, &V4), MALFORMED),
            ("an unknown family", v2(0x21, 0x41, &V4), MALFORMED),
            ("an unknown family of a check", v2(0x20, 0x41, &V4), MALFORMED),
            ("an unknown command", v2(0x22, 0x11, &V4), MALFORMED),
            ("version 1", v2(0x11, 0x11, &V4), MALFORMED),
            ("version 3", v2(0x31, 0x11, &V4), MALFORMED),
            ("too short for IPv4", v2(0x21, 0x11, &V4[..11]), MALFORMED),
            ("too short for IPv6", v2(0x21, 0x22, &v6()[..35]), MALFORMED),
            ("too short for a file's socket", v2(0x21, 0x32, &unix[..215]), MALFORMED),
            ("4096 octets", v2(0x21, 0x11, &[1; 4096]), "Stream 1.1.1.1:257 1.1.1.1:257 +0"),
            ("more than 4096 octets", v2(0x21, 0x11, &[1; 4097]), MALFORMED),
        ] {
            assert_eq!(read(&octets), found, "{what}");
        }
    }

    /// Each beginning of a header is one of a header, each other octet in the signature something else.
    #[test]
    fn a_header_cut_or_changed_anywhere() {
        let whole = v2(0x21, 0x12, &V4);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), PART, "{length} octets");
        }
        for at in 0..12 {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(read(&changed), "nothing", "octet {at}");
        }
        let mut queries = 0;
        // Whatever stands there, nothing panics, and no length goes beyond the octets.
        for at in 12..whole.len() {
            for value in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Preamble::Whole(header, length) = Preamble::of(&changed) {
                    assert!(length <= changed.len());
                    header.tlvs();
                    queries += 1;
                }
            }
        }
        assert!(queries > 0);
        assert_eq!(read(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0"), "nothing", "a query");
    }

    #[test]
    fn what_else_is_said() {
        for (rest, tlvs) in [
            (&[][..], None),
            (&[0xEA, 0, 2, 0xCA, 0xFE], Some(&[0xEA, 0, 2, 0xCA, 0xFE][..])),
            (&[0xEA, 0, 0], Some(&[0xEA, 0, 0])),
            (&[2, 0, 1, b'a', 0xEA, 0, 1, 7], Some(&[2, 0, 1, b'a', 0xEA, 0, 1, 7])),
            (&[4, 0, 3, 1, 2, 3, 0xEA, 0, 1, 7], Some(&[4, 0, 0, 0xEA, 0, 1, 7])),
            // Lists that end too early.
            (&[0xEA], None),
            (&[0xEA, 0], None),
            (&[0xEA, 0, 1], None),
            (&[0xEA, 0, 1, 7, 2], None),
            (&[0xEA, 0xFF, 0xFF, 7], None),
        ] {
            let octets = v2(0x21, 0x11, &[&V4[..], rest].concat());
            let Preamble::Whole(header, _) = Preamble::of(&octets) else { panic!("{rest:?}") };
            assert_eq!(header.tlvs().as_deref(), tlvs, "{rest:?}");
        }
        let octets = v2(0x20, 0x11, &[&V4[..], &[0xEA, 0, 1, 7]].concat());
        let Preamble::Whole(header, _) = Preamble::of(&octets) else { panic!() };
        assert_eq!(header.tlvs(), None, "a proxy that asks for itself says nothing of a client");
    }
}
