#![doc = include_str!("README.md")]

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    chain::{Again, Block, Build, BuildError, Context, Directive, Keys, Plugin, Role, Sent, Waiting},
    corefile::{Error, Errors, Stanza},
    wire::{Failure, Rcode, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "cancel", parse };

/// How long a query may wait, unless it is said.
const PATIENCE: Duration = Duration::from_millis(5001);

struct Cancel(Duration);

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Cancel(read(stanza)?)))
}

fn read(stanza: &Stanza) -> Result<Duration, Error> {
    let instance = stanza.once()?;
    instance.no_block()?;
    let mut args = instance.args();
    let Some(word) = args.next() else { return Ok(PATIENCE) };
    args.finish()?;
    let patience = word.duration()?;
    if patience.is_zero() {
        return Err(word.error("the time must be longer than zero"));
    }
    Ok(patience)
}

impl Build for Cancel {
    fn role(&self) -> Role {
        Role::passes("bounds the wait for those below")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.link(*self);
        Ok(())
    }
}

impl Plugin for Cancel {
    fn name(&self) -> &'static str {
        "cancel"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }

    fn waiting(&self, _: &Context, answer: Waiting<Response>) -> Waiting<Response> {
        let patience = self.0;
        Box::pin(async move {
            timeout(patience, answer).await.unwrap_or_else(|_| {
                let text = format!("no answer within {patience:?}, as `cancel` demands");
                Response::failure(Rcode::SERVFAIL, Failure::Server(text.into()))
            })
        })
    }
}
