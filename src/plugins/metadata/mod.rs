#![doc = include_str!("README.md")]

use crate::{
    chain::{Again, Block, Build, BuildError, Context, Directive, Keys, Plugin, Role, Sent, ZoneSet},
    corefile::{Errors, Stanza},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "metadata", parse };

/// Does nothing on a query's way: it stands in the chain so that it is listed there.
struct Metadata;

struct Config {
    zones: ZoneSet,
}

fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    let instance = stanza.once()?;
    let zones = instance.args().zones_or(&keys.zones)?;
    instance.no_block()?;
    Ok(Box::new(Config { zones: ZoneSet::read(&zones, &instance.name)? }))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::sets("gives queries their labels")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.labels().enable(self.zones);
        block.link(Metadata);
        Ok(())
    }
}

impl Plugin for Metadata {
    fn name(&self) -> &'static str {
        "metadata"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }
}
