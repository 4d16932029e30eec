#![doc = include_str!("README.md")]

use std::path::PathBuf;

use crate::{
    chain::{Block, Build, BuildError, Directive, Keys, Role},
    corefile::{Errors, Stanza},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "root", parse };

struct Root(PathBuf);

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    let instance = stanza.once()?;
    instance.no_block()?;
    Ok(Box::new(Root(PathBuf::from(&instance.args().one("a directory")?.text))))
}

impl Build for Root {
    fn role(&self) -> Role {
        Role::sets("says where files are")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        if !self.0.exists() {
            tracing::warn!(target: "plugin/root", "Root path does not exist: {}", self.0.display());
        }
        block.set_root(self.0);
        Ok(())
    }
}
