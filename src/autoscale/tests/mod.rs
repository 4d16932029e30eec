//! Tables: the original's own, and where we differ.

mod parameters;
mod poll;

use super::{
    params::{Data, Rules},
    size::{Count, Size},
};

const COMPAT: Rules = Rules { compat: true, allow_zero: false };
const OURS: Rules = Rules { compat: false, allow_zero: false };

fn mk_data(mode: &str, text: &str) -> Data {
    Data::from([(mode.to_owned(), text.to_owned())])
}

/// A cluster whose nodes are all schedulable.
fn mk_size(cores: i64, nodes: i64) -> Size {
    let both = |all| Count { all, schedulable: all };
    Size { nodes: both(nodes), cores: both(cores), unready: 0 }
}
