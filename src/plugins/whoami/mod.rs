#![doc = include_str!("README.md")]

use crate::{
    chain::{Block, Build, BuildError, Context, Directive, Keys, Plugin, Rest, Role, Step, ZoneSet},
    corefile::{Errors, Stanza},
    wire::{Body, Name, NameRef, Prefix, RData, Rcode, Record, Records, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "whoami", parse };

struct Whoami;

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    for instance in &stanza.instances {
        instance.no_args()?;
        instance.no_block()?;
    }
    Ok(Box::new(Whoami))
}

impl Build for Whoami {
    fn role(&self) -> Role {
        Role::answers("answers who asked", ZoneSet::new(vec![Name::root()]), ZoneSet::default())
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.link(*self);
        Ok(())
    }
}

impl Plugin for Whoami {
    fn name(&self) -> &'static str {
        "whoami"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let protocol: &'static [u8] = if cx.transport.is_over_tcp() { b"\x04_tcp" } else { b"\x04_udp" };
        let class = cx.question().class;
        let record = |owner, data| Record { owner, class, ttl: 0, data };
        let port = RData::Srv { priority: 0, weight: 0, port: cx.peer.port(), target: NameRef::from(Name::root()) };
        let address = RData::address(cx.peer.ip().to_canonical());
        let additional = [record(NameRef::QUESTION, address), record(NameRef::Under(Prefix::Fixed(protocol), 0), port)];
        let mut response = Response::new(Rcode::NOERROR);
        response.authoritative = true;
        response.body = Body::Records(Records { additional: additional.into_iter().collect(), ..Records::default() });
        response.into()
    }
}
