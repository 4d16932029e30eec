use std::{collections::HashMap, net::IpAddr};

use crate::{chain::ZoneSet, wire::Name};

/// Names and addresses of a hosts file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    names: HashMap<Name, Vec<IpAddr>>,
    wildcards: HashMap<Name, Vec<IpAddr>>,
    addresses: HashMap<IpAddr, Vec<Name>>,
}

impl Table {
    /// Adds the lines of a text. What is no line of the format is passed over, as everybody does with hosts files.
    pub(super) fn add(&mut self, text: &str, zones: &ZoneSet, reverse: bool) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(address) = words.next().and_then(address_of) else { continue };
            for name in words.filter_map(|word| Name::parse(word).ok()).filter(|name| zones.contains(name)) {
                self.put(name.to_lowercase(), address, reverse);
            }
        }
    }

    fn put(&mut self, name: Name, address: IpAddr, reverse: bool) {
        let push = |list: &mut Vec<IpAddr>| {
            if !list.contains(&address) {
                list.push(address);
            }
        };
        if name.labels().next() == Some(b"*") {
            return push(self.wildcards.entry(name.parent(1)).or_default());
        }
        push(self.names.entry(name).or_default());
        if reverse {
            let names = self.addresses.entry(address).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }

    /// The addresses of one family that a name has; `None` if it is not known. A wildcard fills in the family that
    /// the name itself lacks, as in CoreDNS.
    pub(super) fn addresses(&self, name: &Name, wanted: impl Fn(&IpAddr) -> bool) -> Option<Vec<IpAddr>> {
        let exact = self.names.get(name);
        let wildcard = if name.is_root() { None } else { self.wildcards.get(&name.parent(1)) };
        if exact.is_none() && wildcard.is_none() {
            return None;
        }
        let of_family = |list: Option<&Vec<IpAddr>>| -> Vec<IpAddr> {
            list.into_iter().flatten().copied().filter(&wanted).collect()
        };
        let own = of_family(exact);
        Some(if own.is_empty() { of_family(wildcard) } else { own })
    }

    /// The names of an address.
    pub(super) fn names(&self, address: IpAddr) -> &[Name] {
        self.addresses.get(&address).map_or(&[], Vec::as_slice)
    }

    /// How many pairs of name and address there are, those for reverse look-ups counted on their own.
    pub(super) fn len(&self) -> usize {
        let forward = self.names.values().chain(self.wildcards.values()).map(Vec::len);
        forward.chain(self.addresses.values().map(Vec::len)).sum()
    }
}

/// The address at the start of a line. The zone of a link-local address is left out, and an IPv4 address in the
/// clothes of an IPv6 one is one.
pub(super) fn address_of(word: &str) -> Option<IpAddr> {
    let address: IpAddr = word.split('%').next()?.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_names_and_addresses() {
        let mut table = Table::default();
        let zones = ZoneSet::new(vec![Name::parse("example.org").unwrap()]);
        let text = "192.0.2.1 A.example.org b.example.org # c.example.org\nfe80::1%lo a.example.org\n\
                    nonsense d.example.org\n192.0.2.2 *.wild.example.org\n192.0.2.3 other.net\n\
                    ::ffff:192.0.2.9 mapped.example.org\n2001:db8::6 six.wild.example.org\n";
        table.add(text, &zones, true);
        let name = |text: &str| Name::parse(text).unwrap();
        for (asked, v4, addresses) in [
            ("a.example.org", true, Some("192.0.2.1")),
            ("A.Example.org", false, Some("fe80::1")),
            ("b.example.org", true, Some("192.0.2.1")),
            ("b.example.org", false, Some("")),
            ("mapped.example.org", true, Some("192.0.2.9")),
            ("c.example.org", true, None),
            ("d.example.org", true, None),
            ("x.wild.example.org", true, Some("192.0.2.2")),
            ("six.wild.example.org", true, Some("192.0.2.2")),
            ("six.wild.example.org", false, Some("2001:db8::6")),
            ("y.x.wild.example.org", true, None),
            ("wild.example.org", true, None),
            ("other.net", true, None),
        ] {
            let found = table.addresses(&name(asked), |address| address.is_ipv4() == v4);
            let found = found.map(|all| all.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), addresses, "{asked}");
        }
        assert_eq!(table.names("192.0.2.1".parse().unwrap()), [name("a.example.org"), name("b.example.org")]);
        assert!(table.names("192.0.2.2".parse().unwrap()).is_empty());
        assert_eq!(table.len(), 11);
    }
}
