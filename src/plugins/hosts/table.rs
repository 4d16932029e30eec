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
            let address = words.next().and_then(|word| word.split('%').next()).and_then(|word| word.parse().ok());
            let Some(address) = address else { continue };
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
        let names = self.addresses.entry(address).or_default();
        if reverse && !names.contains(&name) {
            names.push(name);
        }
    }

    /// The addresses of a name; `None` if it is not known.
    pub(super) fn addresses(&self, name: &Name) -> Option<&[IpAddr]> {
        let exact = self.names.get(name);
        exact.or_else(|| (!name.is_root()).then(|| self.wildcards.get(&name.parent(1)))?).map(Vec::as_slice)
    }

    /// The names of an address.
    pub(super) fn names(&self, address: IpAddr) -> &[Name] {
        self.addresses.get(&address).map_or(&[], Vec::as_slice)
    }

    /// How many names and addresses there are.
    pub(super) fn len(&self) -> usize {
        self.names.len() + self.wildcards.len() + self.addresses.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_names_and_addresses() {
        let mut table = Table::default();
        let zones = ZoneSet::new(vec![Name::parse("example.org").unwrap()]);
        let text = "192.0.2.1 A.example.org b.example.org # c.example.org\nfe80::1%lo a.example.org\n\
                    nonsense d.example.org\n192.0.2.2 *.wild.example.org\n192.0.2.3 other.net\n";
        table.add(text, &zones, true);
        let name = |text: &str| Name::parse(text).unwrap();
        for (asked, addresses) in [
            ("a.example.org", Some(vec!["192.0.2.1", "fe80::1"])),
            ("B.Example.org", Some(vec!["192.0.2.1"])),
            ("c.example.org", None),
            ("d.example.org", None),
            ("x.wild.example.org", Some(vec!["192.0.2.2"])),
            ("y.x.wild.example.org", None),
            ("wild.example.org", None),
            ("other.net", None),
        ] {
            let expected = addresses.map(|all| all.iter().map(|a| a.parse().unwrap()).collect::<Vec<IpAddr>>());
            assert_eq!(table.addresses(&name(asked)).map(<[IpAddr]>::to_vec), expected, "{asked}");
        }
        assert_eq!(table.names("192.0.2.1".parse().unwrap()), [name("a.example.org"), name("b.example.org")]);
        assert!(table.names("192.0.2.2".parse().unwrap()).is_empty());
    }
}
