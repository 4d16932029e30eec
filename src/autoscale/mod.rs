//! The replica autoscaler: as many replicas as the size of the cluster asks for.
//!
//! ```text
//!   the rim, which waits and asks                 the thinking, which knows no network and no clock
//!
//!   run.rs      turn after turn ────────────────► round.rs     one poll: what to ask next, and what it means
//!     nodes.rs    list and watch of nodes           params.rs    the ConfigMap's text → linear.rs or ladder.rs
//!     follow.rs   has the object changed?           size.rs      nodes and cores; quantity.rs
//!     cluster.rs  ConfigMap, scale, Lease, Events   hold.rs      when to take replicas away
//!     api.rs      one request, one error            lease.rs     which of several copies may write
//!     report.rs   metrics, /last-poll, log          target.rs    what to scale
//! ```

mod api;
mod cluster;
pub mod defaults;
pub mod explain;
mod follow;
pub mod hold;
mod json;
pub mod ladder;
pub mod lease;
pub mod linear;
mod nodes;
pub mod params;
pub mod quantity;
mod report;
pub mod round;
pub mod run;
pub mod size;
pub mod target;
pub mod trouble;
mod watching;

#[cfg(test)]
mod tests;
