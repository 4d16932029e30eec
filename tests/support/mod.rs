//! What the tests share: start a server, ask it, build a cluster.

pub(crate) mod apiserver;
pub(crate) mod asker;
pub(crate) mod dig;
pub(crate) mod namespaces;
pub(crate) mod scenario;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod upstream;
