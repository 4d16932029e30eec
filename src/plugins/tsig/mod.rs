#![doc = include_str!("README.md")]

mod config;
#[cfg(test)]
mod tests;

use crate::{
    chain::{Again, Context, Directive, Plugin, Rest, Sent, Step, ZoneSet},
    tsig::{Keyring, Refusal, now},
    wire::{Opcode, Rcode, RecordType, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "tsig", parse: config::parse };

/// Of which some must be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Required<T> {
    All,
    These(Vec<T>),
}

impl<T: PartialEq> Required<T> {
    fn has(&self, one: T) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => these.contains(&one),
        }
    }
}

/// Verifies signed queries, and has their answers signed.
struct Tsig {
    zones: ZoneSet,
    keys: Keyring,
    types: Required<RecordType>,
    opcodes: Required<Opcode>,
}

impl Plugin for Tsig {
    fn name(&self) -> &'static str {
        "tsig"
    }

    fn again(&self, cx: &Context, _: &Sent<'_>) -> Again {
        // A signature has a time and is for one answer.
        if cx.query.signed.is_some() { Again::Never } else { Again::Always }
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let is_required = self.types.has(cx.question().record_type) || self.opcodes.has(cx.query.flags.opcode());
        if cx.query.signed.is_none() && !is_required || !self.zones.contains(&cx.question().name) {
            return Step::Next;
        }
        let Some(signed) = &cx.query.signed else {
            return Response::new(Rcode::REFUSED).into();
        };
        match self.keys.verify(signed, now()) {
            Ok(seal) => {
                cx.set_seal(seal);
                Step::Next
            }
            Err(Refusal::Malformed) => Response::new(Rcode::FORMERR).into(),
            Err(Refusal::NotAuthentic(seal)) => {
                tracing::debug!("plugin/tsig: {} signed with {} has error {}", cx.peer, signed.tsig.key, seal.error());
                cx.set_seal(seal);
                Response::new(Rcode::NOTAUTH).into()
            }
        }
    }
}
