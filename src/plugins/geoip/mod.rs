#![doc = include_str!("README.md")]

mod config;
mod database;

use std::sync::Arc;

use crate::chain::{Again, Context, Directive, LabelSource, Plugin, Sent};
use database::Database;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "geoip", parse: config::parse };

/// Does nothing on a query's way: it stands in the chain so that it is listed there.
struct GeoIp;

/// Knows where clients are.
struct Places {
    database: Arc<Database>,
    /// The client is whoever the resolver asks for, if it says so.
    edns_subnet: bool,
}

impl Plugin for GeoIp {
    fn name(&self) -> &'static str {
        "geoip"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }
}

impl LabelSource for Places {
    fn label(&self, cx: &Context, name: &str) -> Option<String> {
        let label = name.strip_prefix("geoip/")?;
        let behind = || cx.query.edns.as_ref()?.client_subnet();
        let client = self.edns_subnet.then(behind).flatten().unwrap_or_else(|| cx.peer.ip());
        self.database.value(client.to_canonical(), label)
    }
}
