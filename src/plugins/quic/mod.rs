#![doc = include_str!("README.md")]

use crate::{
    chain::{Block, Build, BuildError, Directive, Keys, Role, StreamLimits},
    corefile::{Errors, Scheme, Stanza},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "quic", parse };

/// The properties with the least that each takes.
const PROPERTIES: &[(&str, u32)] = &[("max_connections", 0), ("max_streams", 1), ("worker_pool_size", 1)];

struct Quic(StreamLimits);

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Quic(StreamLimits::read(stanza, PROPERTIES)?)))
}

impl Build for Quic {
    fn role(&self) -> Role {
        Role::sets("bounds what clients over QUIC may take")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.parts().streams.push((Scheme::Quic, self.0));
        Ok(())
    }
}
