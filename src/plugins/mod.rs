//! What an operator can say in a Corefile. Each plugin is a folder: README, `config.rs`, `mod.rs`.

pub mod autopath;
pub mod bind;
pub mod cache;
pub mod debug;
pub mod errors;
pub mod forward;
pub mod health;
pub mod hosts;
pub mod k8s_external;
pub mod kubernetes;
pub mod loadbalance;
pub mod log;
pub mod loop_guard;
pub mod prometheus;
pub mod ready;
pub mod reload;
pub mod whoami;

use crate::chain::Directive;

/// All directives in the order in which a query meets them, whatever the order in the Corefile. It is CoreDNS
/// 1.15.0's order: what stands higher sees what stands lower, on the way in and on the way out.
pub const DIRECTIVES: &[Directive] = &[
    reload::DIRECTIVE,      // only sets when the Corefile is read again
    bind::DIRECTIVE,        // before all that name their metrics by listener
    debug::DIRECTIVE,       // only sets a switch
    ready::DIRECTIVE,       // an HTTP endpoint
    health::DIRECTIVE,      // an HTTP endpoint
    prometheus::DIRECTIVE,  // sees every answer, errors and hits included
    errors::DIRECTIVE,      // sees every failure of those below
    log::DIRECTIVE,         // sees every answer of those below
    loadbalance::DIRECTIVE, // shuffles hits of the cache too
    autopath::DIRECTIVE,    // its answers are one client's: the cache below keeps the names of the list instead
    cache::DIRECTIVE,       // keeps what those below answer
    hosts::DIRECTIVE,       // an operator's own names go before the cluster's
    // names and addresses outside of the cluster, before those inside
    k8s_external::DIRECTIVE,
    kubernetes::DIRECTIVE, // the cluster's names go before the world's
    loop_guard::DIRECTIVE, // sees what would be forwarded
    forward::DIRECTIVE,    // everything else
    whoami::DIRECTIVE,     // answers whatever is left
];
