//! What the node cache does to its host: the Corefile, the device, the packet rules.
//!
//! ```text
//!   local.rs        the addresses to listen on
//!   template.rs     base Corefile + kube_dns.rs (the ConfigMap) → Corefile
//!     renderer.rs   follows both files; the last good one goes on
//!   host.rs         prepare, keep, leave
//!     device/       the device that holds the addresses
//!     presence.rs   is this the only instance?
//! ```

mod config_map;
mod device;
mod host;
mod kube_dns;
mod local;
mod metrics;
mod presence;
mod renderer;
mod rules;
mod template;

pub use device::{Conflict, Device, DeviceError, Events};
pub use host::{Host, HostError, Keeping, Wanted};
pub use kube_dns::{KubeDns, KubeDnsError};
pub use local::{LocalAddresses, LocalError};
pub use metrics::{SetupErrors, intercepted};
pub use presence::Presence;
pub use renderer::{Check, Look, Renderer, Sources};
pub use rules::{Backend, Ports};
pub use template::{Pillars, TemplateError, render};
