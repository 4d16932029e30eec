use std::time::Duration;

use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Error, Errors, Stanza},
};

/// The `reload` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) interval: Duration,
    pub(super) jitter: Duration,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza) -> Result<Self, Error> {
        let mut config = Self { interval: Duration::from_secs(30), jitter: Duration::from_secs(15) };
        // CoreDNS reads the first instance only.
        let Some(instance) = stanza.instances.first() else { return Ok(config) };
        instance.no_block()?;
        let mut args = instance.args();
        if let Some(word) = args.next() {
            config.interval = word.duration()?;
            if config.interval < Duration::from_secs(2) {
                return Err(word.error("the interval must be at least 2s"));
            }
        }
        if let Some(word) = args.next() {
            config.jitter = word.duration()?;
            if !config.jitter.is_zero() && config.jitter < Duration::from_secs(1) {
                return Err(word.error("the jitter must be 0 or at least 1s"));
            }
        }
        args.finish()?;
        config.jitter = config.jitter.min(config.interval / 2);
        Ok(config)
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::sets("reads this file again when it changes")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.parts().reload = Some((self.interval, self.jitter));
        Ok(())
    }
}
