use std::{path::PathBuf, time::Duration};

use regex::Regex;

use super::{
    Auto,
    directory::{Current, Directory, Naming},
};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Instance, Line, Stanza, Token},
    pattern,
};

const PROPERTIES: [&str; 3] = ["directory", "reload", "upstream"];

/// The `auto` lines of a server block.
#[derive(Debug)]
struct Config(Vec<Source>);

/// One `auto` line.
#[derive(Debug)]
struct Source {
    zones: ZoneSet,
    directory: PathBuf,
    naming: Naming,
    /// How often to look at the directory; zero: only at start.
    reload: Duration,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    let sources = stanza.instances.iter().map(|instance| Source::read(instance, keys)).collect::<Result<_, _>>()?;
    Ok(Box::new(Config(sources)))
}

impl Source {
    fn read(instance: &Instance, keys: &Keys) -> Result<Self, Error> {
        let zones = ZoneSet::read(&instance.args().zones_or(&keys.zones)?, &instance.name)?;
        let mut reload = Duration::from_secs(60);
        let mut place = None;
        for line in &instance.lines {
            let within = |error: Error| error.within(&line.word.text);
            match line.word.text.as_str() {
                "directory" => place = Some(directory(line).map_err(within)?),
                "reload" => reload = line.args().one("a duration").and_then(Token::duration).map_err(within)?,
                // Once told who to ask for aliases; the server itself is asked.
                "upstream" => line.no_block().map_err(within)?,
                _ => return Err(line.unknown(&PROPERTIES)),
            }
        }
        let (directory, naming) = place.ok_or_else(|| instance.error("needs `directory`"))?;
        Ok(Self { zones, directory, naming, reload })
    }
}

/// `directory DIR [REGEX ORIGIN]`.
fn directory(line: &Line) -> Result<(PathBuf, Naming), Error> {
    let mut args = line.args();
    let path = PathBuf::from(&args.require("a directory")?.text);
    let Some(pattern) = args.next() else {
        args.finish()?;
        let naming = Naming { pattern: compiled(&line.word, r"db\.(.*)")?, origin: "${1}".to_owned() };
        return Ok((path, naming));
    };
    let origin = args.require("the name of the zone, such as `{1}`")?;
    args.finish()?;
    let pattern = compiled(pattern, &pattern.text)?;
    let origin = with_groups(origin, pattern.captures_len())?;
    Ok((path, Naming { pattern, origin }))
}

fn compiled(word: &Token, pattern: &str) -> Result<Regex, Error> {
    let pattern = pattern::of_text(pattern).map_err(|error| word.error(error.to_string()))?;
    if pattern.captures_len() < 2 {
        return Err(word.error("the regular expression needs a group for the name of the zone"));
    }
    Ok(pattern)
}

/// `{1}` as the regex crate writes it, `${1}`.
fn with_groups(word: &Token, groups: usize) -> Result<String, Error> {
    let mut out = String::new();
    let mut rest = word.text.as_str();
    while let Some((before, behind)) = rest.split_once('{') {
        let number = behind.split_once('}').and_then(|(number, rest)| Some((number.parse::<usize>().ok()?, rest)));
        let (number, next) = number
            .filter(|(number, _)| *number < groups)
            .ok_or_else(|| word.error(format!("expected `{{1}}` to `{{{}}}` in `{}`", groups - 1, word.text)))?;
        out.push_str(&before.replace('$', "$$"));
        out.push_str(&format!("${{{number}}}"));
        rest = next;
    }
    if out.is_empty() {
        return Err(word.error("the name of the zone needs a group such as `{1}`"));
    }
    Ok(out + &rest.replace('$', "$$"))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers_some(
            "answers from the zone files of a directory",
            self.0.iter().flat_map(|source| source.zones.iter().copied()).collect(),
        )
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        for Source { zones: allowed, directory, naming, reload } in self.0 {
            let zones = Current::default();
            let mut directory =
                Directory::new(block.path(&directory), naming, allowed.clone(), zones.clone(), block.sources());
            directory.look();
            if !reload.is_zero() {
                block.task(directory.follow(reload));
            }
            block.sources().add(zones.clone());
            block.link(Auto { zones, allowed, server: block.server() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Source, String> {
        let stanza = corefile::stanza(text);
        let keys = Keys { zones: vec!["example.org.".to_owned()] };
        Source::read(&stanza.instances[0], &keys).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn directories_and_patterns() {
        let plain = read("auto {\ndirectory zones\n}").unwrap();
        assert_eq!((plain.naming.pattern.as_str(), plain.naming.origin.as_str()), (r"db\.(.*)", "${1}"));
        assert_eq!(plain.reload, Duration::from_secs(60));
        let full = read("auto org {\ndirectory zones (.*)-(.*) {2}.{1}.org\nreload 10s\nupstream\n}").unwrap();
        assert_eq!((full.naming.origin.as_str(), full.reload), ("${2}.${1}.org", Duration::from_secs(10)));
    }

    #[test]
    fn what_is_no_auto() {
        for (text, message) in [
            ("auto", "needs `directory`"),
            ("auto {\ndirectory\n}", "directory: expected a directory"),
            ("auto {\ndirectory z db\n}", "directory: expected the name of the zone, such as `{1}`"),
            (
                "auto {\ndirectory z db {1}\n}",
                "directory: the regular expression needs a group for the name of the zone",
            ),
            ("auto {\ndirectory z d(.*) x\n}", "directory: the name of the zone needs a group such as `{1}`"),
            ("auto {\ndirectory z d(.*) {2}\n}", "directory: expected `{1}` to `{1}` in `{2}`"),
            ("auto {\ndirectory z d(.* {1}\n}", "directory: bad regular expression: unclosed group"),
            (
                "auto {\ndirectory z\nfallthrough\n}",
                "unknown property `fallthrough`; expected one of: directory, reload, upstream",
            ),
        ] {
            assert_eq!(read(text).expect_err(text), message, "{text}");
        }
    }
}
