#![doc = include_str!("README.md")]

mod config;

use crate::{
    chain::{Again, Context, Directive, Plugin, Rest, Sent, Step},
    wire::{Flags, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "header", parse: config::parse };

struct Header {
    query: Change,
    response: Change,
}

/// Bits of a header's flags that are set and cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Change {
    set: u16,
    clear: u16,
}

impl Change {
    const fn of(self, flags: Flags) -> Flags {
        Flags(flags.0 & !self.clear | self.set)
    }

    const fn bit(self, bit: u16, now: bool) -> bool {
        self.set & bit != 0 || now && self.clear & bit == 0
    }
}

impl Plugin for Header {
    fn name(&self) -> &'static str {
        "header"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        cx.query.flags = self.query.of(cx.query.flags);
        Step::Next
    }

    fn response(&self, cx: &mut Context, response: &mut Response) {
        response.authoritative = self.response.bit(Flags::AA, response.authoritative);
        response.recursion_available = self.response.bit(Flags::RA, response.recursion_available);
        // RD of an answer is the query's.
        cx.query.flags =
            Change { set: self.response.set & Flags::RD, clear: self.response.clear & Flags::RD }.of(cx.query.flags);
    }
}
