//! What the node cache does to its host: the Corefile, the device, the packet rules.
//!
//! ```text
//!   local.rs        the addresses to listen on
//!   template.rs     base Corefile + kube_dns.rs (the ConfigMap) → Corefile
//!     outage.rs     what the Corefile says for the time when the cluster's DNS is away
//!     names.rs      servers that the ConfigMap names
//!     renderer.rs   follows both files; the last good one goes on
//!   host.rs         prepare, keep, leave
//!     device/       the device that holds the addresses
//!     rules.rs      the packet rules, one table
//!     switch.rs     who holds them
//!       nft/        held in nftables, in a table that goes with the process
//!       iptables.rs held by the iptables programs
//!     fallback.rs   the table that stays: who answers when no node cache does
//!       endpoints.rs   who that is
//!     selftest.rs   do queries to the local addresses come here?
//!     presence.rs   is this the only instance?
//! ```

mod ask;
mod config_map;
mod device;
mod endpoints;
mod fallback;
mod host;
mod iptables;
mod kube_dns;
mod local;
mod metrics;
mod names;
mod nft;
mod outage;
mod presence;
mod renderer;
mod rules;
mod selftest;
mod switch;
mod template;

pub use ask::ask;
pub use device::{Conflict, Device, DeviceError, Events};
pub use endpoints::Endpoints;
pub use host::{Host, HostError, Keeping, Wanted};
pub use iptables::IptablesError;
pub use kube_dns::{KubeDns, KubeDnsError};
pub use local::{LocalAddresses, LocalError};
pub use metrics::SetupErrors;
pub use nft::{Changes, NftError};
pub use renderer::{Check, Look, Renderer, Sources};
pub use rules::{Backend, Ports};
pub use selftest::{SelfTestError, bound};
pub use switch::RulesError;
pub use template::{Pillars, TemplateError, render};
