use super::{Rule, SECTIONS};
use crate::{
    chain::Context,
    metrics::{Counter, CounterFamily, Registry},
    wire::Name,
};

/// What the templates of a server block count.
pub(super) struct Metrics {
    servers: Vec<String>,
    matches: CounterFamily,
    template_failures: CounterFamily,
    record_failures: CounterFamily,
    /// By server, rule and zone, for rules of one class and one type.
    bound: Vec<Vec<Vec<Option<Counter>>>>,
}

/// Which of the two ways in which a template can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fails {
    /// It could not be run.
    Template,
    /// What it made is no record.
    Record,
}

impl Metrics {
    pub(super) fn register(registry: &Registry, servers: &[String], rules: &[Rule]) -> Self {
        let labels = ["server", "zone", "view", "class", "type"];
        let detailed = ["server", "zone", "view", "class", "type", "section", "template"];
        let matches =
            registry.counter("coredns_template_matches_total", "Queries that a template has answered.", &labels);
        let template_failures = registry.counter(
            "coredns_template_template_failures_total",
            "Templates that could not be run for a query.",
            &detailed,
        );
        let record_failures =
            registry.counter("coredns_template_rr_failures_total", "Templates that made no record.", &detailed);
        let zones = |server: &str, rule: &Rule| {
            let zones = rule.zones.iter().map(|zone| {
                let (class, kind) = (rule.class?.to_string(), rule.record_type?.to_string());
                Some(matches.with_label_values(&[server, &zone.to_string(), "", &class, &kind]))
            });
            zones.collect()
        };
        let bound = servers.iter().map(|server| rules.iter().map(|rule| zones(server, rule)).collect()).collect();
        Self { servers: servers.to_vec(), matches, template_failures, record_failures, bound }
    }

    /// Counts a match of the rule with this number.
    pub(super) fn matched(&self, cx: &Context, rule: usize, zone_number: usize, zone: &Name) {
        let server = usize::from(cx.place.server);
        let bound = self.bound.get(server).and_then(|rules| rules.get(rule)).and_then(|zones| zones.get(zone_number));
        match bound {
            Some(Some(counter)) => counter.inc(),
            // Rules for all types: which one it is, only the question says.
            _ => {
                let [server, zone, class, kind] = self.labels(cx, zone);
                self.matches.with_label_values(&[&server, &zone, "", &class, &kind]).inc();
            }
        }
    }

    pub(super) fn failed(&self, cx: &Context, zone: &Name, fails: Fails, section: usize, template: &str) {
        let family = if fails == Fails::Template { &self.template_failures } else { &self.record_failures };
        let [server, zone, class, kind] = self.labels(cx, zone);
        family.with_label_values(&[&server, &zone, "", &class, &kind, SECTIONS[section], template]).inc();
    }

    fn labels(&self, cx: &Context, zone: &Name) -> [String; 4] {
        let question = cx.question();
        let server = self.servers.get(usize::from(cx.place.server)).cloned().unwrap_or_default();
        [server, zone.to_string(), question.class.to_string(), question.record_type.to_string()]
    }
}
