//! `--explain`: what the flags say of parameters and size.

use std::process::ExitCode;

use super::{Parsed, settings::rules};
use crate::autoscale::{
    defaults,
    explain::explain,
    params::{Data, Refusal},
    quantity::Cpu,
    size::{Count, Size},
};

/// Prints the number and each step that leads to it.
pub(super) fn show(parsed: &Parsed) -> ExitCode {
    let refused = |refusal: Refusal| {
        let excerpt = refusal.excerpt.as_ref().map(|excerpt| format!("\n{excerpt}")).unwrap_or_default();
        eprintln!("{refusal}{excerpt}");
        ExitCode::FAILURE
    };
    let (data, size) = match parameters(parsed).and_then(|data| Ok((data, size(parsed)?))) {
        Ok(found) => found,
        Err(refusal) => return refused(refusal),
    };
    match explain(&data, size, rules(parsed)) {
        Ok(lines) => {
            println!("{}", lines.join("\n"));
            ExitCode::SUCCESS
        }
        Err(refusal) => refused(refusal),
    }
}

fn parameters(parsed: &Parsed) -> Result<Data, Refusal> {
    for name in ["params", "default-params"] {
        if let Some(text) = parsed.value(name) {
            return defaults::read(&format!("--{name}"), text);
        }
    }
    Err(Refusal::new("flag `--explain` needs `--params`, such as '{\"linear\":{\"nodesPerReplica\":16}}'"))
}

fn size(parsed: &Parsed) -> Result<Size, Refusal> {
    let nodes = |text: &str| text.parse::<i64>().ok();
    // A sum of cores need not be whole, and is rounded up as the nodes' own sum is.
    let cores = |text: &str| Cpu::parse(text).map(Cpu::rounded_up);
    let count = |name: &str, read: &dyn Fn(&str) -> Option<i64>| {
        let Some(text) = parsed.value(name) else { return Ok(None) };
        let number = read(text).filter(|number| *number >= 0);
        number.map(Some).ok_or_else(|| Refusal::new(format!("flag `--{name}` needs a number, found `{text}`")))
    };
    let (all_nodes, all_cores) = (count("nodes", &nodes)?, count("cores", &cores)?);
    if all_nodes.is_none() && all_cores.is_none() {
        return Err(Refusal::new("flag `--explain` needs `--nodes` or `--cores`, or both"));
    }
    let (all_nodes, all_cores) = (all_nodes.unwrap_or(0), all_cores.unwrap_or(0));
    Ok(Size {
        nodes: Count { all: all_nodes, schedulable: count("schedulable-nodes", &nodes)?.unwrap_or(all_nodes) },
        cores: Count { all: all_cores, schedulable: count("schedulable-cores", &cores)?.unwrap_or(all_cores) },
        unready: 0,
    })
}
