//! What the tests share: start a server, ask it, build a cluster.

pub(crate) mod apiserver;
pub(crate) mod asker;
pub(crate) mod callers;
pub(crate) mod cast;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod dig;
pub(crate) mod encrypted;
pub(crate) mod etcd;
pub(crate) mod expect;
pub(crate) mod grpc;
pub(crate) mod hosts;
pub(crate) mod message;
pub(crate) mod mmdb;
pub(crate) mod nameserver;
pub(crate) mod namespaces;
pub(crate) mod quick;
pub(crate) mod scenario;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod upstream;
