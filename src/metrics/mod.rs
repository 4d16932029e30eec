//! The metric registry: handed down, never global. Families are made once by name and found again after a reload,
//! so that counters go on.

mod counter;
mod family;
mod histogram;
mod lanes;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{
    Encoder, IntGaugeVec, Opts, TextEncoder,
    core::{Collector, Desc},
    proto::MetricFamily,
};
pub use prometheus::{IntGauge as Gauge, IntGaugeVec as GaugeFamily};

pub use counter::Counter;
pub use family::Family;
pub use histogram::Histogram;
use lanes::Lanes;

/// Counters by their labels.
pub type CounterFamily = Family<Counter>;
/// Histograms by their labels.
pub type HistogramFamily = Family<Histogram>;

/// Bucket bounds of request durations, seconds: 0.25 ms doubled up to 8.192 s.
pub const TIME_BUCKETS: [f64; 16] =
    [0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192];

/// Coarse bounds of durations, seconds: 0.25 ms times ten up to 2.5 s.
pub const SLIM_TIME_BUCKETS: [f64; 5] = [0.00025, 0.0025, 0.025, 0.25, 2.5];

/// Bucket bounds of message sizes, octets.
pub const SIZE_BUCKETS: [f64; 14] =
    [0., 100., 200., 300., 400., 511., 1023., 2047., 4095., 8291., 16_000., 32_000., 48_000., 64_000.];

/// All metric families of one process.
#[derive(Default)]
pub struct Registry {
    families: prometheus::Registry,
    known: Mutex<HashMap<String, Known>>,
    lanes: Arc<Lanes>,
}

#[derive(Clone)]
enum Known {
    Counter(CounterFamily),
    Gauge(GaugeFamily),
    Histogram(HistogramFamily),
    Sampled(Sampled),
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the `process_*` families (memory, CPU, file descriptors, start time) of this process.
    pub fn register_process(&self) {
        let collector = prometheus::process_collector::ProcessCollector::for_self();
        if let Err(error) = self.families.register(Box::new(collector)) {
            tracing::warn!(%error, "process metrics are not available");
        }
    }

    /// The counter family of this name, made if it is not there yet.
    ///
    /// # Panics
    /// The name is taken by a family of another kind or with other labels: a mistake in the program, seen at start.
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> CounterFamily {
        let made = self.family(name, || {
            let family = CounterFamily::new(desc(name, help, labels)?, &self.lanes, ());
            self.families.register(Box::new(family.clone()))?;
            Ok(Known::Counter(family))
        });
        match made {
            Known::Counter(family) => family,
            _ => panic!("metric {name} exists as another kind"),
        }
    }

    /// The gauge family of this name; as [`Registry::counter`].
    ///
    /// # Panics
    /// As [`Registry::counter`].
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> GaugeFamily {
        let made = self.family(name, || {
            let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
            self.families.register(Box::new(family.clone()))?;
            Ok(Known::Gauge(family))
        });
        match made {
            Known::Gauge(family) => family,
            _ => panic!("metric {name} exists as another kind"),
        }
    }

    /// The histogram family of this name; as [`Registry::counter`].
    ///
    /// # Panics
    /// As [`Registry::counter`].
    pub fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramFamily {
        let made = self.family(name, || {
            let family = HistogramFamily::new(desc(name, help, labels)?, &self.lanes, buckets.into());
            self.families.register(Box::new(family.clone()))?;
            Ok(Known::Histogram(family))
        });
        match made {
            Known::Histogram(family) => family,
            _ => panic!("metric {name} exists as another kind"),
        }
    }

    /// A family of gauges whose values are read when somebody scrapes. `read` gives label values and value of each;
    /// `None` says that what it measured is gone, and the reader goes too. Several readers may serve one name.
    pub fn sampled_gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        read: impl Fn() -> Option<Vec<(Vec<String>, i64)>> + Send + Sync + 'static,
    ) {
        let made = self.family(name, || {
            let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
            let sampled = Sampled { family, readers: Arc::default() };
            self.families.register(Box::new(sampled.clone()))?;
            Ok(Known::Sampled(sampled))
        });
        match made {
            Known::Sampled(sampled) => {
                sampled.readers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(read));
            }
            _ => panic!("metric {name} exists as another kind"),
        }
    }

    fn family(&self, name: &str, make: impl FnOnce() -> prometheus::Result<Known>) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(family) = known.get(name) {
            return family.clone();
        }
        let family = match make() {
            Ok(family) => family,
            Err(error) => panic!("metric {name}: {error}"),
        };
        known.insert(name.to_owned(), family.clone());
        family
    }

    /// All families in Prometheus text format 0.0.4.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.families.gather(), &mut text) {
            tracing::error!(%error, "cannot render metrics");
        }
        text
    }

    /// The content type that goes with [`Registry::render`].
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";
}

fn desc(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<Desc> {
    let labels = labels.iter().map(|&label| label.to_owned()).collect();
    Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
}

type Reader = Box<dyn Fn() -> Option<Vec<(Vec<String>, i64)>> + Send + Sync>;

/// Gauges that are read when somebody scrapes.
#[derive(Clone)]
struct Sampled {
    family: GaugeFamily,
    readers: Arc<Mutex<Vec<Reader>>>,
}

impl Collector for Sampled {
    fn desc(&self) -> Vec<&Desc> {
        self.family.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.family.reset();
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).retain(|read| {
            let Some(values) = read() else { return false };
            for (labels, value) in values {
                let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
                if let Ok(gauge) = self.family.get_metric_with_label_values(&labels) {
                    gauge.set(value);
                }
            }
            true
        });
        self.family.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_as_text() {
        let registry = Registry::new();
        let requests = registry.counter("requests_total", "Requests.", &["server", "code"]);
        requests.with_label_values(&["b", "200"]).inc();
        requests.with_label_values(&["a", "404"]).inc_by(2);
        registry.counter("requests_total", "Requests.", &["server", "code"]).with_label_values(&["b", "200"]).inc();
        let seconds = registry.histogram("seconds", "Time.", &[], &[0.5, 1.]).with_label_values::<&str>(&[]);
        seconds.observe(0.25);
        seconds.observe_times(1., 3);
        seconds.observe(7.);
        assert_eq!(
            String::from_utf8(registry.render()).unwrap(),
            "# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code=\"200\",server=\"b\"} 2
requests_total{code=\"404\",server=\"a\"} 2
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{le=\"0.5\"} 1
seconds_bucket{le=\"1\"} 4
seconds_bucket{le=\"+Inf\"} 5
seconds_sum 10.25
seconds_count 5
"
        );
    }
}
