//! Calls of gRPC over HTTP/2: what etcd and other DNS servers are asked with. Knows neither.
//!
//! ```text
//!   line.rs      a connection, and requests upon it
//!     call.rs    one call: messages there and back, and how it has ended
//! ```

mod call;
mod line;

pub use call::{Call, CallError};
pub use line::{Driver, Line};
