use std::net::IpAddr;

use super::variable::Variable;
use crate::{
    chain::{Context, Labels},
    wire::{Edns, octets},
};

/// Code of the option that asks which server answers (RFC 5001).
pub(super) const NSID: u16 = 3;
/// Code of the option that names the client's network (RFC 7871).
pub(super) const SUBNET: u16 = 8;
/// What we say that we take when the client has said nothing, octets: as CoreDNS.
const UDP_SIZE: u16 = 4096;

/// What a rule does with an option of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OptionRule {
    pub(super) code: u16,
    pub(super) change: Change,
    /// The client sees the option as it was before.
    pub(super) revert: bool,
    /// The client is shown the option: those of `local`.
    pub(super) shown: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Into the place of one that is there, or behind the others.
    Set(Value),
    /// Behind the others; of NSID and client subnet only if there is none.
    Append(Value),
    /// Only into the place of one that is there.
    Replace(Value),
    Unset,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Fixed(Vec<u8>),
    Variable(Variable),
    /// The client's network, with so many bits of the address.
    Subnet {
        v4: u8,
        v6: u8,
    },
}

impl Value {
    fn of(&self, cx: &Context, labels: &Labels) -> Option<Vec<u8>> {
        match self {
            Self::Fixed(data) => Some(data.clone()),
            Self::Variable(variable) => variable.value(cx, labels),
            Self::Subnet { v4, v6 } => Some(subnet(cx.peer.ip().to_canonical(), *v4, *v6)),
        }
    }
}

/// FAMILY, SOURCE PREFIX-LENGTH, SCOPE PREFIX-LENGTH and as many octets as the prefix needs, the other bits zero
/// (RFC 7871 section 6).
fn subnet(client: IpAddr, v4: u8, v6: u8) -> Vec<u8> {
    let (family, bits, mut address): (u16, u8, Vec<u8>) = match client {
        IpAddr::V4(client) => (1, v4, client.octets().into()),
        IpAddr::V6(client) => (2, v6, client.octets().into()),
    };
    address.truncate(usize::from(bits.div_ceil(8)));
    if let Some(last) = address.last_mut()
        && !bits.is_multiple_of(8)
    {
        *last &= 0xFF << (8 - bits % 8);
    }
    let mut data = octets(family).to_vec();
    data.extend([bits, 0]);
    data.extend(address);
    data
}

impl OptionRule {
    /// The OPT record after the rule; `None` if the rule changes nothing.
    pub(super) fn apply(&self, cx: &Context, labels: &Labels) -> Option<Edns> {
        let is_there = cx.query.edns.as_ref().is_some_and(|edns| edns.option(self.code).is_some());
        let data = match &self.change {
            Change::Replace(_) | Change::Unset if !is_there => return None,
            Change::Append(_) if is_there && !self.shown => return None,
            Change::Set(value) | Change::Append(value) | Change::Replace(value) => value.of(cx, labels)?,
            Change::Unset => Vec::new(),
        };
        let mut edns = cx.query.edns.clone().unwrap_or_else(|| Edns::new(UDP_SIZE, false));
        match &self.change {
            Change::Unset => _ = edns.remove_option(self.code),
            Change::Set(_) | Change::Replace(_) if is_there => _ = edns.replace_option(self.code, &data),
            Change::Set(_) | Change::Append(_) | Change::Replace(_) => edns.add_option(self.code, &data),
        }
        Some(edns)
    }
}

/// Options with this code, in order.
pub(super) fn values(edns: Option<&Edns>, code: u16) -> Vec<Vec<u8>> {
    let all = edns.into_iter().flat_map(Edns::each_option);
    all.filter(|(known, _)| *known == code).map(|(_, data)| data.to_vec()).collect()
}
