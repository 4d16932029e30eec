use std::net::IpAddr;

use crate::{
    chain::{Block, Build, BuildError, Keys},
    corefile::{Error, Errors, Stanza},
};

/// The `loadbalance` directive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Config {
    pub(super) prefer: Vec<(IpAddr, u8)>,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza) -> Result<Self, Error> {
        let mut config = Self::default();
        for instance in &stanza.instances {
            let mut args = instance.args();
            match args.next() {
                None => {}
                Some(word) if word.text == "round_robin" => {}
                Some(word) if word.text == "weighted" => {
                    return Err(word.error("`weighted` is not built into seamark yet"));
                }
                Some(word) => return Err(word.unknown("policy", &["round_robin", "weighted"])),
            }
            args.finish()?;
            for line in &instance.lines {
                if line.word.text != "prefer" {
                    return Err(line.unknown(&["prefer"]));
                }
                line.args().require("a network")?;
                for word in &line.args {
                    config.prefer.push(word.cidr()?);
                }
            }
        }
        Ok(config)
    }
}

impl Build for Config {
    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.link(super::LoadBalance { prefer: self.prefer });
        Ok(())
    }
}
