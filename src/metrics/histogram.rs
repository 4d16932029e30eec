use std::{fmt, sync::Arc};

use prometheus::proto::{self, Metric, MetricType};

use super::{family::Kind, lanes::Lanes};

/// How often values were of which size.
#[derive(Clone)]
pub struct Histogram {
    lanes: Arc<Lanes>,
    bounds: Arc<[f64]>,
    /// Of a cell for each bound, of one for what is above them all, and of one for the sum.
    first: u32,
}

impl Kind for Histogram {
    type Shape = Arc<[f64]>;
    const TYPE: MetricType = MetricType::HISTOGRAM;

    fn make(lanes: &Arc<Lanes>, bounds: &Arc<[f64]>) -> Self {
        let first = lanes.take(bounds.len() + 2);
        Self { lanes: Arc::clone(lanes), bounds: Arc::clone(bounds), first }
    }

    fn tell(&self, metric: &mut Metric) {
        let mut count = 0;
        let buckets = self.bounds.iter().zip(self.first..).map(|(&bound, cell)| {
            count += self.lanes.sum(cell);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let buckets = buckets.collect();
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count + self.lanes.sum(self.above()));
        histogram.set_sample_sum(self.lanes.sum_float(self.above() + 1));
        metric.set_histogram(histogram);
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "histogram of {} bounds", self.bounds.len())
    }
}

impl Histogram {
    fn above(&self) -> u32 {
        self.first + self.bounds.len() as u32
    }

    /// A value was seen.
    pub fn observe(&self, value: f64) {
        self.observe_times(value, 1);
    }

    /// A value was seen so many times.
    pub fn observe_times(&self, value: f64, times: u64) {
        self.observe_within(self.bucket(value), value * times as f64, times);
    }

    /// Which bucket a value belongs to.
    pub fn bucket(&self, value: f64) -> usize {
        // A bound belongs to the bucket below it.
        self.bounds.iter().position(|&bound| value <= bound).unwrap_or(self.bounds.len())
    }

    /// So many values of one bucket were seen, which have this sum.
    pub fn observe_within(&self, bucket: usize, sum: f64, times: u64) {
        self.lanes.add(self.first + bucket as u32, times);
        self.lanes.add_float(self.above() + 1, sum);
    }
}
