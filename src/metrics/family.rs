use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{
    core::{Collector, Desc},
    proto::{LabelPair, Metric, MetricFamily, MetricType},
};

use super::lanes::Lanes;

/// Metrics of one name by the values of their labels. Cheap to clone.
pub struct Family<M: Kind>(Arc<Inner<M>>);

struct Inner<M: Kind> {
    desc: Desc,
    lanes: Arc<Lanes>,
    shape: M::Shape,
    series: Mutex<HashMap<Box<[Box<str>]>, M>>,
}

/// A kind of metric whose numbers stand in lanes.
pub trait Kind: Clone + Send + Sync + 'static {
    /// What all metrics of a family have in common.
    type Shape: Send + Sync + 'static;
    /// What Prometheus calls it.
    const TYPE: MetricType;

    #[doc(hidden)]
    fn make(lanes: &Arc<Lanes>, shape: &Self::Shape) -> Self;
    #[doc(hidden)]
    fn tell(&self, metric: &mut Metric);
}

impl<M: Kind> Clone for Family<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Kind> fmt::Debug for Family<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.desc.fq_name)
    }
}

impl<M: Kind> Family<M> {
    pub(super) fn new(desc: Desc, lanes: &Arc<Lanes>, shape: M::Shape) -> Self {
        Self(Arc::new(Inner { desc, lanes: Arc::clone(lanes), shape, series: Mutex::default() }))
    }

    /// The metric with these values of the labels, in their order, made if it is not there yet. Not for each query: it
    /// looks through a table.
    ///
    /// # Panics
    /// There are more or fewer values than labels: a mistake in the program.
    pub fn with_label_values<V: AsRef<str>>(&self, values: &[V]) -> M {
        let Inner { desc, lanes, shape, series } = &*self.0;
        assert_eq!(values.len(), desc.variable_labels.len(), "labels of {}", desc.fq_name);
        let values: Box<[Box<str>]> = values.iter().map(|value| value.as_ref().into()).collect();
        let mut series = series.lock().unwrap_or_else(PoisonError::into_inner);
        series.entry(values).or_insert_with(|| M::make(lanes, shape)).clone()
    }
}

impl<M: Kind> Collector for Family<M> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Inner { desc, series, .. } = &*self.0;
        let series = series.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = series.iter().map(|(values, metric)| {
            let pairs = desc.variable_labels.iter().zip(values);
            let mut labels: Vec<LabelPair> = pairs.map(|(name, value)| pair(name, value)).collect();
            labels.sort();
            let mut told = Metric::from_label(labels);
            metric.tell(&mut told);
            told
        });
        let mut family = MetricFamily::default();
        family.set_name(desc.fq_name.clone());
        family.set_help(desc.help.clone());
        family.set_field_type(M::TYPE);
        family.set_metric(metrics.collect());
        vec![family]
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
