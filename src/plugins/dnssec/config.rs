use std::{path::PathBuf, sync::Arc};

use super::{Dnssec, metrics::Metrics, signer::Signer};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza},
    dnssec::{SigningKey, read_key},
};

const PROPERTIES: [&str; 2] = ["key", "cache_capacity"];

/// Signatures that are kept unless another number is said.
const CAPACITY: usize = 10_000;
/// More would be gigabytes.
const MOST: i64 = 10_000_000;

#[derive(Debug, PartialEq, Eq)]
struct Config {
    zones: ZoneSet,
    keys: Vec<PathBuf>,
    capacity: usize,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let zones = ZoneSet::read(&instance.args().zones_or(&keys.zones)?, &instance.name)?;
        let mut config = Self { zones, keys: Vec::new(), capacity: CAPACITY };
        for line in &instance.lines {
            let within = |error: Error| error.within(&line.word.text);
            match line.word.text.as_str() {
                "key" => config.keys.extend(key_files(line).map_err(within)?),
                "cache_capacity" => {
                    let mut args = line.args();
                    let range = 1..=MOST;
                    config.capacity = args.integer("cache_capacity", range)? as usize;
                    args.finish().map_err(within)?;
                }
                _ => return Err(line.unknown(&PROPERTIES)),
            }
        }
        if config.keys.is_empty() {
            return Err(instance.error("needs `key file`: what to sign with"));
        }
        Ok(config)
    }
}

/// `key file KEY...`
fn key_files(line: &Line) -> Result<Vec<PathBuf>, Error> {
    let mut args = line.args();
    let kind = args.require("`file`")?;
    match kind.text.as_str() {
        "file" => {}
        "aws_secretsmanager" => {
            return Err(kind.error(
                "AWS Secrets Manager is not asked; mount the secret as files (with the Secrets Store CSI driver, say) and name \
                 them with `key file`",
            ));
        }
        _ => return Err(kind.unknown("kind of key", &["file"])),
    }
    let mut files = vec![PathBuf::from(&args.require("the name of a key file")?.text)];
    while let Some(word) = args.next() {
        files.push(PathBuf::from(&word.text));
    }
    args.finish()?;
    Ok(files)
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("signs answers for those who want signatures")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let mut keys = Vec::new();
        for file in &self.keys {
            keys.push(read_key(&block.path(file)).map_err(|error| error.to_string())?);
        }
        if let Some(stray) = keys.iter().find(|key| !may_sign(key, &self.zones)) {
            let text = format!(
                "key {} (tag {}) can sign none of the zones: it is made for another one",
                stray.owner(),
                stray.tag()
            );
            return Err(text.into());
        }
        let signer = Arc::new(Signer::new(self.zones, keys, self.capacity));
        let metrics = block.servers().iter().map(|server| Metrics::register(block.registry(), server, &signer));
        let metrics = metrics.collect();
        block.link(Dnssec { signer, metrics });
        Ok(())
    }
}

/// A key that is made for a zone may sign this and zones below it.
fn may_sign(key: &SigningKey, zones: &ZoneSet) -> bool {
    zones.iter().any(|zone| zone.is_within(key.owner()))
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
    fn keys_and_capacity() {
        let config = read("dnssec a.test {\nkey file Ka Kb\nkey file /c\ncache_capacity 20\n}").unwrap();
        assert_eq!(config.keys, ["Ka", "Kb", "/c"].map(PathBuf::from));
        assert_eq!(config.capacity, 20);
        assert_eq!(read("dnssec {\nkey file K\n}").unwrap().capacity, CAPACITY);
    }

    #[test]
    fn what_is_no_dnssec() {
        for (text, message) in [
            ("dnssec", "needs `key file`: what to sign with"),
            ("dnssec {\nkey\n}", "key: expected `file`"),
            ("dnssec {\nkey file\n}", "key: expected the name of a key file"),
            ("dnssec {\nkey directory x\n}", "key: unknown kind of key `directory`; expected one of: file"),
            (
                "dnssec {\nkey aws_secretsmanager x\n}",
                "key: AWS Secrets Manager is not asked; mount the secret as files (with the Secrets Store CSI driver, say) and \
                 name them with `key file`",
            ),
            (
                "dnssec {\nkey file K\ncache_capacity 0\n}",
                "cache_capacity: expected a number between 1 and 10000000, found `0`",
            ),
            ("dnssec {\nnsec3\n}", "unknown property `nsec3`; expected one of: key, cache_capacity"),
        ] {
            assert_eq!(read(text).expect_err(text), message, "{text}");
        }
    }
}
