//! What the tests share: start a server, ask it, build a cluster.

pub(crate) mod apiserver;
pub(crate) mod dig;
pub(crate) mod scenario;
pub(crate) mod server;
pub(crate) mod upstream;
