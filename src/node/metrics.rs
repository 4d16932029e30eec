use crate::metrics::{Counter, Gauge, Registry};

/// What went wrong on the host, by kind: `coredns_nodecache_setup_errors_total`.
#[derive(Debug, Clone)]
pub struct SetupErrors {
    /// A packet rule could not be put in or checked.
    pub rules: Counter,
    /// Another program held the lock of iptables.
    pub rules_lock: Counter,
    /// The device or an address could not be made.
    pub interface_add: Counter,
    /// The device or an address could not be checked.
    pub interface_check: Counter,
    /// The ConfigMap or the template is wrong.
    pub config_map: Counter,
}

impl SetupErrors {
    /// Registers the family with all its values at zero, under node-cache's names.
    pub fn register(registry: &Registry) -> Self {
        let help = "Failures to prepare the host or to read the configuration, by kind.";
        let family = registry.counter("coredns_nodecache_setup_errors_total", help, &["errortype"]);
        let kind = |name: &str| family.with_label_values(&[name]);
        Self {
            rules: kind("iptables"),
            rules_lock: kind("iptables_lock"),
            interface_add: kind("interface_add"),
            interface_check: kind("interface_check"),
            config_map: kind("configmap"),
        }
    }
}

/// Whether queries to each local address end here: `seamark_node_intercepted{address}`.
pub(super) fn intercepted(registry: &Registry, address: std::net::IpAddr) -> Gauge {
    let help = "Whether a query that was sent to a local address was answered by the node cache.";
    registry.gauge("seamark_node_intercepted", help, &["address"]).with_label_values(&[&address.to_string()])
}
