#![doc = include_str!("README.md")]

use std::sync::Arc;

use crate::{
    chain::{Again, Block, Build, BuildError, Context, Directive, Keys, Plugin, Role, Sent},
    corefile::{Error, Errors, Stanza},
    wire::{Edns, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "nsid", parse };

/// The longest identifier, octets: an answer must have room beside it.
const LONGEST: usize = 255;

/// What this server is called.
struct ServerId {
    id: Arc<[u8]>,
}

struct Config {
    /// None: the host's name.
    id: Option<String>,
}

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config { id: read(stanza)? }))
}

fn read(stanza: &Stanza) -> Result<Option<String>, Error> {
    let instance = stanza.once()?;
    instance.no_block()?;
    let words: Vec<&str> = instance.args.iter().map(|word| word.text.as_str()).collect();
    let id = words.join(" ");
    if id.len() > LONGEST {
        return Err(instance.args[0].error(format!("at most {LONGEST} octets, found {}", id.len())));
    }
    Ok((!id.is_empty()).then_some(id))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("marks answers with the name of this server")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let id = self.id.unwrap_or_else(|| block.host_name());
        block.link(ServerId { id: id.as_bytes().into() });
        Ok(())
    }
}

impl Plugin for ServerId {
    fn name(&self) -> &'static str {
        "nsid"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }

    fn response(&self, cx: &mut Context, response: &mut Response) {
        if cx.query.edns.as_ref().is_some_and(|edns| edns.option(Edns::NSID).is_some()) {
            response.server_id = Some(Arc::clone(&self.id));
        }
    }
}
