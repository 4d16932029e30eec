use std::{sync::Arc, time::Duration};

use crate::{
    chain::{Contents, ZoneSet, ZoneSource, ZoneSources},
    kubernetes::{Cluster, answer::Policy, whole},
    versions::Seen,
    wire::Name,
};

/// How often it is looked whether the cluster has changed.
const EVERY: Duration = Duration::from_secs(5);

/// The zones of a cluster, to be handed over whole by `transfer`.
#[derive(Clone)]
pub(super) struct LiveZones {
    pub(super) zones: ZoneSet,
    pub(super) policy: Policy,
    pub(super) cluster: Arc<Cluster>,
}

impl LiveZones {
    fn serial(&self, zone: &Name) -> u32 {
        whole::half(&self.cluster, &self.policy, zone).serial(&mut Seen::default())
    }

    /// Tells those who listen when a zone has another serial.
    pub(super) async fn announce(self, sources: ZoneSources) {
        let zones = self.zones();
        let mut known: Vec<u32> = zones.iter().map(|zone| self.serial(zone)).collect();
        loop {
            tokio::time::sleep(EVERY).await;
            for (zone, known) in zones.iter().zip(&mut known).filter(|_| self.cluster.is_synced()) {
                let serial = self.serial(zone);
                if std::mem::replace(known, serial) != serial {
                    sources.announce(*zone);
                }
            }
        }
    }
}

impl ZoneSource for LiveZones {
    fn zones(&self) -> Vec<Name> {
        self.zones.iter().filter(|zone| !is_reverse(zone)).copied().collect()
    }

    fn contents(&self, zone: &Name) -> Option<Contents> {
        let zone = *self.zones.iter().find(|known| *known == zone && !is_reverse(known))?;
        if !self.cluster.is_synced() {
            return None;
        }
        let records = whole::records(Arc::clone(&self.cluster), self.policy.clone(), zone);
        Some(Contents { serial: self.serial(&zone), records: Box::new(records) })
    }
}

/// Whether a zone is one of addresses, which holds nothing but what questions for them find.
fn is_reverse(zone: &Name) -> bool {
    ["in-addr.arpa.", "ip6.arpa."].iter().any(|top| Name::parse(top).is_ok_and(|top| zone.is_within(&top)))
}
