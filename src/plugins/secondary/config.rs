use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use super::{Secondary, copy::Copy};
use crate::{
    authority::{ZoneCell, Zones},
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Instance, Line, Stanza},
    tsig::{Algorithm, Identity, Keyring},
    wire::Name,
};

const PROPERTIES: [&str; 4] = ["transfer", "tsig", "fallthrough", "upstream"];

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// All `secondary` stanzas of a server block.
#[derive(Debug, Default)]
struct Config {
    copies: Vec<(Name, Primaries)>,
    fallthrough: Vec<String>,
}

/// Where a zone comes from, and the key that it is asked for with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Primaries {
    addresses: Vec<SocketAddr>,
    key: Option<(Name, Algorithm)>,
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
        let mut primaries = Primaries::default();
        for line in &instance.lines {
            let within = |error: Error| error.within(&line.word.text);
            match line.word.text.as_str() {
                "transfer" => primaries.addresses.extend(from(line).map_err(within)?),
                "tsig" => primaries.key = Some(key(line).map_err(within)?),
                "fallthrough" => self.fallthrough.extend(line.args().fallthrough().map_err(within)?),
                // Once told who to ask for aliases; the server itself is asked.
                "upstream" => line.no_block().map_err(within)?,
                "catalog" => return Err(line.error("catalog zones (RFC 9432) are not built into seamark")),
                _ => return Err(line.unknown(&PROPERTIES)),
            }
        }
        if primaries.addresses.is_empty() {
            return Err(instance.error("needs `transfer from`: where the zones come from"));
        }
        self.copies.extend(zones.iter().map(|zone| (*zone, primaries.clone())));
        Ok(())
    }
}

/// `tsig KEY [ALGORITHM]`.
fn key(line: &Line) -> Result<(Name, Algorithm), Error> {
    let mut args = line.args();
    let word = args.require("the name of a key")?;
    let name = Name::parse(&word.text).map_err(|error| word.error(format!("`{}`: {error}", word.text)))?;
    let algorithm = match args.next() {
        None => Algorithm::Sha256,
        Some(word) => {
            let found = Name::parse(&word.text).ok().and_then(|name| Algorithm::of(&name));
            found
                .ok_or_else(|| word.unknown("algorithm", &["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"]))?
        }
    };
    args.finish()?;
    Ok((name, algorithm))
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
        let keyring = block.offered::<Keyring>();
        for (zone, Primaries { addresses: primaries, key }) in self.copies {
            // `tsig` stands higher in the order of directives, and so is built already.
            let identity = match key {
                None => None,
                Some((name, algorithm)) => {
                    let found = keyring.taken().and_then(|keyring| Identity::new(keyring, name, algorithm));
                    Some(found.ok_or_else(|| format!("no `tsig` of this server block has a secret for key {name}"))?)
                }
            };
            let cell = Arc::new(ZoneCell::new(zone, block.sources()));
            zones.add(Arc::clone(&cell));
            let copy = Copy { cell, primaries, identity, news: Arc::default() };
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
        let stanza = corefile::stanza(text);
        let keys = Keys { zones: vec!["example.org.".to_owned()] };
        let mut config = Config::default();
        let read = config.read(&stanza.instances[0], &keys);
        read.map(|()| config).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn zones_and_primaries() {
        let config = read("secondary a.test b.test {\ntransfer from 192.0.2.1 [::1]:5353\nfallthrough\n}").unwrap();
        let primaries = vec!["192.0.2.1:53".parse().unwrap(), "[::1]:5353".parse().unwrap()];
        assert_eq!(config.copies.len(), 2);
        assert!(config.copies.iter().all(|(_, known)| known.addresses == primaries && known.key.is_none()));
        assert_eq!(config.fallthrough, ["."]);
        let signed = read("secondary {\ntransfer from 192.0.2.1\ntsig key.test hmac-sha512\n}").unwrap();
        assert_eq!(signed.copies[0].1.key, Some((Name::parse("key.test.").unwrap(), Algorithm::Sha512)));
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
            ("secondary {\ntransfer from ::1\ntsig\n}", "tsig: expected the name of a key"),
            (
                "secondary {\ntransfer from ::1\ntsig k hmac-sha25\n}",
                "tsig: unknown algorithm `hmac-sha25`; did you mean `hmac-sha256`?",
            ),
            ("secondary {\ncatalog\n}", "catalog zones (RFC 9432) are not built into seamark"),
        ] {
            assert_eq!(read(text).err().as_deref(), Some(message), "{text}");
        }
    }
}
