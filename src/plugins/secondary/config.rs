use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use super::{Secondary, copy::Copy};
use crate::{
    authority::{ZoneCell, Zones},
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Instance, Line, Stanza},
    wire::Name,
};

const PROPERTIES: [&str; 3] = ["transfer", "fallthrough", "upstream"];

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// All `secondary` stanzas of a server block.
#[derive(Debug, Default)]
struct Config {
    copies: Vec<(Name, Vec<SocketAddr>)>,
    fallthrough: Vec<String>,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    let mut config = Config::default();
    for instance in &stanza.instances {
        config.read(instance, keys)?;
    }
    Ok(Box::new(config))
}

impl Config {
    fn read(&mut self, instance: &Instance, keys: &Keys) -> Result<(), Error> {
        let zones = ZoneSet::read(&instance.args().zones_or(&keys.zones)?, &instance.name)?;
        let mut primaries = Vec::new();
        for line in &instance.lines {
            let within = |error: Error| error.within(&line.word.text);
            match line.word.text.as_str() {
                "transfer" => primaries.extend(from(line).map_err(within)?),
                "fallthrough" => self.fallthrough.extend(line.args().fallthrough().map_err(within)?),
                // Once told who to ask for aliases; the server itself is asked.
                "upstream" => line.no_block().map_err(within)?,
                "catalog" => return Err(line.error("catalog zones (RFC 9432) are not built into seamark")),
                _ => return Err(line.unknown(&PROPERTIES)),
            }
        }
        if primaries.is_empty() {
            return Err(instance.error("needs `transfer from`: where the zones come from"));
        }
        self.copies.extend(zones.iter().map(|zone| (*zone, primaries.clone())));
        Ok(())
    }
}

/// `transfer from ADDRESS...`.
fn from(line: &Line) -> Result<Vec<SocketAddr>, Error> {
    let mut args = line.args();
    let word = args.require("`from`")?;
    if word.text != "from" {
        return Err(word.unknown("word", &["from"]));
    }
    let mut primaries = vec![args.require("the address of a primary")?.socket_address(DNS_PORT)?];
    while let Some(word) = args.next() {
        primaries.push(word.socket_address(DNS_PORT)?);
    }
    args.finish()?;
    Ok(primaries)
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers(
            "answers from copies of zones",
            self.copies.iter().map(|(zone, _)| *zone).collect(),
            ZoneSet::parse(&self.fallthrough).unwrap_or_default(),
        )
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let mut zones = Zones::default();
        let mut heard = HashMap::new();
        for (zone, primaries) in self.copies {
            let cell = Arc::new(ZoneCell::new(zone, block.sources()));
            zones.add(Arc::clone(&cell));
            let copy = Copy { cell, primaries, news: Arc::default() };
            let addresses = copy.primaries.iter().map(|primary| primary.ip().to_canonical()).collect();
            heard.insert(zone, (addresses, Arc::clone(&copy.news)));
            block.task(copy.keep());
        }
        let fallthrough = ZoneSet::parse(&self.fallthrough).map_err(|error| error.to_string())?;
        block.sources().add(zones.clone());
        block.link(Secondary { zones, primaries: heard, fallthrough, server: block.server() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Config, String> {
        let text = format!("example.org {{\n{text}\n}}\n");
        let file = corefile::parse("Corefile", &text, std::path::Path::new(""), &|_| None).unwrap();
        let keys = Keys { zones: vec!["example.org.".to_owned()] };
        let mut config = Config::default();
        let read = config.read(&file.blocks[0].stanzas[0].instances[0], &keys);
        read.map(|()| config).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn zones_and_primaries() {
        let config = read("secondary a.test b.test {\ntransfer from 192.0.2.1 [::1]:5353\nfallthrough\n}").unwrap();
        let primaries = vec!["192.0.2.1:53".parse().unwrap(), "[::1]:5353".parse().unwrap()];
        assert_eq!(config.copies.len(), 2);
        assert!(config.copies.iter().all(|(_, known)| *known == primaries));
        assert_eq!(config.fallthrough, ["."]);
    }

    #[test]
    fn what_is_no_secondary() {
        for (text, message) in [
            ("secondary", "needs `transfer from`: where the zones come from"),
            ("secondary {\ntransfer\n}", "transfer: expected `from`"),
            ("secondary {\ntransfer to 192.0.2.1\n}", "transfer: unknown word `to`; expected one of: from"),
            ("secondary {\ntransfer from\n}", "transfer: expected the address of a primary"),
            (
                "secondary {\ntransfer from example.org\n}",
                "transfer: expected an IP address with or without a port, found `example.org`",
            ),
            ("secondary {\ncatalog\n}", "catalog zones (RFC 9432) are not built into seamark"),
        ] {
            assert_eq!(read(text).err().as_deref(), Some(message), "{text}");
        }
    }
}
