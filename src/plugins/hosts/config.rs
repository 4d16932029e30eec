use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use super::{Hosts, source::HostsFile};
use crate::{
    chain::{Block, Build, BuildError, Keys, ZoneSet},
    corefile::{Error, Errors, Line, Stanza},
};

const PROPERTIES: [&str; 5] = ["ttl", "no_reverse", "reload", "fallthrough", "fallthrough_unsupported"];

/// The `hosts` directive.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) file: PathBuf,
    pub(super) zones: ZoneSet,
    pub(super) inline: String,
    pub(super) ttl: u32,
    pub(super) reverse: bool,
    pub(super) reload: Duration,
    pub(super) fallthrough: ZoneSet,
    pub(super) fallthrough_unsupported: bool,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let mut args = instance.args();
        let file = args.next().map_or_else(|| PathBuf::from("/etc/hosts"), |word| PathBuf::from(&word.text));
        let zones = args.zones_or(&keys.zones)?;
        let mut config = Self {
            file,
            zones: ZoneSet::read(&zones, &instance.name)?,
            inline: String::new(),
            ttl: 3600,
            reverse: true,
            reload: Duration::from_secs(5),
            fallthrough: ZoneSet::default(),
            fallthrough_unsupported: false,
        };
        for line in &instance.lines {
            config.property(line)?;
        }
        Ok(config)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        let within = |error: Error| error.within(&line.word.text);
        match line.word.text.as_str() {
            "ttl" => self.ttl = line.args().one("seconds")?.integer("seconds", 1..=65_535).map_err(within)? as u32,
            "no_reverse" => {
                line.no_args().map_err(within)?;
                self.reverse = false;
            }
            "reload" => self.reload = line.args().one("a duration")?.duration().map_err(within)?,
            "fallthrough" => self.fallthrough = ZoneSet::read(&line.args().fallthrough()?, &line.word)?,
            "fallthrough_unsupported" => {
                line.no_args().map_err(within)?;
                self.fallthrough_unsupported = true;
            }
            // CoreDNS takes any other word for the start of a hosts line, and passes over it in silence if it is none.
            text if text.split('%').next().is_some_and(|text| text.parse::<IpAddr>().is_ok()) => {
                line.args().require("a name")?;
                self.inline.push_str(text);
                line.args.iter().for_each(|name| {
                    self.inline.push(' ');
                    self.inline.push_str(&name.text);
                });
                self.inline.push('\n');
            }
            _ => return Err(line.unknown(&PROPERTIES)),
        }
        Ok(())
    }
}

impl Build for Config {
    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self { file, zones, inline, ttl, reverse, reload, fallthrough, fallthrough_unsupported } = *self;
        let table = Arc::new(RwLock::default());
        let source = HostsFile::new(file, inline, zones.clone(), reverse, Arc::clone(&table), block.registry());
        let seen = source.read();
        if !reload.is_zero() {
            block.task(source.follow(reload, seen));
        }
        block.link(Hosts { zones, table, ttl, fallthrough, fallthrough_unsupported });
        Ok(())
    }
}
