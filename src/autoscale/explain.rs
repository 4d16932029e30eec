//! `--explain`: the number and each step that leads to it, without a cluster.

use super::{
    params::{Data, Params, Refusal, Rules},
    size::Size,
};

/// The lines to print, the last of them `replicas: N`.
///
/// # Errors
/// The parameters are refused, or the number is not used.
pub fn explain(data: &Data, size: Size, rules: Rules) -> Result<Vec<String>, Refusal> {
    let params = Params::read(data, rules)?;
    let mut lines = Vec::new();
    for (mode, text) in data {
        lines.push(format!("parameters: {mode}: {text}"));
    }
    lines.push(format!("size: {size}"));
    let replicas = params.replicas(size, rules, &mut |step| lines.push(step));
    let replicas = replicas.map_err(|unfit| Refusal::new(format!("{}\n{unfit}", lines.join("\n"))))?;
    lines.push(format!("replicas: {replicas}"));
    Ok(lines)
}
