use std::{path::PathBuf, sync::Arc, time::Duration};

use super::File;
use crate::{
    authority::{Reading, ZoneCell, ZoneFile, Zones},
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Instance, Stanza},
    wire::Name,
};

const PROPERTIES: [&str; 4] = ["reload", "reload_by_mtime", "fallthrough", "upstream"];

/// All `file` lines of a server block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    files: Vec<Source>,
    /// What one line says of it holds for all, as in CoreDNS.
    fallthrough: Vec<String>,
}

/// One `file` line.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    path: PathBuf,
    zones: Vec<Name>,
    /// How often to look at the file; zero: never.
    reload: Duration,
    by_time: bool,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let mut config = Self { files: Vec::new(), fallthrough: Vec::new() };
        for instance in &stanza.instances {
            let source = config.source(instance, keys)?;
            config.files.push(source);
        }
        Ok(config)
    }

    fn source(&mut self, instance: &Instance, keys: &Keys) -> Result<Source, Error> {
        let mut args = instance.args();
        let path = PathBuf::from(&args.require("a file")?.text);
        let zones = ZoneSet::read(&args.zones_or(&keys.zones)?, &instance.name)?.iter().copied().collect();
        let mut source = Source { path, zones, reload: Duration::from_secs(60), by_time: false };
        for line in &instance.lines {
            let within = |error: Error| error.within(&line.word.text);
            match line.word.text.as_str() {
                "reload" => {
                    source.reload = line.args().one("a duration").and_then(|word| word.duration()).map_err(within)?
                }
                "reload_by_mtime" => {
                    line.no_args().map_err(within)?;
                    source.by_time = true;
                }
                "fallthrough" => self.fallthrough.extend(line.args().fallthrough().map_err(within)?),
                // Once told who to ask for aliases; the server itself is asked.
                "upstream" => line.no_block().map_err(within)?,
                _ => return Err(line.unknown(&PROPERTIES)),
            }
        }
        Ok(source)
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers(
            "answers from zone files",
            self.files.iter().flat_map(|source| source.zones.iter().copied()).collect(),
            ZoneSet::parse(&self.fallthrough).unwrap_or_default(),
        )
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let mut zones = Zones::default();
        for source in self.files {
            let cell = |zone: &Name| Arc::new(ZoneCell::new(*zone, block.sources()));
            let cells: Vec<Arc<ZoneCell>> = source.zones.iter().map(cell).collect();
            for cell in &cells {
                if zones.add(Arc::clone(cell)).is_some() {
                    tracing::warn!(target: "plugin/file", "zone {} stands in two files; the later one counts", cell.origin());
                }
            }
            let mut file = ZoneFile::new(block.path(&source.path), cells, source.by_time);
            match file.look() {
                Reading::Wrong(error) => return Err(error.to_string().into()),
                // It may still come, if somebody looks.
                Reading::Missing(text) if source.reload.is_zero() => return Err(text.into()),
                Reading::Missing(text) => tracing::warn!(target: "plugin/file", "{text}; it is looked for again"),
                Reading::Same | Reading::Read(_) => {}
            }
            if !source.reload.is_zero() {
                block.task(file.follow(source.reload, "file"));
            }
        }
        let fallthrough = ZoneSet::parse(&self.fallthrough).map_err(|error| error.to_string())?;
        block.sources().add(zones.clone());
        block.link(File { zones, fallthrough, server: block.server() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Config, String> {
        let stanza = corefile::stanza(text);
        let keys = Keys { zones: vec!["example.org.".to_owned(), "10.in-addr.arpa.".to_owned()] };
        Config::read(&stanza, &keys).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn files_zones_and_properties() {
        let plain = read("file db.a").unwrap();
        assert_eq!((plain.files[0].zones.len(), plain.files[0].reload), (2, Duration::from_secs(60)));
        let two = read(
            "file db.a a.test\nfile db.b b.test {\nreload 0\nreload_by_mtime\nfallthrough c.test\nupstream 1.2.3.4\n}",
        )
        .unwrap();
        assert_eq!(two.files[1].zones, [Name::parse("b.test").unwrap()]);
        assert_eq!(
            (two.files[1].reload, two.files[1].by_time, two.fallthrough),
            (Duration::ZERO, true, vec!["c.test.".to_owned()])
        );
    }

    #[test]
    fn what_is_no_file() {
        for (text, message) in [
            ("file", "expected a file"),
            ("file db a..b", "`a..b` is not a domain name"),
            ("file db {\nreload -1s\n}", "reload: a duration cannot be negative, found `-1s`"),
            ("file db {\nreload_by_mtime 1\n}", "reload_by_mtime: unexpected argument `1`"),
            (
                "file db {\ntransfer to *\n}",
                "unknown property `transfer`; expected one of: reload, reload_by_mtime, fallthrough, upstream",
            ),
        ] {
            assert_eq!(read(text).expect_err(text), message, "{text}");
        }
    }
}
