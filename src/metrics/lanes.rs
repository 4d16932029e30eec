use std::{
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

/// Cells of the first chunk; each further one has twice as many as the one before.
const FIRST: usize = 256;
/// Chunks of a lane: together they have a cell for each `u32`.
const CHUNKS: usize = 25;
/// More threads than this share lanes.
const MOST_LANES: usize = 128;

/// Numbers that all threads add to, each in a lane of its own, so that no core waits for the memory of another. Who reads
/// one adds up the lanes.
pub struct Lanes {
    lanes: Box<[Lane]>,
    next: AtomicU32,
}

/// What one thread, or a few, have added. Two cache lines hold nothing of its neighbour's.
#[repr(align(128))]
#[derive(Default)]
struct Lane([OnceLock<Box<[AtomicU64]>>; CHUNKS]);

thread_local! {
    /// The number of this thread, once it has counted something.
    static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn own() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        own.get()
    })
}

/// Chunk and place of a cell.
const fn place(cell: u32) -> (usize, usize) {
    let at = cell as usize + FIRST;
    let chunk = at.ilog2() - FIRST.ilog2();
    (chunk as usize, at - (FIRST << chunk))
}

impl Lane {
    fn cell(&self, cell: u32) -> &AtomicU64 {
        let (chunk, at) = place(cell);
        &self.0[chunk].get_or_init(|| (0..FIRST << chunk).map(|_| AtomicU64::new(0)).collect())[at]
    }

    fn value(&self, cell: u32) -> u64 {
        let (chunk, at) = place(cell);
        self.0[chunk].get().map_or(0, |cells| cells[at].load(Ordering::Relaxed))
    }
}

impl Default for Lanes {
    fn default() -> Self {
        // The threads that answer queries, and one for all else.
        let threads = thread::available_parallelism().map_or(1, usize::from) + 1;
        let lanes = (0..threads.next_power_of_two().min(MOST_LANES)).map(|_| Lane::default()).collect();
        Self { lanes, next: AtomicU32::new(0) }
    }
}

impl Lanes {
    /// So many cells that nobody else has; gives the first.
    pub(super) fn take(&self, count: usize) -> u32 {
        self.next.fetch_add(count as u32, Ordering::Relaxed)
    }

    fn own(&self, cell: u32) -> &AtomicU64 {
        // There is a power of two of them.
        self.lanes[own() & (self.lanes.len() - 1)].cell(cell)
    }

    pub(super) fn add(&self, cell: u32, amount: u64) {
        self.own(cell).fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds to a cell that holds the bits of an `f64`.
    pub(super) fn add_float(&self, cell: u32, amount: f64) {
        let add = |bits| Some((f64::from_bits(bits) + amount).to_bits());
        _ = self.own(cell).fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    pub(super) fn sum(&self, cell: u32) -> u64 {
        self.lanes.iter().map(|lane| lane.value(cell)).sum()
    }

    pub(super) fn sum_float(&self, cell: u32) -> f64 {
        self.lanes.iter().map(|lane| f64::from_bits(lane.value(cell))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_has_its_own_place() {
        let mut places: Vec<_> = (0..5_000).map(place).collect();
        assert!(places.iter().all(|&(chunk, at)| at < FIRST << chunk));
        places.dedup();
        assert_eq!(places.len(), 5_000);
        assert_eq!(place(u32::MAX).0, CHUNKS - 1);
    }

    #[test]
    fn what_all_threads_have_added_is_summed_up() {
        let lanes = Lanes::default();
        let (counted, octets) = (lanes.take(1), lanes.take(300) + 299);
        thread::scope(|scope| {
            for _ in 0..9 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        lanes.add(counted, 2);
                        lanes.add_float(octets, 0.5);
                    }
                });
            }
        });
        assert_eq!(lanes.sum(counted), 18_000);
        assert!((lanes.sum_float(octets) - 4_500.).abs() < f64::EPSILON);
    }
}
