#![doc = include_str!("README.md")]

mod config;

use crate::{
    authority::{Zones, answer},
    chain::{Context, Directive, Plugin, Rest, Server, Step, ZoneSet},
    wire::{Rcode, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "file", parse: config::parse };

struct File {
    zones: Zones,
    fallthrough: ZoneSet,
    server: Server,
}

impl Plugin for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        match self.zones.find(&cx.question().name) {
            Some(cell) => answer(cx, cell, &self.fallthrough, &self.server),
            // Nobody here knows the zone.
            None if rest.is_empty() => Response::new(Rcode::REFUSED).into(),
            None => Step::Next,
        }
    }
}
