//! seamark: cluster DNS for Kubernetes in one binary.
//!
//! ```text
//! A query                                            A Kubernetes object
//!
//! server/udp.rs      bytes in                        kubernetes/watch.rs      list + watch, pause, list again
//!   wire/query.rs    header, question, EDNS            kubernetes/object/*    keep only what answers need
//!   server/route.rs  longest zone → its chain          kubernetes/index/      by service, address, pod, namespace
//!   chain/walk.rs    forward until somebody answers,      ▲
//!                    back through those it passed         │
//!     plugins/cache/       kept? answer                   │
//!     plugins/kubernetes/  ours? ──────────► kubernetes/grammar.rs   name → Lookup
//!                                            kubernetes/answer.rs    Lookup + index → records
//!     plugins/forward/     else: wait ─────► upstream/
//!   wire/encode.rs   response → bytes
//! server/udp.rs      bytes out
//! ```
//!
//! A module imports only from floors below its own; `tests/layers.rs` holds that.

// floor 0: knows nothing of the others
pub mod corefile;
pub mod expression;
pub mod http;
pub mod metrics;
pub mod pattern;
pub mod protobuf;
pub mod tls;
pub mod versions;
pub mod wire;
// signatures of whole messages: knows the wire only
pub mod tsig;
// floor 1: the machines, and how plugins meet
pub mod cache;
pub mod chain;
pub mod kubernetes;
pub mod rpc;
pub mod tap;
pub mod template;
pub mod upstream;
pub mod zone;
// services of etcd, over the connections of `upstream`
pub mod etcd;
// signatures of records
pub mod dnssec;
// zones on the chain, for the plugins that serve them
pub mod authority;
// floor 2: what an operator can say
pub mod plugins;
// floor 3: what runs it, and what it does to its host
pub mod autoscale;
pub mod node;
pub mod server;
// floor 4: what a person can tell the program
pub mod commands;
