use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, OnceLock},
};

/// What one directive of a server block leaves for others of the block, whichever of them is built first.
#[derive(Default)]
pub(super) struct Offers(HashMap<TypeId, Box<dyn Any + Send>>);

/// A thing that some directive of the block gives, or will have given once the block is built.
pub struct Offered<T>(Arc<OnceLock<T>>);

impl<T> Clone for Offered<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Offered<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Offered<T> {
    /// The thing; `None` before it is given, and in a block without the directive that does.
    pub fn taken(&self) -> Option<&T> {
        self.0.get()
    }

    /// Gives the thing. Later calls change nothing.
    pub fn give(&self, thing: T) {
        _ = self.0.set(thing);
    }
}

impl Offers {
    pub(super) fn of<T: Send + Sync + 'static>(&mut self) -> Offered<T> {
        let made = || Box::new(Offered::<T>::default()) as Box<dyn Any + Send>;
        let offered = self.0.entry(TypeId::of::<T>()).or_insert_with(made);
        offered.downcast_ref::<Offered<T>>().cloned().unwrap_or_default()
    }
}
