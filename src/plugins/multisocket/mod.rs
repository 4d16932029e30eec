#![doc = include_str!("README.md")]

use crate::{
    chain::{Block, Build, BuildError, Directive, Keys, Role},
    corefile::{Errors, Stanza},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "multisocket", parse };

struct Multisocket;

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    let instance = stanza.once()?;
    instance.no_block()?;
    let mut args = instance.args();
    if args.peek().is_some() {
        args.integer("sockets", 1..=1024)?;
    }
    args.finish()?;
    Ok(Box::new(Multisocket))
}

impl Build for Multisocket {
    fn role(&self) -> Role {
        Role::sets("changes nothing: each core has its own sockets anyway")
    }

    fn build(self: Box<Self>, _: &mut Block<'_>) -> Result<(), BuildError> {
        Ok(())
    }
}
