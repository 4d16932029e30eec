use std::path::PathBuf;

use super::{Required, Tsig};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza, Token},
    tsig::{Keyring, secret},
    wire::{Name, Opcode, RecordType},
};

const PROPERTIES: [&str; 4] = ["secret", "secrets", "require", "require_opcode"];

#[derive(Debug, PartialEq, Eq)]
struct Config {
    zones: ZoneSet,
    keys: Keyring,
    files: Vec<PathBuf>,
    types: Required<RecordType>,
    opcodes: Required<Opcode>,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let mut config = Self {
            zones: ZoneSet::read(&instance.args().zones_or(&keys.zones)?, &instance.name)?,
            keys: Keyring::default(),
            files: Vec::new(),
            types: Required::These(Vec::new()),
            opcodes: Required::These(Vec::new()),
        };
        for line in &instance.lines {
            let within = |error: Error| error.within(&line.word.text);
            match line.word.text.as_str() {
                "secret" => config.secret(line).map_err(within)?,
                "secrets" => config.files.push(line.args().one("a file").map_err(within)?.text.clone().into()),
                "require" => config.types = required(line, record_type).map_err(within)?,
                "require_opcode" => config.opcodes = required(line, opcode).map_err(within)?,
                _ => return Err(line.unknown(&PROPERTIES)),
            }
        }
        Ok(config)
    }

    /// `secret NAME SECRET`
    fn secret(&mut self, line: &Line) -> Result<(), Error> {
        let mut args = line.args();
        let name = args.require("the name of a key")?;
        let parsed = Name::parse(&name.text).map_err(|error| name.error(format!("`{}`: {error}", name.text)))?;
        let word = args.require("a secret in base64")?;
        // Not shown: errors go to logs.
        let secret = secret(&word.text).ok_or_else(|| word.error("expected a secret in base64"))?;
        args.finish()?;
        self.keys.add(parsed, secret).map_err(|error| name.error(error.to_string()))
    }
}

/// `all`, `none` or a list of words.
fn required<T>(line: &Line, read: fn(&Token) -> Result<T, Error>) -> Result<Required<T>, Error> {
    let mut args = line.args();
    let first = args.require("`all`, `none` or a list")?;
    let required = match first.text.as_str() {
        "all" => Required::All,
        "none" => Required::These(Vec::new()),
        _ => {
            let mut these = vec![read(first)?];
            while let Some(word) = args.next() {
                these.push(read(word)?);
            }
            Required::These(these)
        }
    };
    args.finish()?;
    Ok(required)
}

fn record_type(word: &Token) -> Result<RecordType, Error> {
    let known = RecordType::from_mnemonic(&word.text);
    known.ok_or_else(|| word.error(format!("unknown query type `{}`; types are in capital letters", word.text)))
}

fn opcode(word: &Token) -> Result<Opcode, Error> {
    let known = ["QUERY", "IQUERY", "STATUS", "NOTIFY", "UPDATE"];
    let found = Opcode::from_mnemonic(&word.text).filter(|_| known.contains(&word.text.as_str()));
    found.ok_or_else(|| word.unknown("opcode", &known))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("verifies signed queries and signs their answers")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self { zones, mut keys, files, types, opcodes } = *self;
        for file in files {
            let path = block.path(&file);
            let shown = path.display();
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
            keys.add_file(&text).map_err(|error| format!("{shown}: {error}"))?;
        }
        block.offered::<Keyring>().give(keys.clone());
        block.link(Tsig { zones, keys, types, opcodes });
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
    fn keys_and_what_must_be_signed() {
        let config =
            read("tsig {\nsecret a. c2VjcmV0\nsecrets keys.conf\nrequire AXFR IXFR\nrequire_opcode all\n}").unwrap();
        assert!(config.keys.has(&Name::parse("A.").unwrap()));
        assert_eq!(config.files, [PathBuf::from("keys.conf")]);
        assert_eq!(config.types, Required::These(vec![RecordType::AXFR, RecordType::IXFR]));
        assert_eq!(config.opcodes, Required::All);
        assert!(config.zones.contains(&Name::parse("www.example.org.").unwrap()));
        // The last line counts, as in CoreDNS.
        assert_eq!(read("tsig {\nrequire all\nrequire none\n}").unwrap().types, Required::These(vec![]));
    }

    #[test]
    fn what_is_no_tsig() {
        for (text, message) in [
            ("tsig {\nsecret a.\n}", "secret: expected a secret in base64"),
            ("tsig {\nsecret a. %%%\n}", "secret: expected a secret in base64"),
            ("tsig {\nsecret a..b c2VjcmV0\n}", "secret: `a..b`: empty label in a domain name"),
            ("tsig {\nsecret a. c2VjcmV0\nsecret A c2VjcmV0\n}", "secret: key A. stands twice"),
            ("tsig {\nsecrets\n}", "secrets: expected a file"),
            ("tsig {\nrequire\n}", "require: expected `all`, `none` or a list"),
            ("tsig {\nrequire axfr\n}", "require: unknown query type `axfr`; types are in capital letters"),
            ("tsig {\nrequire all A\n}", "require: unexpected argument `A`"),
            (
                "tsig {\nrequire_opcode QUERIES\n}",
                "require_opcode: unknown opcode `QUERIES`; expected one of: QUERY, IQUERY, STATUS, NOTIFY, UPDATE",
            ),
            ("tsig {\nkey a\n}", "unknown property `key`; expected one of: secret, secrets, require, require_opcode"),
        ] {
            assert_eq!(read(text).expect_err(text), message, "{text}");
        }
    }
}
