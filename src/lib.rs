//! seamark: cluster DNS for Kubernetes in one binary.

// floor 0
pub mod corefile;
pub mod http;
pub mod metrics;
pub mod wire;
// floor 1
pub mod chain;
// floor 3
pub mod server;
