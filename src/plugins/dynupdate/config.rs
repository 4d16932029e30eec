use std::{path::PathBuf, sync::Arc};

use super::{
    DynUpdate,
    rules::{Limits, Permission, Rules},
    store::Store,
};
use crate::{
    authority::{ZoneCell, Zones},
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza, Token},
    wire::{Name, RecordType},
    zone::{is_changeable, is_of_records},
};

const PROPERTIES: [&str; 6] = ["file", "database", "allow", "max_records", "max_bytes", "max_update_records"];

#[derive(Debug, PartialEq, Eq)]
struct Config {
    origin: Name,
    seed: PathBuf,
    database: Option<PathBuf>,
    rules: Rules,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let zones = ZoneSet::read(&instance.args().zones_or(&keys.zones)?, &instance.name)?;
        let zones: Vec<Name> = zones.iter().copied().collect();
        let [origin] = zones[..] else {
            return Err(instance.error(format!("takes one zone, and here are {}; name it", zones.len())));
        };
        let (mut seed, mut database) = (None, None);
        let mut rules = Rules { permissions: Vec::new(), limits: Limits::default() };
        let mut seen: Vec<&str> = Vec::new();
        for line in &instance.lines {
            let word = line.word.text.as_str();
            let within = |error: Error| error.within(word);
            if word != "allow" && seen.contains(&word) {
                return Err(line.error(format!("`{word}` may stand only once")));
            }
            seen.push(word);
            let count = || {
                let mut args = line.args();
                let count = args.integer(word, 1..=i64::from(u32::MAX))?;
                args.finish().map_err(within)?;
                Ok(count as usize)
            };
            let file = || line.args().one("a file").map(|word| PathBuf::from(&word.text)).map_err(within);
            match word {
                "file" => seed = Some(file()?),
                "database" => database = Some(file()?),
                "allow" => rules.permissions.push(permission(line, &origin).map_err(within)?),
                "max_records" => rules.limits.records = count()?,
                "max_bytes" => rules.limits.bytes = count()?,
                "max_update_records" => rules.limits.update_records = count()?,
                _ => return Err(line.unknown(&PROPERTIES)),
            }
        }
        let seed = seed.ok_or_else(|| instance.error("needs `file`: what the zone has at first"))?;
        if rules.permissions.is_empty() {
            return Err(instance.error("needs `allow`: who may change what"));
        }
        Ok(Self { origin, seed, database, rules })
    }
}

/// `allow KEY NAME TYPE...`
fn permission(line: &Line, origin: &Name) -> Result<Permission, Error> {
    let mut args = line.args();
    let word = args.require("the name of a key")?;
    let key = match word.text.as_str() {
        "*" | "@" => return Err(word.error("expected the name of a key of `tsig`")),
        _ => parsed(word)?,
    };
    let word = args.require("a name of the zone, `@` for its top, or `*` for all")?;
    let name = match word.text.as_str() {
        "*" => None,
        "@" => Some(*origin),
        _ => Some(parsed(word)?),
    };
    if name.is_some_and(|name| !name.is_within(origin)) {
        return Err(word.error(format!("`{}` is not in zone {origin}", word.text)));
    }
    let first = args.require("types, or `*` for all")?;
    let mut types = None;
    if first.text != "*" {
        let mut these = vec![record_type(first)?];
        while let Some(word) = args.next() {
            these.push(record_type(word)?);
        }
        types = Some(these);
    }
    args.finish()?;
    Ok(Permission { key, name, types })
}

fn parsed(word: &Token) -> Result<Name, Error> {
    Name::parse(&word.text).map_err(|error| word.error(format!("`{}`: {error}", word.text)))
}

fn record_type(word: &Token) -> Result<RecordType, Error> {
    if word.text == "*" {
        return Err(word.error("`*` stands alone"));
    }
    let known = RecordType::from_mnemonic(&word.text.to_ascii_uppercase());
    let known = known.filter(|kind| *kind == RecordType::ANY || is_of_records(*kind));
    let known = known.ok_or_else(|| word.error(format!("unknown type `{}`", word.text)))?;
    if is_changeable(known) {
        Ok(known)
    } else {
        Err(word.error(format!("records of type {known} are not changed: others would have to change with them")))
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers("answers from a zone that clients change", ZoneSet::new(vec![self.origin]), ZoneSet::default())
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self { origin, seed, database, rules } = *self;
        let (seed, database) = (block.path(&seed), database.map(|path| block.path(&path)));
        let store = match &database {
            Some(path) => {
                let key = format!("{origin} {}", path.display());
                block.shared(&key, || Ok(Store::open(origin, &seed, Some(path.clone()))?))?
            }
            // Without a file a reload begins anew, as a restart does.
            None => Arc::new(Store::open(origin, &seed, None)?),
        };
        let cell = Arc::new(ZoneCell::new(origin, block.sources()));
        store.serve(&cell, rules.limits)?;
        let zones: Zones = [cell].into_iter().collect();
        block.sources().add(zones.clone());
        block.link(DynUpdate { zones, store, rules: Arc::new(rules), server: block.server() });
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
    fn who_may_change_what() {
        let config = read(
            "dynupdate {\nfile db\ndatabase x\nallow k. @ txt\nallow K. A.example.org A ANY\nallow l. * *\nmax_records 7\n}",
        )
        .unwrap();
        assert_eq!((config.seed, config.database), ("db".into(), Some("x".into())));
        assert_eq!((config.rules.limits.records, config.rules.limits.update_records), (7, 1024));
        let [top, host, all] = &config.rules.permissions[..] else { panic!() };
        assert_eq!((top.name, top.types.as_deref()), (Some(config.origin), Some(&[RecordType::TXT][..])));
        assert_eq!(host.types.as_deref(), Some(&[RecordType::A, RecordType::ANY][..]));
        assert_eq!((all.name, &all.types), (None, &None));
    }

    #[test]
    fn what_is_no_dynupdate() {
        for (text, message) in [
            ("dynupdate {\nallow k @ TXT\n}", "needs `file`: what the zone has at first"),
            ("dynupdate {\nfile db\n}", "needs `allow`: who may change what"),
            ("dynupdate a. b. {\nfile db\n}", "takes one zone, and here are 2; name it"),
            ("dynupdate {\nfile a\nfile b\n}", "`file` may stand only once"),
            ("dynupdate {\nallow k\n}", "allow: expected a name of the zone, `@` for its top, or `*` for all"),
            ("dynupdate {\nallow k @\n}", "allow: expected types, or `*` for all"),
            ("dynupdate {\nallow * @ A\n}", "allow: expected the name of a key of `tsig`"),
            ("dynupdate {\nallow k x.test A\n}", "allow: `x.test` is not in zone example.org."),
            ("dynupdate {\nallow k @ A *\n}", "allow: `*` stands alone"),
            ("dynupdate {\nallow k @ NOPE\n}", "allow: unknown type `NOPE`"),
            ("dynupdate {\nallow k @ AXFR\n}", "allow: unknown type `AXFR`"),
            (
                "dynupdate {\nallow k @ DS\n}",
                "allow: records of type DS are not changed: others would have to change with them",
            ),
            ("dynupdate {\nmax_bytes 0\n}", "max_bytes: expected a number between 1 and 4294967295, found `0`"),
        ] {
            assert_eq!(read(text).expect_err(text), message, "{text}");
        }
    }
}
