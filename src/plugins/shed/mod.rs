#![doc = include_str!("README.md")]

use crate::{
    chain::{self, Again, Block, Build, BuildError, Context, Directive, Keys, Plugin, Role, Sent},
    corefile::{Errors, Stanza},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "shed", parse };

/// Does nothing on a query's way: the sockets do it. It stands in the chain so that it is listed there.
struct Shed;

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    let instance = stanza.once()?;
    instance.no_args()?;
    instance.no_block()?;
    Ok(Box::new(Shed))
}

impl Build for Shed {
    fn role(&self) -> Role {
        Role::sets("lets go what a socket cannot send as fast as it comes")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let help = "Queries and answers over UDP that were let go because a socket could not send as fast.";
        let dropped = block.registry().counter("coredns_shed_dropped_total", help, &["server", "reason"]);
        let count = |server: &String| {
            let of = |reason: &str| dropped.with_label_values(&[server.as_str(), reason]);
            chain::Shed { queries: of("query"), responses: of("response") }
        };
        let counted = block.servers().iter().map(count).collect();
        block.parts().shed = counted;
        block.link(*self);
        Ok(())
    }
}

impl Plugin for Shed {
    fn name(&self) -> &'static str {
        "shed"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }
}
