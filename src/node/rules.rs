/// Who holds the packet rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A table of nftables that the process owns, through netlink.
    Nft,
    /// node-cache's own rules, through the iptables programs.
    Iptables,
    /// Nobody: the operator has other means.
    None,
}

/// The ports that the rules match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Where DNS is served.
    pub dns: u16,
    /// Where `health` is served.
    pub health: u16,
}
