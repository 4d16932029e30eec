use std::sync::Arc;

use super::{
    Half, Index,
    kept::{Kept, Known},
};
use crate::kubernetes::object::{
    Service, Slice, Watched, WatchedImport, WatchedNamespace, WatchedPod, WatchedService, WatchedSlice,
};

/// A kind that the index takes. `now` is Unix time in seconds.
pub trait Indexed: Watched {
    /// A re-list begins: what is not applied until [`Indexed::end_relist`] goes then.
    fn begin_relist(index: &Index);
    /// The re-list is complete.
    fn end_relist(index: &Index, now: u32);
    /// The object is there, new or changed; says whether that changes an answer.
    fn apply(&self, index: &Index, now: u32) -> bool;
    /// The object is gone.
    fn delete(&self, index: &Index, now: u32);
}

macro_rules! indexed_service {
    ($kind:ty, $known:ident, $half:ident) => {
        impl Indexed for $kind {
            fn begin_relist(index: &Index) {
                index.writers.lock().$known.begin();
            }

            fn end_relist(index: &Index, now: u32) {
                for service in index.writers.lock().$known.take_unseen() {
                    index.$half.drop_service(&service, None);
                    index.$half.touch_service(Some(&service), None, now);
                }
            }

            fn apply(&self, index: &Index, now: u32) -> bool {
                let mut known = index.writers.lock();
                let key = &self.service.key;
                let earlier = known.$known.see((key.namespace(), key.name()));
                if earlier.as_deref() == Some(&self.service) {
                    return false;
                }
                let key = index.$half.shared(key);
                let ports = known.ports.shared(&self.service.ports);
                let service = Arc::new(Service { key, ports, ..self.service.clone() });
                index.$half.put_service(&service);
                if let Some(earlier) = &earlier {
                    index.$half.drop_service(earlier, Some(&service));
                }
                index.$half.touch_service(earlier.as_deref(), Some(&service), now);
                known.$known.put(service);
                true
            }

            fn delete(&self, index: &Index, now: u32) {
                let key = &self.service.key;
                if let Some(service) = index.writers.lock().$known.remove((key.namespace(), key.name())) {
                    index.$half.drop_service(&service, None);
                    index.$half.touch_service(Some(&service), None, now);
                }
            }
        }
    };
}

indexed_service!(WatchedService, services, local);
indexed_service!(WatchedImport, imports, imported);

impl Indexed for WatchedSlice {
    fn begin_relist(index: &Index) {
        let mut known = index.writers.lock();
        known.slices.begin();
        known.imported_slices.begin();
    }

    fn end_relist(index: &Index, now: u32) {
        let mut known = index.writers.lock();
        for slice in known.slices.take_unseen() {
            index.local.drop_slice(&slice);
            index.local.touch(now);
        }
        for slice in known.imported_slices.take_unseen() {
            index.imported.drop_slice(&slice);
            index.imported.touch(now);
        }
    }

    fn apply(&self, index: &Index, now: u32) -> bool {
        let identity = (self.trimmed().namespace(), self.trimmed().name());
        let mut known = index.writers.lock();
        let [local, imported] = [self.local(index.details), self.imported(index.details)];
        let local = apply_slice(&mut known, |known| &mut known.slices, &index.local, identity, local, now);
        let imported =
            apply_slice(&mut known, |known| &mut known.imported_slices, &index.imported, identity, imported, now);
        local || imported
    }

    fn delete(&self, index: &Index, now: u32) {
        let identity = (self.trimmed().namespace(), self.trimmed().name());
        let mut known = index.writers.lock();
        apply_slice(&mut known, |known| &mut known.slices, &index.local, identity, None, now);
        apply_slice(&mut known, |known| &mut known.imported_slices, &index.imported, identity, None, now);
    }
}

/// Puts a slice in the place of the one of that namespace and name; says whether anything has changed.
fn apply_slice(
    known: &mut Known,
    kept: impl Fn(&mut Known) -> &mut Kept<Slice>,
    half: &Half,
    identity: (&str, &str),
    slice: Option<Slice>,
    now: u32,
) -> bool {
    let earlier = kept(known).see(identity);
    match (slice, earlier) {
        (None, None) => return false,
        (Some(slice), Some(earlier)) if slice == *earlier => return false,
        (Some(slice), earlier) => {
            let (service, ports) = (half.shared(&slice.service), known.ports.shared(&slice.ports));
            let slice = Arc::new(Slice { service, ports, ..slice });
            half.put_slice(&slice, earlier.as_ref());
            kept(known).put(slice);
        }
        (None, Some(earlier)) => {
            kept(known).remove(identity);
            half.drop_slice(&earlier);
        }
    }
    half.touch(now);
    true
}

impl Indexed for WatchedPod {
    fn begin_relist(index: &Index) {
        index.writers.lock().pods.begin();
    }

    fn end_relist(index: &Index, _: u32) {
        for pod in index.writers.lock().pods.take_unseen() {
            pod.addresses.iter().for_each(|&address| index.pods.remove(address, &pod));
        }
    }

    fn apply(&self, index: &Index, now: u32) -> bool {
        let meta = self.trimmed();
        let mut known = index.writers.lock();
        let earlier = known.pods.see((meta.namespace(), meta.name()));
        let Some(pod) = self.kept(index.details.pod_labels) else {
            drop(known);
            self.delete(index, now);
            return earlier.is_some();
        };
        if earlier.as_deref() == Some(&pod) || earlier.is_none() && meta.terminating {
            return false;
        }
        let pod = Arc::new(pod);
        pod.addresses.iter().for_each(|&address| index.pods.put(address, &pod, earlier.as_ref()));
        if let Some(earlier) = earlier {
            earlier.addresses.iter().for_each(|&address| index.pods.remove(address, &earlier));
        }
        known.pods.put(pod);
        true
    }

    fn delete(&self, index: &Index, _: u32) {
        let meta = self.trimmed();
        if let Some(pod) = index.writers.lock().pods.remove((meta.namespace(), meta.name())) {
            pod.addresses.iter().for_each(|&address| index.pods.remove(address, &pod));
        }
    }
}

impl Indexed for WatchedNamespace {
    fn begin_relist(index: &Index) {
        index.writers.lock().namespaces.begin();
    }

    fn end_relist(index: &Index, _: u32) {
        for name in index.writers.lock().namespaces.take_unseen() {
            index.drop_namespace(&name);
        }
    }

    fn apply(&self, index: &Index, _: u32) -> bool {
        let name = self.trimmed().name();
        let mut known = index.writers.lock();
        if known.namespaces.see(("", name)).is_some() {
            return false;
        }
        let name: Arc<str> = name.into();
        index.put_namespace(&name);
        known.namespaces.put(name);
        true
    }

    fn delete(&self, index: &Index, _: u32) {
        if let Some(name) = index.writers.lock().namespaces.remove(("", self.trimmed().name())) {
            index.drop_namespace(&name);
        }
    }
}
