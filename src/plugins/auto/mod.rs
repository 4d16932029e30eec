#![doc = include_str!("README.md")]

mod config;
mod directory;

use crate::{
    authority::answer,
    chain::{Context, Directive, Plugin, Rest, Server, Step, ZoneSet},
};
use directory::Current;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "auto", parse: config::parse };

struct Auto {
    /// Those of the directory, as it is now.
    zones: Current,
    server: Server,
}

impl Plugin for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        match self.zones.zones().find(&cx.question().name) {
            Some(cell) => answer(cx, cell, &ZoneSet::default(), &self.server),
            None => Step::Next,
        }
    }
}
