//! The objects of a cluster, found by service, address, pod and namespace.
//!
//! ```text
//!   indexed.rs   an object arrives, changes, goes       what a re-list means
//!     kept.rs    what is there, by object (writers)     port lists, each once
//!     mod.rs     Index: what answers ask (readers)
//!       table.rs entries by a key of their own, many readers
//! ```

mod indexed;
mod kept;
mod table;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use smallvec::SmallVec;

pub use indexed::Indexed;

use super::object::{Details, Key, Pod, Service, ServiceKind, Slice};
use crate::versions::{Seen, Versions};
use kept::Writers;
use table::{ByAddress, Keyed, Table};

/// Numbers that tell when what was read has changed; keys of all tables share them.
const VERSIONS: usize = 16_384;

/// What the cluster is, in memory: one writer at a time, many readers. A reader holds a lock only while it takes a
/// reference, and may note what it has read; a re-list changes only what differs.
pub struct Index {
    /// Services of this cluster with their slices.
    pub local: Half,
    /// Services that are imported from other clusters, with theirs.
    pub imported: Half,
    namespaces: Table<Namespace>,
    pods: ByAddress<Pod>,
    details: Details,
    writers: Writers,
    versions: Arc<Versions>,
}

/// One set of services: this cluster's, or the imported ones.
pub struct Half {
    names: Table<Named>,
    service_ips: ByAddress<Service>,
    endpoint_ips: ByAddress<Slice>,
    external_ips: ByAddress<Service>,
    serial: AtomicU32,
    versions: Arc<Versions>,
    external_serial: AtomicU32,
}

/// What a service's name stands for: slices may be there before their service.
struct Named {
    key: Key,
    service: Option<Arc<Service>>,
    slices: SmallVec<[Arc<Slice>; 2]>,
}

impl Keyed for Named {
    type Key<'k> = (&'k [u8], &'k [u8]);

    fn key(&self) -> Self::Key<'_> {
        of(&self.key)
    }

    fn is(&self, key: Self::Key<'_>) -> bool {
        self.key() == key
    }
}

fn of(key: &Key) -> (&[u8], &[u8]) {
    (key.namespace().as_bytes(), key.name().as_bytes())
}

struct Namespace(Arc<str>);

impl Keyed for Namespace {
    type Key<'k> = &'k [u8];

    fn key(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn is(&self, key: &[u8]) -> bool {
        self.0.as_bytes() == key
    }
}

impl Half {
    fn new(versions: &Arc<Versions>) -> Self {
        Self {
            names: Table::new(versions),
            service_ips: ByAddress::new(versions),
            endpoint_ips: ByAddress::new(versions),
            external_ips: ByAddress::new(versions),
            external_serial: AtomicU32::new(0),
            serial: AtomicU32::new(0),
            versions: Arc::clone(versions),
        }
    }

    /// The service of this name. Both labels in lower case.
    pub fn service(&self, namespace: &[u8], name: &[u8], seen: &mut Seen) -> Option<Arc<Service>> {
        self.names.read((namespace, name), seen, |named| named.service.clone()).flatten()
    }

    /// All services, in no order.
    pub fn services(&self) -> Vec<Arc<Service>> {
        self.names.collect(|named| named.service.clone())
    }

    /// The slices of a service, whether the service is known or not.
    pub fn slices(&self, namespace: &[u8], name: &[u8], seen: &mut Seen) -> SmallVec<[Arc<Slice>; 2]> {
        self.names.read((namespace, name), seen, |named| named.slices.clone()).unwrap_or_default()
    }

    /// Whether a service has a ready endpoint.
    pub fn has_endpoint(&self, namespace: &[u8], name: &[u8], seen: &mut Seen) -> bool {
        self.names.read((namespace, name), seen, |named| !named.slices.is_empty()).unwrap_or(false)
    }

    /// The service with this cluster address.
    pub fn service_of(&self, address: IpAddr, seen: &mut Seen) -> Option<Arc<Service>> {
        let mut found = None;
        self.service_ips.each(address, seen, |service| found = Some(Arc::clone(service)));
        found
    }

