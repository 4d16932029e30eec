use std::{
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use super::{Hosts, source::HostsFile, table::address_of};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza},
    wire::Name,
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
            config.property(line).map_err(|error| match address_of(&line.word.text) {
                None => error.within(&line.word.text),
                Some(_) => error,
            })?;
        }
        let unsupported = instance.lines.iter().find(|line| line.word.text == "fallthrough_unsupported");
        if let Some(line) = unsupported.filter(|_| config.fallthrough.is_empty()) {
            return Err(line.error("needs `fallthrough` in the same block").within("fallthrough_unsupported"));
        }
        Ok(config)
    }

    /// A line of the Corefile that is one of a hosts file.
    fn inline(&mut self, line: &Line) -> Result<(), Error> {
        line.args().require("a name")?;
        line.no_block()?;
        self.inline.push_str(&line.word.text);
        for word in &line.args {
            Name::parse(&word.text).map_err(|error| word.error(error.to_string()))?;
            self.inline.push(' ');
            self.inline.push_str(&word.text);
        }
        self.inline.push('\n');
        Ok(())
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        match line.word.text.as_str() {
            "ttl" => self.ttl = line.args().one("seconds")?.integer("seconds", 1..=65_535)? as u32,
            "no_reverse" => {
                line.no_args()?;
                self.reverse = false;
            }
            "reload" => self.reload = line.args().one("a duration")?.duration()?,
            "fallthrough" => self.fallthrough = ZoneSet::read(&line.args().fallthrough()?, &line.word)?,
            "fallthrough_unsupported" => {
                line.no_args()?;
                self.fallthrough_unsupported = true;
            }
            // CoreDNS takes any other word for the start of a hosts line, and passes over it in silence if it is none.
            text if address_of(text).is_some() => self.inline(line)?,
            _ => return Err(line.unknown(&PROPERTIES)),
        }
        Ok(())
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers("answers from a hosts file", self.zones.clone(), self.fallthrough.clone())
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self { file, zones, inline, ttl, reverse, reload, fallthrough, fallthrough_unsupported } = *self;
        let (file, table) = (block.path(&file), Arc::new(RwLock::default()));
        let source = HostsFile::new(file, inline, zones.clone(), reverse, Arc::clone(&table), block.registry());
        let seen = source.read();
        if !reload.is_zero() {
            block.task(source.follow(reload, seen));
        }
        block.link(Hosts { zones, table, ttl, fallthrough, fallthrough_unsupported });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Config, String> {
        let stanza = corefile::stanza(text);
        let keys = Keys { zones: vec!["example.org.".to_owned()] };
        Config::read(&stanza, &keys).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn file_zones_and_properties() {
        let plain = read("hosts").unwrap();
        assert_eq!((plain.file, plain.zones.iter().count(), plain.ttl), (PathBuf::from("/etc/hosts"), 1, 3600));
        assert!(plain.reverse && plain.fallthrough.is_empty());
        let full = read("hosts /a example.net 10.0.0.0/8 {\nttl 60\nno_reverse\nreload 0s\nfallthrough\n}").unwrap();
        assert_eq!((full.file, full.zones.iter().count(), full.ttl), (PathBuf::from("/a"), 2, 60));
        assert_eq!((full.reverse, full.reload), (false, Duration::ZERO));
        assert!(full.fallthrough.contains(&Name::parse("a.b").unwrap()));
        let inline = read("hosts {\n192.0.2.1 a.example.org b.example.org\nfallthrough\nfe80::1%eth0 c.example.org\n}");
        assert_eq!(inline.unwrap().inline, "192.0.2.1 a.example.org b.example.org\nfe80::1%eth0 c.example.org\n");
    }

    #[test]
    fn what_is_neither_property_nor_hosts_line_is_an_error() {
        for (line, message) in [
            (
                "fallthru",
                "unknown property `fallthru`; expected one of: ttl, no_reverse, reload, fallthrough, fallthrough_unsupported",
            ),
            (
                "192.0.2.256 a.example.org",
                "unknown property `192.0.2.256`; expected one of: ttl, no_reverse, reload, fallthrough, fallthrough_unsupported",
            ),
            ("192.0.2.1", "expected a name"),
            ("192.0.2.1 a..b", "empty label in a domain name"),
            ("ttl 0", "ttl: seconds: expected a number between 1 and 65535, found `0`"),
            ("reload -1s", "reload: a duration cannot be negative, found `-1s`"),
            ("fallthrough_unsupported", "fallthrough_unsupported: needs `fallthrough` in the same block"),
        ] {
            assert_eq!(read(&format!("hosts {{\n{line}\n}}")).err().as_deref(), Some(message), "{line}");
        }
    }
}
