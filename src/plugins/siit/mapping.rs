use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
};

/// Which IPv6 address is which IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    bits: u128,
    length: u8,
    /// Addresses that are mapped one by one (RFC 7757).
    pub(super) explicit: HashMap<Ipv6Addr, Ipv4Addr>,
}

impl Default for Mapping {
    /// With the well-known prefix, `64:ff9b::/96`.
    fn default() -> Self {
        Self { bits: 0x0064_ff9b << 96, length: 96, explicit: HashMap::new() }
    }
}

impl Mapping {
    /// Takes another prefix; `false` if the length is none of those of RFC 6052 section 2.2.
    pub(super) fn set_prefix(&mut self, prefix: Ipv6Addr, length: u8) -> bool {
        let is_defined = matches!(length, 32 | 40 | 48 | 56 | 64 | 96);
        if is_defined {
            (self.bits, self.length) = (u128::from(prefix) & !(u128::MAX >> length), length);
        }
        is_defined
    }

    /// The IPv4 address for an IPv6 address.
    pub(super) fn of(&self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        if let Some(address) = self.explicit.get(&address) {
            return Some(*address);
        }
        let bits = u128::from(address);
        if (bits ^ self.bits) >> (128 - self.length) != 0 {
            return None;
        }
        if self.length == 96 {
            return Some(Ipv4Addr::from(bits as u32));
        }
        // Bits 64 to 71 stay free: the address is cut in two around them.
        let before = (64 - self.length).min(32);
        let behind = 32 - before;
        let part = |end: u8, count: u8| if count == 0 { 0 } else { (bits >> (128 - end)) & ((1 << count) - 1) };
        let high = part(self.length + before, before) << behind;
        Some(Ipv4Addr::from((high | part(72 + behind, behind)) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of RFC 6052 section 2.4.
    #[test]
    fn addresses_in_prefixes() {
        for (length, address) in [
            (32, "2001:db8:c000:221::"),
            (40, "2001:db8:1c0:2:21::"),
            (48, "2001:db8:122:c000:2:2100::"),
            (56, "2001:db8:122:3c0:0:221::"),
            (64, "2001:db8:122:344:c0:2:2100::"),
            (96, "2001:db8:122:344::192.0.2.33"),
        ] {
            let address: Ipv6Addr = address.parse().unwrap();
            let mut mapping = Mapping::default();
            assert_eq!(mapping.of(address), None, "another prefix");
            assert!(mapping.set_prefix(address, length));
            assert_eq!(mapping.of(address), Some(Ipv4Addr::new(192, 0, 2, 33)), "/{length}");
        }
        assert!(!Mapping::default().set_prefix(Ipv6Addr::UNSPECIFIED, 95));
    }

    #[test]
    fn what_is_said_of_an_address_goes_first() {
        let (own, other) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1));
        let mut mapping = Mapping::default();
        let well_known: Ipv6Addr = "64:ff9b::192.0.2.1".parse().unwrap();
        assert_eq!(mapping.of(well_known), Some(own));
        mapping.explicit.insert(well_known, other);
        mapping.explicit.insert("2001:db8::1".parse().unwrap(), own);
        assert_eq!(mapping.of(well_known), Some(other));
        assert_eq!(mapping.of("2001:db8::1".parse().unwrap()), Some(own));
        assert_eq!(mapping.of("2001:db8::2".parse().unwrap()), None);
    }
}
