//! How large the cluster is: nodes and cores, all of them and those that pods may go to.

use std::{collections::HashMap, fmt};

use super::quantity::Cpu;

/// One measure over all nodes and over the schedulable ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Every node that the selector leaves.
    pub all: i64,
    /// Nodes that are Ready and not cordoned.
    pub schedulable: i64,
}

/// The size of the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Nodes.
    pub nodes: Count,
    /// Allocatable cores, rounded up after they are summed.
    pub cores: Count,
    /// Nodes whose condition Ready is not True.
    pub unready: i64,
}

impl Size {
    /// Nodes and cores that count.
    pub const fn counted(&self, unschedulable_too: bool) -> (i64, i64) {
        if unschedulable_too {
            (self.nodes.all, self.cores.all)
        } else {
            (self.nodes.schedulable, self.cores.schedulable)
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, cores, .. } = self;
        write!(
            f,
            "{} nodes ({} schedulable), {} cores ({})",
            nodes.all, nodes.schedulable, cores.all, cores.schedulable
        )
    }
}

/// What is known of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Node {
    /// Cordoned: `spec.unschedulable`.
    pub cordoned: bool,
    /// Its condition Ready is True.
    pub ready: bool,
    /// `status.allocatable.cpu`.
    pub cpu: Cpu,
    /// Which list has seen it last.
    seen: u32,
}

impl Node {
    /// A node as it is.
    pub const fn new(cordoned: bool, ready: bool, cpu: Cpu) -> Self {
        Self { cordoned, ready, cpu, seen: 0 }
    }
}

/// All nodes. Sums are kept up to date, so that asking for the size costs nothing.
#[derive(Debug, Default)]
pub struct Census {
    nodes: HashMap<Box<str>, Node>,
    list: u32,
    all: Cpu,
    schedulable: (i64, Cpu),
    unready: i64,
}

impl Census {
    /// Takes a node as it is now.
    pub fn put(&mut self, name: &str, mut node: Node) {
        node.seen = self.list;
        if let Some(known) = self.nodes.get_mut(name) {
            let old = std::mem::replace(known, node);
            self.count(old, false);
        } else {
            self.nodes.insert(name.into(), node);
        }
        self.count(node, true);
    }

    /// A node is gone.
    pub fn remove(&mut self, name: &str) {
        if let Some(old) = self.nodes.remove(name) {
            self.count(old, false);
        }
    }

    /// A list begins. What it does not name is gone at its end; until then the old nodes count.
    pub fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// The list is complete.
    pub fn end_list(&mut self) {
        let list = self.list;
        let gone: Vec<Box<str>> =
            self.nodes.iter().filter(|(_, node)| node.seen != list).map(|(name, _)| name.clone()).collect();
        gone.iter().for_each(|name| self.remove(name));
    }

    /// The size of the cluster.
    pub fn size(&self) -> Size {
        let count = |all: usize| i64::try_from(all).unwrap_or(i64::MAX);
        Size {
            nodes: Count { all: count(self.nodes.len()), schedulable: self.schedulable.0 },
            cores: Count { all: self.all.rounded_up(), schedulable: self.schedulable.1.rounded_up() },
            unready: self.unready,
        }
    }

    fn count(&mut self, node: Node, up: bool) {
        let one = if up { 1 } else { -1 };
        let add = |sum: &mut Cpu| if up { *sum += node.cpu } else { *sum -= node.cpu };
        add(&mut self.all);
        if !node.ready {
            self.unready += one;
        } else if !node.cordoned {
            self.schedulable.0 += one;
            add(&mut self.schedulable.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_node(cordoned: bool, ready: bool, cpu: &str) -> Node {
        Node::new(cordoned, ready, Cpu::parse(cpu).unwrap())
    }

    /// The original's own table: the fourth of five nodes is left out by the selector.
    #[test]
    fn cordoned_and_unready_nodes_are_not_schedulable() {
        let mut census = Census::default();
        census.put("one", mk_node(false, true, "1"));
        census.put("two", mk_node(false, true, "2"));
        census.put("three", mk_node(true, true, "3"));
        census.put("five", mk_node(false, false, "3"));
        let size = census.size();
        assert_eq!(size.nodes, Count { all: 4, schedulable: 2 });
        assert_eq!(size.cores, Count { all: 9, schedulable: 3 });
        assert_eq!(size.unready, 1);
    }

    #[test]
    fn a_list_that_is_taken_anew_drops_what_it_does_not_name() {
        let mut census = Census::default();
        census.put("stays", mk_node(false, true, "3920m"));
        census.put("goes", mk_node(false, true, "3920m"));
        census.begin_list();
        census.put("stays", mk_node(false, true, "3920m"));
        census.put("comes", mk_node(true, false, "500m"));
        assert_eq!(census.size().nodes.all, 3, "the old ones count until the list ends");
        census.end_list();
        let size = census.size();
        assert_eq!((size.nodes.all, size.nodes.schedulable, size.unready), (2, 1, 1));
        assert_eq!((size.cores.all, size.cores.schedulable), (5, 4));
        census.remove("comes");
        census.remove("comes");
        census.remove("stays");
        assert_eq!(census.size(), Size::default());
    }
}
