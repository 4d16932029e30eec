#![doc = include_str!("README.md")]

mod config;
#[cfg(test)]
mod tests;
mod weights;

use std::{
    cell::Cell,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    chain::{Again, Context, Directive, Plugin, Sent, Terms},
    wire::{Body, Name, RData, Rcode, Record, RecordType, Response},
};
use weights::Weights;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "loadbalance", parse: config::parse };

struct LoadBalance {
    prefer: Vec<(IpAddr, u8)>,
    weights: Option<Arc<RwLock<Arc<Weights>>>>,
}

thread_local! {
    // Each worker has its own, so that no cache line is shared between cores.
    static SEED: Cell<u32> = Cell::new(rand::random::<u32>() | 1);
}

/// xorshift: the order needs to spread load, not to be unpredictable.
fn random() -> u32 {
    SEED.with(|seed| {
        let mut x = seed.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        seed.set(x);
        x
    })
}

impl Plugin for LoadBalance {
    fn name(&self) -> &'static str {
        "loadbalance"
    }

    fn again(&self, _: &Context, sent: &Sent<'_>) -> Again {
        if sent.response.rcode != Rcode::NOERROR {
            return Again::Always;
        }
        if !self.prefer.is_empty() || self.weights.is_some() {
            return Again::Never;
        }
        Again::On(Terms { shuffle: true, ..Terms::default() })
    }

    fn response(&self, cx: &mut Context, response: &mut Response) {
        if response.rcode != Rcode::NOERROR || matches!(cx.question().record_type, RecordType::AXFR | RecordType::IXFR)
        {
            return;
        }
        if self.prefer.is_empty() && self.weights.is_none() && matches!(response.body, Body::Packet(_)) {
            response.shuffle = Some(random());
            return;
        }
        let question = cx.question();
        let weighted = matches!(question.record_type, RecordType::A | RecordType::AAAA | RecordType::SRV);
        let Ok(records) = response.records_mut() else { return };
        for section in [&mut records.answer, &mut records.authority, &mut records.additional] {
            arrange(section, random);
            if weighted && let Some(weights) = &self.weights {
                let weights = Arc::clone(&weights.read().unwrap_or_else(PoisonError::into_inner));
                put_first(section, &weights, &question.name, random());
            }
            if !self.prefer.is_empty() {
                section.sort_by_key(|record| self.rank(record));
            }
        }
    }
}

/// Puts the address in front of the others that its weight has chosen.
fn put_first(section: &mut [Record], weights: &Weights, question: &Name, random: u32) {
    let address = |record: &Record| match record.data {
        RData::A(v4) => Some(IpAddr::V4(v4)),
        RData::Aaaa(v6) => Some(IpAddr::V6(v6)),
        _ => None,
    };
    let places: Vec<usize> = (0..section.len()).filter(|&at| address(&section[at]).is_some()).collect();
    let Some(&first) = places.first() else { return };
    let owner = section[first].owner.resolve(question);
    let addresses: Vec<IpAddr> = places.iter().filter_map(|&at| address(&section[at])).collect();
    if let Some(chosen) = weights.choose(&owner, &addresses, random) {
        section.swap(first, places[chosen]);
    }
}

impl LoadBalance {
    /// CNAMEs, then addresses in the order of the preferred networks, then the rest.
    fn rank(&self, record: &Record) -> usize {
        let address = match record.data {
            RData::Cname(_) => return 0,
            RData::A(v4) => IpAddr::V4(v4),
            RData::Aaaa(v6) => IpAddr::V6(v6),
            _ => return usize::MAX,
        };
        let place = self.prefer.iter().position(|&(network, length)| within(address, network, length));
        1 + place.unwrap_or(self.prefer.len())
    }
}

/// Whether an address lies in a network.
fn within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let equal = |a: u128, b: u128, width: u8| {
        let host = u32::from(width - length.min(width));
        a.checked_shr(host).unwrap_or(0) == b.checked_shr(host).unwrap_or(0)
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => equal(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => equal(a.into(), b.into(), 128),
        _ => false,
    }
}

/// CNAMEs first, then other types, then addresses in random order, then MX in random order.
fn arrange(section: &mut [Record], mut random: impl FnMut() -> u32) {
    if section.len() < 2 {
        return;
    }
    let group = |record: &Record| match record.data {
        RData::Cname(_) => 0,
        RData::A(_) | RData::Aaaa(_) => 2,
        RData::Mx { .. } => 3,
        _ => 1,
    };
    section.sort_by_key(group);
    for wanted in [2, 3] {
        let start = section.partition_point(|record| group(record) < wanted);
        let end = section.partition_point(|record| group(record) <= wanted);
        let part = &mut section[start..end];
        for last in (1..part.len()).rev() {
            part.swap(last, random() as usize % (last + 1));
        }
    }
}
