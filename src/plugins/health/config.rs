use std::time::Duration;

use crate::{
    chain::{Block, Build, BuildError, HttpEndpoint, Keys, OnBindFailure, Role},
    corefile::{Error, Errors, Stanza},
    http::{Handler, Reply},
};

/// The `health` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) address: String,
    pub(super) lameduck: Duration,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza) -> Result<Self, Error> {
        let mut config = Self { address: ":8080".to_owned(), lameduck: Duration::ZERO };
        for instance in &stanza.instances {
            let mut args = instance.args();
            if let Some(word) = args.next() {
                word.listen_address(8080)?;
                config.address.clone_from(&word.text);
            }
            args.finish()?;
            for line in &instance.lines {
                if line.word.text != "lameduck" {
                    return Err(line.unknown(&["lameduck"]));
                }
                let mut args = line.args();
                config.lameduck = args.duration("lameduck")?;
                args.finish().map_err(|error| error.within("lameduck"))?;
            }
        }
        Ok(config)
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::sets("says over HTTP that the process lives")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.http(HttpEndpoint {
            address: self.address.clone(),
            path: "/health",
            handler: Handler::now(|| Reply::text(200, "OK")),
            on_bind_failure: OnBindFailure::Fatal,
            directive: "health",
        });
        block.parts().lameduck = Some(self.lameduck);
        let probe = super::SelfProbe::register(block.registry());
        block.task(probe.run(self.address));
        Ok(())
    }
}
