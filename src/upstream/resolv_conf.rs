//! The nameservers and the search list of a file in the format of resolv.conf.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use nix::net::if_::if_nametoindex;

use crate::wire::Name;

/// The addresses of its `nameserver` lines, each once, on port 53. One in a zone that this host does not have is
/// left out.
pub fn nameservers(text: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let word = words.next().unwrap_or_default();
        let (address, zone) = word.split_once('%').map_or((word, None), |(address, zone)| (address, Some(zone)));
        let address = address.parse().ok().and_then(|ip| in_zone(ip, 53, zone));
        if let Some(address) = address.filter(|address| !found.contains(address)) {
            found.push(address);
        }
    }
    found
}

/// The search list: that of the last `search` or `domain` line. What is no domain name is left out.
pub fn search_list(text: &str) -> Vec<Name> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let most = match words.next() {
            Some("search") => usize::MAX,
            Some("domain") => 1,
            _ => continue,
        };
        found = words.take(most).filter_map(|word| Name::parse(&word.to_ascii_lowercase()).ok()).collect();
    }
    found
}

/// An address in the zone of an interface, given by name or by number (RFC 4007 section 11). `None` if there is no
/// such interface; IPv4 has no zones.
pub fn in_zone(ip: IpAddr, port: u16, zone: Option<&str>) -> Option<SocketAddr> {
    match (ip, zone) {
        (ip, None) | (ip @ IpAddr::V4(_), _) => Some(SocketAddr::new(ip, port)),
        (IpAddr::V6(ip), Some(zone)) => {
            let scope = zone.parse().ok().or_else(|| if_nametoindex(zone).ok())?;
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameserver_lines_count() {
        let text = "# x\nsearch a b\nnameserver 10.0.0.1\nnameserver fe80::1%7\n nameserver 10.0.0.1\nnameserver x\n\
                    nameserver fe80::1%no-such-zone\noptions ndots:5\n";
        let expected: Vec<SocketAddr> = ["10.0.0.1:53", "[fe80::1%7]:53"].iter().map(|a| a.parse().unwrap()).collect();
        assert_eq!(nameservers(text), expected);
    }

    #[test]
    fn the_last_search_line_counts() {
        for (text, names) in [
            ("nameserver 10.0.0.1\n", vec![]),
            ("search a.test b.test.\n", vec!["a.test.", "b.test."]),
            ("search a.test\nsearch B.test c..d\n", vec!["b.test."]),
            ("search a.test b.test\ndomain c.test d.test\n", vec!["c.test."]),
            ("#search a.test\noptions ndots:5\n", vec![]),
        ] {
            let expected: Vec<Name> = names.iter().map(|name| Name::parse(name).unwrap()).collect();
            assert_eq!(search_list(text), expected, "{text}");
        }
    }

    #[test]
    fn a_zone_is_a_number_or_an_interface() {
        let ip = "fe80::1".parse().unwrap();
        let scope = |zone| match in_zone(ip, 53, zone) {
            Some(SocketAddr::V6(address)) => Some(address.scope_id()),
            _ => None,
        };
        assert_eq!(scope(None), Some(0));
        assert_eq!(scope(Some("12")), Some(12));
        assert_eq!(scope(Some("lo")), if_nametoindex("lo").ok());
        assert_eq!(scope(Some("no-such-zone")), None);
    }
}
