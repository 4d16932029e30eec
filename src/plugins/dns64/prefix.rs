use std::net::{Ipv4Addr, Ipv6Addr};

/// A prefix for IPv4 addresses in IPv6 (RFC 6052 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    bits: u128,
    length: u8,
}

impl Prefix {
    /// The well-known one, `64:ff9b::/96`.
    pub(super) const WELL_KNOWN: Self = Self { bits: 0x0064_ff9b << 96, length: 96 };

    /// A prefix; `None` if the length is none of those that are defined.
    pub(super) fn new(address: Ipv6Addr, length: u8) -> Option<Self> {
        let is_defined = matches!(length, 32 | 40 | 48 | 56 | 64 | 96);
        is_defined.then(|| Self { bits: u128::from(address) & !(u128::MAX >> length), length })
    }

    /// An IPv4 address with the prefix. Bits 64 to 71 stay free, so that the address is cut in two around them.
    pub(super) fn of(self, address: Ipv4Addr) -> Ipv6Addr {
        let address = u128::from(u32::from(address));
        let before = 64_u8.saturating_sub(self.length).min(32);
        let bits = match (self.length, before) {
            (96, _) => address,
            (_, 32) => address << 64,
            _ => {
                let behind = 32 - before;
                (address >> behind) << 64 | (address & ((1 << behind) - 1)) << (56 - behind)
            }
        };
        Ipv6Addr::from(self.bits | bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of RFC 6052 section 2.4.
    #[test]
    fn addresses_with_prefixes() {
        for (prefix, length, expected) in [
            ("2001:db8::", 32, "2001:db8:c000:221::"),
            ("2001:db8:100::", 40, "2001:db8:1c0:2:21::"),
            ("2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"),
            // Bits behind the prefix do not count.
            ("2001:db8::1", 32, "2001:db8:c000:221::"),
        ] {
            let prefix = Prefix::new(prefix.parse().unwrap(), length).unwrap();
            assert_eq!(prefix.of(Ipv4Addr::new(192, 0, 2, 33)), expected.parse::<Ipv6Addr>().unwrap(), "/{length}");
        }
        let well_known = Prefix::WELL_KNOWN.of(Ipv4Addr::new(192, 0, 2, 33));
        assert_eq!(well_known, "64:ff9b::192.0.2.33".parse::<Ipv6Addr>().unwrap());
        assert_eq!(Prefix::new(Ipv6Addr::UNSPECIFIED, 95), None);
    }
}