    /// The slices with an endpoint of this address.
    pub fn slices_of(&self, address: IpAddr, seen: &mut Seen) -> SmallVec<[Arc<Slice>; 1]> {
        let mut found = SmallVec::new();
        self.endpoint_ips.each(address, seen, |slice| found.push(Arc::clone(slice)));
        found
    }

    /// Unix time in seconds of the last change, for the SOA; 0 before any.
    pub fn serial(&self, seen: &mut Seen) -> u32 {
        self.versions.note(self.serial_place(), seen);
        self.serial.load(Ordering::Relaxed)
    }

    /// Any number that is the half's own.
    fn serial_place(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64 / 8
    }

    /// The services with this address outside of the cluster.
    pub fn services_at(&self, address: IpAddr) -> SmallVec<[Arc<Service>; 1]> {
        let mut found = SmallVec::new();
        self.external_ips.each(address, &mut Seen::default(), |service| found.push(Arc::clone(service)));
        found
    }

    /// Unix time in seconds of the last change of a service that is reached from outside; 0 before any.
    pub fn external_serial(&self) -> u32 {
        self.external_serial.load(Ordering::Relaxed)
    }

    /// The one copy of a key, if there is one.
    fn shared(&self, key: &Key) -> Key {
        let known = self.names.read(of(key), &mut Seen::default(), |named| named.key.clone());
        known.unwrap_or_else(|| key.clone())
    }

    /// Moves the serials that a service's change concerns.
    fn touch_service(&self, before: Option<&Service>, after: Option<&Service>, now: u32) {
        let moved = match (before, after) {
            (Some(before), Some(after)) => (&before.kind, &before.ports) != (&after.kind, &after.ports),
            _ => true,
        };
        if moved {
            self.touch(now);
        }
        let outside = |service: Option<&Service>| service.and_then(|service| service.external.clone());
        let (before, after) = (outside(before), outside(after));
        if before != after || moved && after.is_some() {
            self.external_serial.store(now, Ordering::Relaxed);
        }
    }

    /// Changes what a name stands for; what stands for nothing is not kept.
    fn change(&self, key: &Key, change: impl FnOnce(&mut Named)) {
        self.names.change(of(key), |entries| {
            if entries.find(|_| true).is_none() {
                entries.add(Named { key: key.clone(), service: None, slices: SmallVec::new() });
            }
            if let Some(named) = entries.find(|_| true) {
                change(named);
            }
            entries.remove(|named| named.service.is_none() && named.slices.is_empty());
        });
    }

    fn put_service(&self, service: &Arc<Service>) {
        self.change(&service.key, |named| named.service = Some(Arc::clone(service)));
        if let ServiceKind::Addresses(addresses) = &service.kind {
            addresses.iter().for_each(|&address| self.service_ips.own(address, service));
        }
        for &address in service.external.iter().flat_map(|external| &external.addresses) {
            self.external_ips.put(address, service, None);
        }
    }

    /// Takes away a service, and its addresses but for those that its successor has.
    fn drop_service(&self, service: &Arc<Service>, successor: Option<&Service>) {
        // By now another service may own the address, and keeps it.
        if let ServiceKind::Addresses(addresses) = &service.kind {
            addresses.iter().for_each(|&address| self.service_ips.remove(address, service));
        }
        for &address in service.external.iter().flat_map(|external| &external.addresses) {
            self.external_ips.remove(address, service);
        }
        if successor.is_none() {
            self.change(&service.key, |named| {
                named.service = named.service.take().filter(|kept| !Arc::ptr_eq(kept, service));
            });
        }
    }

