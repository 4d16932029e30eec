use std::{collections::HashMap, net::IpAddr, sync::Arc};

use smallvec::SmallVec;

use crate::{chain::ZoneSet, wire::Name};

/// How many pairs of name and address there may be; a table of that size takes about a gigabyte.
const MOST: usize = 5_000_000;

/// Names and addresses of a hosts file. Names are in wire form and in small letters, and stand in memory once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    names: HashMap<Arc<[u8]>, Addresses>,
    wildcards: HashMap<Arc<[u8]>, Addresses>,
    addresses: HashMap<IpAddr, SmallVec<[Arc<[u8]>; 1]>>,
    pairs: usize,
}

type Addresses = SmallVec<[IpAddr; 1]>;

/// Why a line is none of a hosts file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// It does not begin with an address.
    #[error("`{0}` is no address")]
    NoAddress(String),
    /// What stands behind the address is no name.
    #[error("`{0}` is no domain name")]
    NoName(String),
    /// The table is full.
    #[error("more than {MOST} names and addresses")]
    TooMany,
}

impl Table {
    /// Adds the lines of a text. What is no line of the format is passed over.
    pub(super) fn add(&mut self, text: &str, zones: &ZoneSet, reverse: bool) {
        for line in text.lines() {
            _ = self.line(line, zones, reverse);
        }
    }

    /// Adds a line; of one with a bad name the others count.
    pub(super) fn line(&mut self, line: &str, zones: &ZoneSet, reverse: bool) -> Result<(), LineError> {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(word) = words.next() else { return Ok(()) };
        let address = address_of(word).ok_or_else(|| LineError::NoAddress(shown(word)))?;
        let mut outcome = Ok(());
        for word in words {
            match Name::parse(word) {
                Ok(name) if zones.contains(&name) => self.put(&name, address, reverse)?,
                Ok(_) => {}
                Err(_) => outcome = Err(LineError::NoName(shown(word))),
            }
        }
        outcome
    }

    fn put(&mut self, name: &Name, address: IpAddr, reverse: bool) -> Result<(), LineError> {
        if self.pairs >= MOST {
            return Err(LineError::TooMany);
        }
        let is_wildcard = name.labels().next() == Some(b"*");
        let key = if is_wildcard { name.parent(1).to_lowercase() } else { name.to_lowercase() };
        let known = if is_wildcard { &mut self.wildcards } else { &mut self.names };
        let list = match known.get_mut(key.wire()) {
            Some(list) => list,
            None => known.entry(key.wire().into()).or_default(),
        };
        // RFC 2181 section 5: an address that stands twice is one.
        if list.contains(&address) {
            return Ok(());
        }
        list.push(address);
        self.pairs += 1;
        if reverse && !is_wildcard {
            let shared = self.names.get_key_value(key.wire()).map(|(name, _)| Arc::clone(name));
            self.addresses.entry(address).or_default().extend(shared);
            self.pairs += 1;
        }
        Ok(())
    }

    /// The addresses of one family that a name has; `None` if it is not known. A wildcard fills in the family that
    /// the name itself lacks, as in CoreDNS.
    pub(super) fn addresses(&self, name: &Name, wanted: impl Fn(&IpAddr) -> bool) -> Option<Addresses> {
        let name = name.to_lowercase();
        let exact = self.names.get(name.wire());
        let wildcard = if name.is_root() { None } else { self.wildcards.get(name.tail(1)) };
        if exact.is_none() && wildcard.is_none() {
            return None;
        }
        let of_family =
            |list: Option<&Addresses>| -> Addresses { list.into_iter().flatten().copied().filter(&wanted).collect() };
        let own = of_family(exact);
        Some(if own.is_empty() { of_family(wildcard) } else { own })
    }

    /// The names of an address.
    pub(super) fn names(&self, address: IpAddr) -> impl Iterator<Item = Name> {
        self.addresses.get(&address).into_iter().flatten().filter_map(|name| Name::from_wire(name).ok())
    }

    /// Whether there is no name.
    pub(super) const fn is_empty(&self) -> bool {
        self.pairs == 0
    }

    /// How many pairs of name and address there are, those for reverse look-ups counted on their own.
    pub(super) const fn len(&self) -> usize {
        self.pairs
    }

    /// Gives back the room that is kept for more.
    pub(super) fn settle(&mut self) {
        self.names.shrink_to_fit();
        self.wildcards.shrink_to_fit();
        self.addresses.shrink_to_fit();
    }
}

/// The beginning of a word, for messages.
fn shown(word: &str) -> String {
    word.chars().take(64).collect()
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
        let names = |address: &str| table.names(address.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(names("192.0.2.1"), [name("a.example.org"), name("b.example.org")]);
        assert!(names("192.0.2.2").is_empty());
        assert_eq!(table.len(), 11);
    }

    #[test]
    fn lines_that_are_none_say_why() {
        let zones = ZoneSet::new(vec![Name::root()]);
        let mut table = Table::default();
        for (line, error) in [
            ("192.0.2.1", None),
            ("# nothing", None),
            ("192.0.2 a.test", Some("`192.0.2` is no address")),
            ("192.0.2.1 a..b a.test", Some("`a..b` is no domain name")),
        ] {
            let found = table.line(line, &zones, true).err().map(|error| error.to_string());
            assert_eq!(found.as_deref(), error, "{line}");
        }
        assert_eq!(table.len(), 2, "the good name of a line counts");
        table.pairs = MOST;
        assert_eq!(table.line("192.0.2.2 b.test", &zones, true), Err(LineError::TooMany));
    }
}
