use std::sync::Arc;

use super::metrics::Metrics;
use crate::{
    cache::Bounded,
    chain::ZoneSet,
    dnssec::{RecordSet, SigningKey, Validity, sign},
    wire::{Name, RData, Record, RecordType},
};

/// The TTL that signatures are made for, seconds: that of the source is not known here, a cache below may have shortened it.
const ORIGINAL_TTL: u32 = 3600;
/// Signatures begin so long ago, so that clocks may be late, and end so far ahead; seconds.
const BEFORE: u32 = 3 * 3600;
const AHEAD: u32 = 8 * 24 * 3600;
/// What ends sooner than this is signed anew, seconds.
const RENEW: u32 = 2 * 24 * 3600;

/// Keys and zones, and the signatures that were made.
pub(super) struct Signer {
    zones: ZoneSet,
    keys: Vec<SigningKey>,
    /// Some keys sign keys only, and the others all else.
    is_split: bool,
    kept: Bounded<[u8; 32], Signatures>,
}

/// The data of the RRSIG records over a set, one for each key, and when they end.
#[derive(Clone)]
struct Signatures {
    data: Arc<[Arc<[u8]>]>,
    expiration: u32,
}

impl Signer {
    pub(super) fn new(zones: ZoneSet, keys: Vec<SigningKey>, capacity: usize) -> Self {
        let is_split = keys.iter().any(SigningKey::is_entry) && !keys.iter().all(SigningKey::is_entry);
        Self { zones, keys, is_split, kept: Bounded::new(capacity) }
    }

    /// The zone whose keys sign what a name owns.
    pub(super) fn zone_of(&self, name: &Name) -> Option<&Name> {
        self.zones.find(name)
    }

    /// The DNSKEY records of a zone.
    pub(super) fn keys(&self) -> impl Iterator<Item = Record> {
        let data = |key: &SigningKey| RData::Other(RecordType::DNSKEY, Arc::clone(key.data()));
        self.keys.iter().map(move |key| Record::of_question(key.ttl(), data(key)))
    }

    /// How many sets have signatures that are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// The data of the signatures over a set, made now (in seconds since 1970) if they are not there. Empty if a key fails:
    /// what has no signature is as good as no answer to those who want one.
    pub(super) fn signatures(&self, set: RecordSet, zone: &Name, now: u32, metrics: &Metrics) -> Arc<[Arc<[u8]>]> {
        let set = RecordSet { ttl: ORIGINAL_TTL, ..set }.canonical();
        let fingerprint = set.fingerprint(zone);
        if let Some(kept) = self.kept.find(&fingerprint)
            && kept.expiration.wrapping_sub(now) > RENEW
            && kept.expiration.wrapping_sub(now) <= AHEAD
        {
            metrics.hits.inc();
            return kept.data;
        }
        metrics.misses.inc();
        let validity = Validity { inception: now.wrapping_sub(BEFORE), expiration: now.wrapping_add(AHEAD) };
        let keys = self.keys.iter().filter(|key| key.is_for(set.record_type, self.is_split));
        let made: Option<Arc<[Arc<[u8]>]>> =
            keys.map(|key| sign(&set, zone, key, validity).map(Arc::from)).collect::<Option<Vec<_>>>().map(Arc::from);
        let Some(data) = made else {
            tracing::error!("plugin/dnssec: cannot sign {} {}", set.owner, set.record_type);
            return Arc::default();
        };
        self.kept.keep(fingerprint, Signatures { data: Arc::clone(&data), expiration: validity.expiration });
        data
    }
}
