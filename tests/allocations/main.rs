//! What is allocated: an answer from memory nothing, the index so many octets for each endpoint.

mod endpoints;
mod queries;

use std::{
    alloc::System,
    sync::{Mutex, MutexGuard, PoisonError},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The counters are the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has been allocated since it was made.
struct Since(Region<'static, System>);

impl Since {
    fn now() -> Self {
        Self(Region::new(ALLOCATOR))
    }

    /// How often something was allocated or made larger.
    fn times(&self) -> usize {
        let change = self.0.change();
        change.allocations + change.reallocations
    }

    /// Octets that are more than there were.
    fn octets(&self) -> isize {
        let change = self.0.change();
        change.bytes_allocated as isize - change.bytes_deallocated as isize
    }
}
