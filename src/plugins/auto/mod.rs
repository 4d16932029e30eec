#![doc = include_str!("README.md")]

mod config;
mod directory;

use crate::{
    authority::answer,
    chain::{Context, Directive, Plugin, Rest, Server, Step, ZoneSet},
    wire::{Rcode, Response},
};
use directory::Current;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "auto", parse: config::parse };

struct Auto {
    /// Those of the directory, as it is now.
    zones: Current,
    /// Zones within which files may make some.
    allowed: ZoneSet,
    server: Server,
}

impl Plugin for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        match self.zones.zones().find(&cx.question().name) {
            Some(cell) => answer(cx, cell, &ZoneSet::default(), &self.server),
            // A zone that might have been ours, and nobody else's.
            None if rest.is_empty() && self.allowed.contains(&cx.question().name) => {
                Response::new(Rcode::REFUSED).into()
            }
            None => Step::Next,
        }
    }
}
