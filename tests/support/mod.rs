//! What the tests share: start a server, ask it, build a cluster.

pub mod apiserver;
pub mod dig;
pub mod scenario;
pub mod server;
pub mod upstream;
