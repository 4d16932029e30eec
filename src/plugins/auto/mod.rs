#![doc = include_str!("README.md")]

mod config;
mod directory;

use std::sync::{Arc, PoisonError, RwLock};

use crate::{
    authority::{Zones, answer},
    chain::{Context, Directive, Plugin, Rest, Server, Step, ZoneSet},
    wire::{Rcode, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "auto", parse: config::parse };

struct Auto {
    /// Those of the directory, as it is now.
    zones: Arc<RwLock<Arc<Zones>>>,
    server: Server,
}

impl Plugin for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        let zones = Arc::clone(&self.zones.read().unwrap_or_else(PoisonError::into_inner));
        match zones.find(&cx.question().name) {
            Some(cell) => answer(cx, cell, &ZoneSet::default(), &self.server),
            None if rest.is_empty() => Response::new(Rcode::REFUSED).into(),
            None => Step::Next,
        }
    }
}
