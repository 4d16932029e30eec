use std::path::{Path, PathBuf};

use super::{GeoIp, Places, database::Database};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Error, Errors, Stanza},
};

/// The `geoip` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    file: PathBuf,
    edns_subnet: bool,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let file = instance.args().one("the file of a database")?;
        let mut config = Self { file: PathBuf::from(&file.text), edns_subnet: false };
        for line in &instance.lines {
            if line.word.text != "edns-subnet" {
                return Err(line.unknown(&["edns-subnet"]));
            }
            line.no_args()?;
            config.edns_subnet = true;
        }
        Ok(config)
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::sets("knows where clients are")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let open = || Database::open(&self.file).map_err(|why| BuildError(format!("{}: {why}", self.file.display())));
        // Blocks share it, and so does the next Corefile as long as the file is the same.
        let database = block.shared(&format!("geoip {} {:?}", self.file.display(), version(&self.file)), open)?;
        block.label_source(Places { database, edns_subnet: self.edns_subnet });
        block.link(GeoIp);
        Ok(())
    }
}

/// Another one for each file that takes the place of an earlier one.
fn version(file: &Path) -> Option<(std::time::SystemTime, u64)> {
    let known = std::fs::metadata(file).ok()?;
    Some((known.modified().ok()?, known.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    #[test]
    fn words() {
        for (text, expected) in [
            ("geoip a.mmdb", Ok(("a.mmdb", false))),
            ("geoip /a/b.mmdb {\nedns-subnet\n}", Ok(("/a/b.mmdb", true))),
            ("geoip", Err("expected the file of a database")),
            ("geoip a b", Err("unexpected argument `b`")),
            ("geoip a\ngeoip b", Err("may stand only once in a server block")),
            ("geoip a {\nedns-subnet 24\n}", Err("unexpected argument `24`")),
            ("geoip a {\nsubnet\n}", Err("unknown property `subnet`; expected one of: edns-subnet")),
        ] {
            let stanza = corefile::stanza(text);
            let read = Config::read(&stanza);
            let read = read.as_ref().map(|config| (config.file.to_str().unwrap(), config.edns_subnet));
            assert_eq!(read.map_err(Error::message), expected, "{text}");
        }
    }
}
