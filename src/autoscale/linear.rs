//! Linear: so many nodes, or so many cores, for each replica.

use super::{
    json::Fault,
    params::{Placed, entries, float, integer, switch, take},
    size::Size,
};

/// Parameters of the linear mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Cores for each replica; 0 = cores do not count.
    pub cores_per_replica: f64,
    /// Nodes for each replica; 0 = nodes do not count.
    pub nodes_per_replica: f64,
    /// Least number of replicas, at least 1.
    pub min: i64,
    /// Largest number of replicas; 0 = none.
    pub max: i64,
    /// Two replicas as soon as there are two nodes.
    pub prevent_single_point_failure: bool,
    /// Nodes count that are cordoned or not Ready.
    pub include_unschedulable_nodes: bool,
}

impl Linear {
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let (at, entries) = entries(text)?;
        let mut cores = Placed { value: 0., at };
        let mut nodes = Placed { value: 0., at };
        let mut min = Placed { value: 0, at };
        let mut max = Placed { value: 0, at };
        let mut guard = Placed { value: false, at };
        let mut all = Placed { value: false, at };
        for entry in &entries {
            take(entry, "coresPerReplica", &mut cores, float)?;
            take(entry, "nodesPerReplica", &mut nodes, float)?;
            take(entry, "min", &mut min, integer)?;
            take(entry, "max", &mut max, integer)?;
            take(entry, "preventSinglePointFailure", &mut guard, switch)?;
            take(entry, "includeUnschedulableNodes", &mut all, switch)?;
        }
        if min.value < 0 {
            return Err(Fault::new(min.at, format!("`min`: {} is negative", min.value)));
        }
        if max.value != 0 && max.value < min.value {
            return Err(Fault::new(max.at, format!("`max`: {} is less than `min`, {}", max.value, min.value)));
        }
        if cores.value == 0. && nodes.value == 0. {
            let message = "`coresPerReplica` and `nodesPerReplica`: one of them must be there and not 0";
            return Err(Fault::new(at, message));
        }
        for (name, per) in [("coresPerReplica", cores), ("nodesPerReplica", nodes)] {
            if per.value < 0. {
                return Err(Fault::new(per.at, format!("`{name}`: {} is negative", per.value)));
            }
        }
        Ok(Self {
            cores_per_replica: cores.value,
            nodes_per_replica: nodes.value,
            min: min.value.max(1),
            max: max.value,
            prevent_single_point_failure: guard.value,
            include_unschedulable_nodes: all.value,
        })
    }

    pub(super) fn replicas(&self, size: Size, say: &mut dyn FnMut(String)) -> i64 {
        let (nodes, cores) = size.counted(self.include_unschedulable_nodes);
        let which = if self.include_unschedulable_nodes { "all nodes count" } else { "schedulable nodes count" };
        say(format!("{which}: {nodes} nodes, {cores} cores"));
        let by_cores = self.part("cores", cores, self.cores_per_replica, say);
        let mut by_nodes = self.part("nodes", nodes, self.nodes_per_replica, say);
        // Behind the limits, so that it outdoes a `max` of 1: so the original has it.
        if self.prevent_single_point_failure && nodes > 1 && by_nodes < 2 {
            by_nodes = 2;
            say("preventSinglePointFailure: more than one node, so 2 by nodes".to_owned());
        }
        let replicas = by_cores.max(by_nodes);
        say(format!("the larger of {by_cores} by cores and {by_nodes} by nodes: {replicas}"));
        replicas
    }

    /// One dimension: division in binary64, then rounding up, then the limits.
    fn part(&self, what: &str, amount: i64, per: f64, say: &mut dyn FnMut(String)) -> i64 {
        if per == 0. {
            say(format!("by {what}: no {what}PerReplica, so 1"));
            return 1;
        }
        let exact = amount as f64 / per;
        // What is beyond 64 bits stays at the end of them.
        let rounded = exact.ceil() as i64;
        let capped = if self.max == 0 { rounded } else { rounded.min(self.max) };
        let part = capped.max(self.min);
        let mut step = format!("by {what}: {amount} / {per} = {exact}, rounded up {rounded}");
        if capped < rounded {
            step += &format!(", at most max {}", self.max);
        }
        if part > capped {
            step += &format!(", at least min {}", self.min);
        }
        say(format!("{step}: {part}"));
        part
    }
}
