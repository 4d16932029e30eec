//! The server: one site at a time, swapped as a whole.
//!
//! ```text
//!   udp.rs tcp.rs    bytes in            worker.rs   one thread per core, sockets of its own
//!                                        duty.rs     which site serves now, and when to end
//!     answer.rs      parse, route, walk, encode
//!       route.rs     longest zone → chain
//!       proxied/     who asks through a proxy
//!   udp.rs tcp.rs    bytes out           site.rs     a whole compiled Corefile
//!   secure/          the same, encrypted reload.rs   file or signal → new site → swap
//! ```

mod absent;
mod answer;
mod door;
mod duty;
mod limits;
mod listen;
mod memo;
mod metrics;
mod proxied;
mod reload;
mod route;
mod secure;
mod site;
mod tcp;
mod udp;
mod worker;

pub use reload::{Server, Settings, Signal, Source, StartError, check};
