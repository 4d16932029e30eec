#![doc = include_str!("README.md")]

use crate::{
    chain::{Block, Build, BuildError, Directive, Keys, Role, StreamLimits},
    corefile::{Errors, Scheme, Stanza},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "https3", parse };

/// The properties with the least that each takes.
const PROPERTIES: &[(&str, u32)] = &[("max_connections", 0), ("max_streams", 0)];

struct Https3(StreamLimits);

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Https3(StreamLimits::read(stanza, PROPERTIES)?)))
}

impl Build for Https3 {
    fn role(&self) -> Role {
        Role::sets("bounds what clients over HTTP/3 may take")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.parts().streams.push((Scheme::Https3, self.0));
        Ok(())
    }
}
