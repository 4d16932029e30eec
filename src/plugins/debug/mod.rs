#![doc = include_str!("README.md")]

use crate::{
    chain::{Block, Build, BuildError, Directive, Keys, Role},
    corefile::{Errors, Stanza},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "debug", parse };

struct Debug;

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    for instance in &stanza.instances {
        instance.no_args()?;
        instance.no_block()?;
    }
    Ok(Box::new(Debug))
}

impl Build for Debug {
    fn role(&self) -> Role {
        Role::sets("lets a panic end the process")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.parts().debug = true;
        Ok(())
    }
}
