use std::net::IpAddr;

use super::{Dns64, prefix::Prefix};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Error, Errors, Line, Stanza, Token},
};

/// The `dns64` directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Config {
    prefix: Prefix,
    translate_all: bool,
    allow_ipv4: bool,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    /// What is said last holds.
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let mut config = Self { prefix: Prefix::WELL_KNOWN, translate_all: false, allow_ipv4: false };
        for instance in &stanza.instances {
            let mut args = instance.args();
            if let Some(word) = args.next() {
                config.prefix = prefix(word)?;
            }
            args.finish()?;
            for line in &instance.lines {
                config.property(line).map_err(|error| error.within(&line.word.text))?;
            }
        }
        Ok(config)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        match line.word.text.as_str() {
            "prefix" => self.prefix = prefix(line.args().one("a prefix")?)?,
            "translate_all" => {
                line.no_args()?;
                self.translate_all = true;
            }
            "allow_ipv4" => {
                line.no_args()?;
                self.allow_ipv4 = true;
            }
            _ => return Err(line.unknown(&["prefix", "translate_all", "allow_ipv4"])),
        }
        Ok(())
    }
}

fn prefix(word: &Token) -> Result<Prefix, Error> {
    let Ok((IpAddr::V6(address), length)) = word.cidr() else {
        return Err(word.error(format!("expected an IPv6 prefix such as `64:ff9b::/96`, found `{}`", word.text)));
    };
    let lengths = "the length of a prefix is 32, 40, 48, 56, 64 or 96 (RFC 6052)";
    Prefix::new(address, length).ok_or_else(|| word.error(lengths))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("makes IPv6 addresses of IPv4 addresses where there are none")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self { prefix, translate_all, allow_ipv4 } = *self;
        let help = "Questions for IPv6 addresses for which IPv4 addresses were asked.";
        let family = block.registry().counter("coredns_dns64_requests_translated_total", help, &["server"]);
        let translated = block.servers().iter().map(|server| family.with_label_values(&[server])).collect();
        block.link(Dns64 { prefix, translate_all, allow_ipv4, translated });
        Ok(())
    }
}
