#![doc = include_str!("README.md")]

use crate::{
    chain::{Again, Block, Build, BuildError, Context, Directive, Keys, Plugin, Rest, Role, Sent, Step},
    corefile::{Errors, Stanza},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "bufsize", parse };

/// The largest UDP message that a client may ask for, octets. 1232 fits into the least packet that IPv6 guarantees
/// (RFC 9715 section 3).
struct BufferSize(u16);

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(BufferSize(read(stanza)?)))
}

fn read(stanza: &Stanza) -> Result<u16, crate::corefile::Error> {
    let instance = stanza.once()?;
    instance.no_block()?;
    let mut args = instance.args();
    let size = if args.peek().is_some() { args.integer("octets", 512..=4096)? } else { 1232 };
    args.finish()?;
    Ok(size as u16)
}

impl Build for BufferSize {
    fn role(&self) -> Role {
        Role::passes("bounds the size of answers over UDP")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.link(*self);
        Ok(())
    }
}

impl Plugin for BufferSize {
    fn name(&self) -> &'static str {
        "bufsize"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        if let Some(edns) = &mut cx.query.edns {
            edns.udp_size = edns.udp_size.min(self.0);
        }
        Step::Next
    }
}
