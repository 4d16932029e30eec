use std::path::PathBuf;

use super::job::{Job, KeySource};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Instance, Line, Stanza},
    wire::Name,
};

const PROPERTIES: [&str; 2] = ["key", "directory"];

/// Where signed zones are put unless another place is said.
const DIRECTORY: &str = "/var/lib/coredns";

/// All `sign` stanzas of a server block.
#[derive(Debug)]
struct Config(Vec<Order>);

/// One of them.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    source: PathBuf,
    zones: Vec<Name>,
    keys: Vec<KeySource>,
    directory: PathBuf,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    let orders = stanza.instances.iter().map(|instance| Order::read(instance, keys)).collect::<Result<_, _>>()?;
    Ok(Box::new(Config(orders)))
}

impl Order {
    fn read(instance: &Instance, keys: &Keys) -> Result<Self, Error> {
        let mut args = instance.args();
        let source = PathBuf::from(&args.require("a zone file")?.text);
        let zones = ZoneSet::read(&args.zones_or(&keys.zones)?, &instance.name)?.iter().copied().collect();
        let mut order = Self { source, zones, keys: Vec::new(), directory: DIRECTORY.into() };
        for line in &instance.lines {
            let within = |error: Error| error.within(&line.word.text);
            match line.word.text.as_str() {
                "key" => order.keys.extend(key_sources(line).map_err(within)?),
                "directory" => {
                    order.directory = line.args().one("a directory").map_err(within)?.text.clone().into();
                }
                _ => return Err(line.unknown(&PROPERTIES)),
            }
        }
        if order.keys.is_empty() {
            return Err(instance.error("needs `key`: what to sign with"));
        }
        Ok(order)
    }
}

/// `key file KEY...`, or `key directory DIR...`.
fn key_sources(line: &Line) -> Result<Vec<KeySource>, Error> {
    let mut args = line.args();
    let kind = args.require("`file` or `directory`")?;
    let make: fn(PathBuf) -> KeySource = match kind.text.as_str() {
        "file" => KeySource::File,
        "directory" => KeySource::Directory,
        _ => return Err(kind.unknown("kind of key", &["file", "directory"])),
    };
    let mut sources = vec![make(args.require("where the key is")?.text.clone().into())];
    while let Some(word) = args.next() {
        sources.push(make(word.text.clone().into()));
    }
    args.finish()?;
    Ok(sources)
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::sets("signs zone files, which `file` serves")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        for Order { source, zones, keys, directory } in self.0 {
            for origin in zones {
                let keys = keys.iter().map(|key| key.below(block));
                let keys = KeySource::read_all(keys, &origin)?;
                let mut job = Job::new(origin, block.path(&source), keys, &block.path(&directory));
                // Before `file` looks, so that it serves from the start on what is signed here for the first time.
                job.look();
                block.task(job.follow());
            }
        }
        Ok(())
    }
}

impl KeySource {
    fn below(&self, block: &Block<'_>) -> Self {
        match self {
            Self::File(path) => Self::File(block.path(path)),
            Self::Directory(path) => Self::Directory(block.path(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Order, String> {
        let stanza = corefile::stanza(text);
        let keys = Keys { zones: vec!["example.org.".to_owned(), "example.net.".to_owned()] };
        Order::read(&stanza.instances[0], &keys).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn what_to_sign_with_what() {
        let order = read("sign db {\nkey file Ka /Kb\nkey directory keys\n}").unwrap();
        assert_eq!((order.zones.len(), order.directory), (2, PathBuf::from("/var/lib/coredns")));
        let [a, b, keys] = ["Ka", "/Kb", "keys"].map(PathBuf::from);
        assert_eq!(order.keys, [KeySource::File(a), KeySource::File(b), KeySource::Directory(keys)]);
        let order = read("sign db a.test {\nkey file K\ndirectory .\n}").unwrap();
        assert_eq!((order.zones, order.directory), (vec![Name::parse("a.test.").unwrap()], PathBuf::from(".")));
    }

    #[test]
    fn what_is_no_sign() {
        for (text, message) in [
            ("sign", "expected a zone file"),
            ("sign db", "needs `key`: what to sign with"),
            ("sign db {\nkey\n}", "key: expected `file` or `directory`"),
            ("sign db {\nkey file\n}", "key: expected where the key is"),
            ("sign db {\nkey aws x\n}", "key: unknown kind of key `aws`; expected one of: file, directory"),
            ("sign db {\nkey file K\ndirectory a b\n}", "directory: unexpected argument `b`"),
            ("sign db {\nnsec3\n}", "unknown property `nsec3`; expected one of: key, directory"),
        ] {
            assert_eq!(read(text).expect_err(text), message, "{text}");
        }
    }
}
