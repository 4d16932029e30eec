#![doc = include_str!("README.md")]

use std::sync::Arc;

use crate::{
    chain::{Again, Block, Build, BuildError, Context, Directive, Keys, Plugin, Rest, Role, Sent, Step},
    corefile::{Errors, Stanza},
    wire::{Body, RData, Rcode, Record, RecordType, Records, Response, Section},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "any", parse };

/// Two character strings: CPU and OS (RFC 8482 section 4.2).
const DATA: &[u8] = b"\x0dANY obsoleted\x0cSee RFC 8482";
/// Seconds.
const TTL: u32 = 8482;

struct Any {
    data: Arc<[u8]>,
}

struct Config;

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    for instance in &stanza.instances {
        instance.no_args()?;
        instance.no_block()?;
    }
    Ok(Box::new(Config))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("answers questions for any type with as good as nothing")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.link(Any { data: DATA.into() });
        Ok(())
    }
}

impl Plugin for Any {
    fn name(&self) -> &'static str {
        "any"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        if cx.question().record_type != RecordType::ANY {
            return Step::Next;
        }
        let record = Record::of_question(TTL, RData::Other(RecordType::HINFO, Arc::clone(&self.data)));
        let records = Records { answer: Section::from_iter([record]), ..Records::default() };
        Response { body: Body::Records(records), ..Response::new(Rcode::NOERROR) }.into()
    }
}
