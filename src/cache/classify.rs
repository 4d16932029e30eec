use std::time::Duration;

use super::Half;
use crate::wire::{Packet, Question, Rcode, RecordType};

/// What an answer is for the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Data of the type that was asked for, or an alias on the way to it.
    Success,
    /// NOERROR without data and without a denial: a referral, or nothing at all.
    Empty,
    /// NXDOMAIN or NODATA.
    Denial,
    /// SERVFAIL or NOTIMP.
    Failure,
    /// Nothing to keep.
    Other,
}

/// Bounds of the TTLs of both halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Least and most for answers with data.
    pub success: (Duration, Duration),
    /// Least and most for NXDOMAIN and NODATA.
    pub denial: (Duration, Duration),
    /// How long failures are kept.
    pub failure: Duration,
}

/// Where an answer is kept and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storable {
    /// What it is.
    pub class: Class,
    /// The half.
    pub half: Half,
    /// The time; zero = not at all.
    pub ttl: Duration,
}

/// A referral, and an answer without any record, is kept for this long at most.
const EMPTY: Duration = Duration::from_secs(5);

/// What an answer is, and whether and how long it is kept (RFC 2308).
pub fn classify(packet: &Packet, question: &Question, limits: &Limits) -> Option<Storable> {
    let transfer = matches!(question.record_type, RecordType::AXFR | RecordType::IXFR);
    if transfer || packet.header().truncated() {
        return None;
    }
    let class = class_of(packet, question);
    let storable = |half, ttl| Some(Storable { class, half, ttl });
    match class {
        Class::Success => storable(Half::Success, clamp(lowest(packet).unwrap_or(EMPTY), limits.success)),
        Class::Empty => storable(Half::Success, clamp(EMPTY.min(lowest(packet).unwrap_or(EMPTY)), limits.success)),
        Class::Denial => {
            let least = lowest(packet).unwrap_or(EMPTY);
            // RFC 2308 section 5: the smaller of the SOA's TTL and its MINIMUM field.
            let minimum = packet.soa_minimum().map_or(least, |seconds| Duration::from_secs(seconds.into()));
            storable(Half::Denial, clamp(least.min(minimum), limits.denial))
        }
        Class::Failure => storable(Half::Denial, limits.failure),
        Class::Other => None,
    }
}

fn class_of(packet: &Packet, question: &Question) -> Class {
    let has = |section, kind| packet.entries().iter().any(|e| e.section == section && e.record_type == kind);
    let answers = packet.entries().iter().any(|entry| entry.section == 0);
    let soa = has(1, RecordType::SOA);
    let asked = if question.record_type == RecordType::ANY { answers } else { has(0, question.record_type) };
    match packet.header().rcode() {
        Rcode::NOERROR if asked => Class::Success,
        Rcode::NOERROR if soa => Class::Denial,
        Rcode::NOERROR if !answers => Class::Empty,
        // Aliases that lead nowhere we can see: kept as what they are, if they are aliases.
        Rcode::NOERROR if has(0, RecordType::CNAME) || has(0, RecordType::DNAME) => Class::Success,
        Rcode::NXDOMAIN if soa => Class::Denial,
        Rcode::SERVFAIL | Rcode::NOTIMP => Class::Failure,
        _ => Class::Other,
    }
}

fn lowest(packet: &Packet) -> Option<Duration> {
    packet.entries().iter().map(|entry| packet.ttl_of(entry)).min().map(|ttl| Duration::from_secs(ttl.into()))
}

fn clamp(ttl: Duration, (least, most): (Duration, Duration)) -> Duration {
    ttl.max(least).min(most)
}
