use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The endpoints of a slice, packed: 4 or 16 octets for each address, and nothing else for those that have no name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints {
    addresses: Addresses,
    texts: Option<Box<Texts>>,
}

/// One address of an endpoint, with what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// The address.
    pub address: IpAddr,
    /// Its host name, in lower case, if it has one; or, for an address that is not written in canonical form, the name
    /// that its text gives.
    pub hostname: Option<&'a str>,
    /// The pod behind it, in lower case, if it is kept.
    pub target: Option<&'a str>,
    /// The zone that it runs in, in lower case, if it is kept.
    pub zone: Option<&'a str>,
}

/// A slice is of one family; should it not be, the addresses of both stand as IPv6 has them (RFC 4291 section 2.5.5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Addresses {
    V4(Box<[Ipv4Addr]>),
    V6(Box<[Ipv6Addr]>),
}

impl Default for Addresses {
    fn default() -> Self {
        Self::V4(Box::default())
    }
}

/// Host name, target and zone of each address, one behind the other; empty if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Texts {
    text: Box<str>,
    /// Where each ends in `text`, three for each address.
    ends: Box<[u32]>,
}

impl<'a> FromIterator<Endpoint<'a>> for Endpoints {
    fn from_iter<I: IntoIterator<Item = Endpoint<'a>>>(endpoints: I) -> Self {
        let mut addresses = Vec::new();
        let (mut text, mut ends) = (String::new(), Vec::new());
        for endpoint in endpoints {
            addresses.push(endpoint.address.to_canonical());
            for part in [endpoint.hostname, endpoint.target, endpoint.zone] {
                text.push_str(part.unwrap_or_default());
                ends.push(text.len() as u32);
            }
        }
        let texts = (!text.is_empty()).then(|| Box::new(Texts { text: text.into(), ends: ends.into() }));
        Self { addresses: Addresses::of(&addresses), texts }
    }
}

impl Addresses {
    fn of(addresses: &[IpAddr]) -> Self {
        let v4 = |address: &IpAddr| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        };
        let v6 = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => *address,
        };
        match addresses.iter().map(v4).collect() {
            Some(all) => Self::V4(all),
            None => Self::V6(addresses.iter().map(v6).collect()),
        }
    }

    const fn len(&self) -> usize {
        match self {
            Self::V4(all) => all.len(),
            Self::V6(all) => all.len(),
        }
    }

    fn at(&self, at: usize) -> IpAddr {
        match self {
            Self::V4(all) => all[at].into(),
            Self::V6(all) => IpAddr::from(all[at]).to_canonical(),
        }
    }
}

impl Texts {
    fn at(&self, at: usize) -> Option<&str> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let text = &self.text[start as usize..self.ends[at] as usize];
        (!text.is_empty()).then_some(text)
    }
}

impl Endpoints {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.addresses.len() == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Endpoint<'_>> {
        (0..self.addresses.len()).map(|at| self.at(at))
    }

    /// Those that have this address.
    pub fn having(&self, address: IpAddr) -> impl Iterator<Item = Endpoint<'_>> {
        (0..self.addresses.len()).filter(move |&at| self.addresses.at(at) == address).map(|at| self.at(at))
    }

    fn at(&self, at: usize) -> Endpoint<'_> {
        let text = |which: usize| self.texts.as_ref().and_then(|texts| texts.at(3 * at + which));
        Endpoint { address: self.addresses.at(at), hostname: text(0), target: text(1), zone: text(2) }
    }

    /// Their addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        (0..self.addresses.len()).map(|at| self.addresses.at(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let plain =
            |address: &str| Endpoint { address: address.parse().unwrap(), hostname: None, target: None, zone: None };
        let named = Endpoint { hostname: Some("db-0"), zone: Some("eu"), ..plain("10.0.0.2") };
        for endpoints in [
            vec![],
            vec![plain("10.0.0.1")],
            vec![plain("10.0.0.1"), named, plain("10.0.0.3")],
            vec![Endpoint { target: Some("pod"), ..plain("10.0.0.1") }, named],
            vec![plain("fd00::1"), Endpoint { hostname: Some("x"), ..plain("fd00::2") }],
            vec![plain("10.0.0.1"), plain("fd00::1")],
        ] {
            let packed: Endpoints = endpoints.iter().copied().collect();
            assert_eq!(packed.iter().collect::<Vec<_>>(), endpoints);
            assert_eq!(packed.is_empty(), endpoints.is_empty());
            for endpoint in &endpoints {
                assert_eq!(packed.having(endpoint.address).collect::<Vec<_>>(), [*endpoint]);
            }
            assert_eq!(packed.addresses().collect::<Vec<_>>(), packed.iter().map(|e| e.address).collect::<Vec<_>>());
        }
    }
}