    /// Puts a slice in the place of its earlier version, in one step for each reader.
    fn put_slice(&self, slice: &Arc<Slice>, earlier: Option<&Arc<Slice>>) {
        if let Some(old) = earlier.filter(|old| old.service != slice.service) {
            self.forget_slice(old);
        }
        self.change(&slice.service, |named| {
            let place = earlier.and_then(|old| named.slices.iter().position(|kept| Arc::ptr_eq(kept, old)));
            match place {
                Some(place) => named.slices[place] = Arc::clone(slice),
                None => named.slices.push(Arc::clone(slice)),
            }
        });
        for address in slice.endpoints.addresses() {
            self.endpoint_ips.put(address, slice, earlier);
        }
        if let Some(old) = earlier {
            old.endpoints.addresses().for_each(|address| self.endpoint_ips.remove(address, old));
        }
    }

    fn drop_slice(&self, slice: &Arc<Slice>) {
        self.forget_slice(slice);
        slice.endpoints.addresses().for_each(|address| self.endpoint_ips.remove(address, slice));
    }

    fn forget_slice(&self, slice: &Arc<Slice>) {
        self.change(&slice.service, |named| {
            named.slices.retain(|kept| !Arc::ptr_eq(kept, slice));
            named.slices.shrink_to_fit();
        });
    }

    fn touch(&self, now: u32) {
        if self.serial.swap(now, Ordering::Relaxed) != now {
            self.versions.advance(self.serial_place());
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::new(Details::default())
    }
}

impl Index {
    /// An empty index that keeps these details.
    pub fn new(details: Details) -> Self {
        let versions = Arc::new(Versions::new(VERSIONS));
        Self {
            local: Half::new(&versions),
            imported: Half::new(&versions),
            namespaces: Table::new(&versions),
            pods: ByAddress::new(&versions),
            details,
            writers: Writers::default(),
            versions,
        }
    }

    /// Move on when what was read changes.
    pub const fn versions(&self) -> &Arc<Versions> {
        &self.versions
    }

    /// Whether a Namespace of this name is known. In lower case.
    pub fn has_namespace(&self, name: &[u8], seen: &mut Seen) -> bool {
        self.namespaces.read(name, seen, |_| ()).is_some()
    }

    fn put_namespace(&self, name: &Arc<str>) {
        self.namespaces.change(name.as_bytes(), |entries| entries.add(Namespace(Arc::clone(name))));
    }

    fn drop_namespace(&self, name: &str) {
        self.namespaces.change(name.as_bytes(), |entries| entries.remove(|_| true));
    }

    /// Whether a pod of this namespace has this address.
    pub fn has_pod(&self, namespace: &[u8], address: IpAddr, seen: &mut Seen) -> bool {
        let mut found = false;
        self.pods.each(address, seen, |pod| found |= pod.key.namespace().as_bytes() == namespace);
        found
    }

    fn pods_at(&self, address: IpAddr) -> SmallVec<[Arc<Pod>; 2]> {
        let mut pods = SmallVec::new();
        self.pods.each(address, &mut Seen::default(), |pod| pods.push(Arc::clone(pod)));
        pods
    }

    /// The pod that has this address: of several the newest that is not being deleted, one with an address of its own
    /// before those in the network of their node.
    pub fn pod_of(&self, address: IpAddr) -> Option<Arc<Pod>> {
        self.pods_at(address).into_iter().max_by_key(|pod| (!pod.host_network, !pod.terminating, pod.created))
    }

    /// Whether who has this address is a pod of this namespace, blind to case. Pods in the network of their node share
    /// the node's address.
    pub fn is_client(&self, namespace: &[u8], address: IpAddr) -> bool {
        let within = |pod: &Arc<Pod>| pod.key.namespace().as_bytes().eq_ignore_ascii_case(namespace);
        match self.pod_of(address) {
            Some(owner) if !owner.host_network => within(&owner),
            _ => self.pods_at(address).iter().any(within),
        }
    }

    /// How many objects are kept, by kind.
    pub fn sizes(&self) -> [(&'static str, usize); 4] {
        let known = self.writers.lock();
        [
            ("services", known.services.len() + known.imports.len()),
            ("endpointslices", known.slices.len() + known.imported_slices.len()),
            ("pods", known.pods.len()),
            ("namespaces", self.namespaces.len()),
        ]
    }
}
