use std::net::IpAddr;

/// Networks, however many: a look-up takes a search among ranges that do not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    /// These networks: addresses with the lengths of their prefixes.
    pub(super) fn new(networks: &[(IpAddr, u8)]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for &(address, length) in networks {
            match address {
                IpAddr::V4(address) => {
                    let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
                    let first = u32::from(address) & !host;
                    v4.push((first, first | host));
                }
                IpAddr::V6(address) => {
                    let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
                    let first = u128::from(address) & !host;
                    v6.push((first, first | host));
                }
            }
        }
        Self { v4: joined(v4), v6: joined(v6) }
    }

    /// Whether one of them holds the address.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => holds(&self.v4, u32::from(address)),
            IpAddr::V6(address) => holds(&self.v6, u128::from(address)),
        }
    }
}

/// Ranges in order. Of two networks that meet, one holds the other.
fn joined<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable_by_key(|&(first, last)| (first, std::cmp::Reverse(last)));
    let mut kept: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for range in ranges {
        if kept.last().is_none_or(|last| last.1 < range.0) {
            kept.push(range);
        }
    }
    kept
}

fn holds<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|&(first, _)| first <= address);
    behind.checked_sub(1).is_some_and(|at| address <= ranges[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_networks() {
        let networks = [
            ("10.0.0.0", 8),
            ("10.1.0.0", 16),
            ("192.0.2.7", 32),
            ("192.0.2.130", 25),
            ("fd00::", 8),
            ("2001:db8::1", 128),
        ];
        let networks = Networks::new(&networks.map(|(address, length)| (address.parse().unwrap(), length)));
        for (address, inside) in [
            ("10.255.255.255", true),
            ("10.1.2.3", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("192.0.2.127", false),
            ("192.0.2.128", true),
            ("192.0.2.255", true),
            ("fdff::1", true),
            ("fe00::", false),
            ("2001:db8::1", true),
            ("2001:db8::2", false),
        ] {
            assert_eq!(networks.contain(address.parse().unwrap()), inside, "{address}");
        }
        let all = Networks::new(&[("0.0.0.0".parse().unwrap(), 0)]);
        assert!(all.contain("255.1.2.3".parse().unwrap()) && !all.contain("::1".parse().unwrap()));
    }
}
