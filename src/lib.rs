//! seamark: cluster DNS for Kubernetes in one binary.

// floor 0
pub mod corefile;
pub mod http;
pub mod metrics;
pub mod wire;
// floor 1
pub mod chain;
pub mod kubernetes;
// floor 2
pub mod plugins;
// floor 3
pub mod server;
// floor 4
pub mod commands;
