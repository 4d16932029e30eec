use std::{net::IpAddr, time::Duration};

/// From whom a listener takes headers of the PROXY protocol (`proxyproto`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyRules {
    /// Networks of those whose headers are used; if there is none, `default` is for all.
    pub allow: Vec<(IpAddr, u8)>,
    /// What becomes of headers of others.
    pub default: Manner,
    /// For how long a header holds for the datagrams that come without one from the same address, and for how many
    /// addresses at once.
    pub sessions: Option<(Duration, usize)>,
    /// Whether what is said besides addresses is kept, for a label.
    pub keeps_tlvs: bool,
}

/// What becomes of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It says who the client is.
    Use,
    /// It is passed over.
    Ignore,
    /// Whoever sends one is turned away.
    Reject,
    /// It is not looked for.
    Skip,
}

impl ProxyRules {
    /// What becomes of a header that `peer` sends.
    pub fn manner(&self, peer: IpAddr) -> Manner {
        let peer = peer.to_canonical();
        if self.allow.iter().any(|&(network, length)| holds(network, length, peer)) {
            Manner::Use
        } else {
            self.default
        }
    }
}

fn holds(network: IpAddr, length: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            u32::from(network) | host == u32::from(address) | host
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let host = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            u128::from(network) | host == u128::from(address) | host
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_headers_are_used() {
        let networks = [("10.1.2.3", 8), ("192.0.2.1", 32), ("fd00::", 8), ("2001:db8::7", 128)];
        let allow = networks.map(|(address, length)| (address.parse().unwrap(), length)).to_vec();
        let rules = ProxyRules { allow, default: Manner::Reject, sessions: None, keeps_tlvs: false };
        for (peer, is_used) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("192.0.2.1", true),
            ("192.0.2.0", false),
            ("::ffff:192.0.2.1", true),
            ("fd12::1", true),
            ("fe80::1", false),
            ("2001:db8::7", true),
            ("2001:db8::6", false),
        ] {
            let manner = if is_used { Manner::Use } else { Manner::Reject };
            assert_eq!(rules.manner(peer.parse().unwrap()), manner, "{peer}");
        }
        for network in ["0.0.0.0", "::"] {
            let all = ProxyRules { allow: vec![(network.parse().unwrap(), 0)], ..rules.clone() };
            let used = ["192.0.2.1", "2001:db8::1"].map(|peer| all.manner(peer.parse().unwrap()) == Manner::Use);
            assert_eq!(used, [network == "0.0.0.0", network == "::"]);
        }
    }
}
