//! Ladder: from this size on, so many replicas.

use super::{
    json::{Fault, Node, Value, is_key},
    params::{Placed, Rules, entries, integer, switch, take},
    size::Size,
};

/// Parameters of the ladder mode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ladder {
    /// Rungs over cores, by size.
    pub cores_to_replicas: Vec<Rung>,
    /// Rungs over nodes, by size.
    pub nodes_to_replicas: Vec<Rung>,
    /// Nodes count that are cordoned or not Ready.
    pub include_unschedulable_nodes: bool,
    /// Zero replicas are meant. Our own key; the original passes over it.
    pub allow_zero: bool,
}

/// From `size` on, `replicas`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Nodes or cores.
    pub size: i64,
    /// Replicas.
    pub replicas: i64,
}

impl Ladder {
    pub(super) fn read(text: &str, rules: Rules) -> Result<Self, Fault> {
        let (at, entries) = entries(text)?;
        let mut ladder = Self::default();
        let mut all = Placed { value: false, at };
        let mut zero = Placed { value: false, at };
        for entry in &entries {
            let (key, node) = entry;
            for (name, rungs) in
                [("coresToReplicas", &mut ladder.cores_to_replicas), ("nodesToReplicas", &mut ladder.nodes_to_replicas)]
            {
                if is_key(key, name) {
                    *rungs = read_rungs(name, node, rules)?;
                }
            }
            take(entry, "includeUnschedulableNodes", &mut all, switch)?;
            take(entry, "allowZero", &mut zero, switch)?;
        }
        if !rules.compat && ladder.cores_to_replicas.is_empty() && ladder.nodes_to_replicas.is_empty() {
            let message = "`coresToReplicas` and `nodesToReplicas`: no rungs, so there would be 0 replicas";
            return Err(Fault::new(at, message));
        }
        Ok(Self { include_unschedulable_nodes: all.value, allow_zero: zero.value, ..ladder })
    }

    pub(super) fn replicas(&self, size: Size, say: &mut dyn FnMut(String)) -> i64 {
        let (nodes, cores) = size.counted(self.include_unschedulable_nodes);
        let which = if self.include_unschedulable_nodes { "all nodes count" } else { "schedulable nodes count" };
        say(format!("{which}: {nodes} nodes, {cores} cores"));
        let by_cores = look("cores", cores, &self.cores_to_replicas, say);
        let by_nodes = look("nodes", nodes, &self.nodes_to_replicas, say);
        let replicas = by_cores.max(by_nodes);
        say(format!("the larger of {by_cores} by cores and {by_nodes} by nodes: {replicas}"));
        replicas
    }
}

/// The last rung that the size reaches; below the first one, the first one all the same.
fn look(what: &str, amount: i64, rungs: &[Rung], say: &mut dyn FnMut(String)) -> i64 {
    let Some(first) = rungs.first() else {
        say(format!("by {what}: no {what}ToReplicas, so 0"));
        return 0;
    };
    let (rung, how) = match rungs.iter().rfind(|rung| rung.size <= amount) {
        Some(rung) => (rung, "reaches"),
        None => (first, "is below the first rung, which counts:"),
    };
    say(format!("by {what}: {amount} {how} [{}, {}]: {}", rung.size, rung.replicas, rung.replicas));
    rung.replicas
}

fn read_rungs(name: &str, node: &Node, rules: Rules) -> Result<Vec<Rung>, Fault> {
    let items = match &node.value {
        Value::Null => return Ok(Vec::new()),
        Value::List(items) => items,
        other => {
            let message = format!("`{name}`: expected a list of [size, replicas], found {}", other.describe());
            return Err(Fault::new(node.at, message));
        }
    };
    let mut rungs = items.iter().map(|item| read_rung(name, item, rules)).collect::<Result<Vec<_>, _>>()?;
    // Of two rungs of one size the later one counts.
    rungs.sort_by_key(|rung| rung.size);
    Ok(rungs)
}

/// `[size, replicas]`. What the original reads out of less, a rung to 0 replicas, is taken in its own mode only; more
/// than two values are passed over as it does.
fn read_rung(name: &str, node: &Node, rules: Rules) -> Result<Rung, Fault> {
    let short = |found: String| {
        Fault::new(
            node.at,
            format!("`{name}`: expected a rung [size, replicas], found {found}: that would be 0 replicas"),
        )
    };
    let values = match &node.value {
        Value::List(values) => values.as_slice(),
        Value::Null if rules.compat => &[],
        Value::Null => return Err(short("null".to_owned())),
        other => {
            let message = format!("`{name}`: expected a rung [size, replicas], found {}", other.describe());
            return Err(Fault::new(node.at, message));
        }
    };
    let read = |place: usize| match values.get(place) {
        None => Ok(None),
        Some(Node { value: Value::Null, .. }) => Ok(None),
        Some(Node { at, value }) => match integer(value) {
            Ok(number) if number < 0 => Err(Fault::new(*at, format!("`{name}`: {number} is negative"))),
            Ok(number) => Ok(Some(number)),
            Err(problem) => Err(Fault::new(*at, format!("`{name}`: {problem}"))),
        },
    };
    let (size, replicas) = (read(0)?, read(1)?);
    match replicas {
        None if !rules.compat => Err(short(if values.len() < 2 {
            format!("{} of two numbers", values.len())
        } else {
            "null for the replicas".to_owned()
        })),
        replicas => Ok(Rung { size: size.unwrap_or(0), replicas: replicas.unwrap_or(0) }),
    }
}
