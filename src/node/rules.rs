use std::net::IpAddr;

use super::LocalAddresses;

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

/// A rule for each local address: what it matches, and what becomes of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) place: Place,
    pub(super) protocols: &'static [Protocol],
    pub(super) end: End,
    pub(super) port: Port,
}

/// Where a rule stands, which says what it does: connections are not tracked, or packets are let in and out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Packets that come in, before they are tracked.
    RawPrerouting,
    /// Packets for this host.
    FilterInput,
    /// Packets of this host, before they are tracked.
    RawOutput,
    /// Packets of this host.
    FilterOutput,
}

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// No connection is tracked, so that no address is translated: the packet goes to the local address although
    /// kube-proxy would send it elsewhere. This is the switch between node cache and cluster DNS.
    Notrack,
    /// Firewalls behind this rule are not asked.
    Accept,
}

impl Place {
    pub(super) const fn action(self) -> Action {
        match self {
            Self::RawPrerouting | Self::RawOutput => Action::Notrack,
            Self::FilterInput | Self::FilterOutput => Action::Accept,
        }
    }
}

/// A transport, with its number for IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp = 6,
    Udp = 17,
}

impl Protocol {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Which end of the packet has the local address and the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It goes there.
    Destination,
    /// It comes from there.
    Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Dns,
    Health,
}

const BOTH: &[Protocol] = &[Protocol::Tcp, Protocol::Udp];
const TCP: &[Protocol] = &[Protocol::Tcp];

/// All rules, in node-cache's order: twelve for each address, as those with both protocols count twice.
pub(super) const RULES: &[Rule] = &[
    Rule { place: Place::RawPrerouting, protocols: BOTH, end: End::Destination, port: Port::Dns }, // a pod asks
    Rule { place: Place::FilterInput, protocols: BOTH, end: End::Destination, port: Port::Dns },   // and is let in
    Rule { place: Place::RawOutput, protocols: BOTH, end: End::Source, port: Port::Dns },          // the answer
    Rule { place: Place::FilterOutput, protocols: BOTH, end: End::Source, port: Port::Dns },       // is let out
    Rule { place: Place::RawOutput, protocols: BOTH, end: End::Destination, port: Port::Dns },     // the host asks
    Rule { place: Place::RawOutput, protocols: TCP, end: End::Destination, port: Port::Health },   // the kubelet probes
    Rule { place: Place::RawOutput, protocols: TCP, end: End::Source, port: Port::Health },        // and is told
];

/// A rule with everything filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) place: Place,
    pub(super) protocol: Protocol,
    pub(super) end: End,
    pub(super) address: IpAddr,
    pub(super) port: u16,
}

impl Filled {
    /// What the rule is for, for those who list the rules of the host. Tools look for these very words.
    pub(super) const fn comment(&self) -> &'static str {
        match self.place.action() {
            Action::Notrack => "NodeLocal DNS Cache: skip conntrack",
            Action::Accept => "NodeLocal DNS Cache: allow DNS traffic",
        }
    }
}

/// The rules for these addresses and ports. Apply, check and remove all walk this list.
pub(super) fn filled(local: &LocalAddresses, ports: Ports) -> Vec<Filled> {
    let mut all = Vec::new();
    for address in local.iter() {
        for rule in RULES {
            let port = match rule.port {
                Port::Dns => ports.dns,
                Port::Health => ports.health,
            };
            let filled =
                |protocol: &Protocol| Filled { place: rule.place, protocol: *protocol, end: rule.end, address, port };
            all.extend(rule.protocols.iter().map(filled));
        }
    }
    all
}
