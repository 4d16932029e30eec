use std::{fmt, sync::Arc};

use prometheus::proto::{self, Metric, MetricType};

use super::{family::Kind, lanes::Lanes};

/// A number that only grows. Adding to it costs no wait for other threads.
#[derive(Clone)]
pub struct Counter {
    lanes: Arc<Lanes>,
    cell: u32,
}

impl Kind for Counter {
    type Shape = ();
    const TYPE: MetricType = MetricType::COUNTER;

    fn make(lanes: &Arc<Lanes>, (): &()) -> Self {
        Self { lanes: Arc::clone(lanes), cell: lanes.take(1) }
    }

    fn tell(&self, metric: &mut Metric) {
        let mut counter = proto::Counter::default();
        counter.set_value(self.get() as f64);
        metric.set_counter(counter);
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// So many more.
    pub fn inc_by(&self, count: u64) {
        self.lanes.add(self.cell, count);
    }

    /// What all threads have counted.
    pub fn get(&self) -> u64 {
        self.lanes.sum(self.cell)
    }
}
