use super::rule::{Classes, Rule};
use crate::{
    chain::{Block, Build, BuildError, Format, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Instance, Line, Stanza, Token},
};

/// All `log` lines of a server block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) rules: Vec<Rule>,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza) -> Result<Self, Error> {
        let rules = stanza.instances.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }
}

fn rule(instance: &Instance) -> Result<Rule, Error> {
    let mut words = instance.args.as_slice();
    let mut format = Format::common();
    // One word alone is always a name, whatever it looks like.
    if let [names @ .., last] = words
        && !names.is_empty()
        && last.text.contains('{')
    {
        format = Format::parse(&last.text);
        words = names;
    }
    let mut zones = Vec::new();
    for word in words {
        zones.extend(word.zones()?);
    }
    if zones.is_empty() {
        zones.push(".".to_owned());
    }
    let zones = ZoneSet::read(&zones, &instance.name)?;
    let mut classes = None;
    for line in &instance.lines {
        if line.word.text != "class" {
            return Err(line.unknown(&["class"]));
        }
        let class = class(line).map_err(|error| error.within("class"))?;
        classes = Some(classes.map_or(class, |known: Classes| known.and(class)));
    }
    Ok(Rule { zones, classes: classes.unwrap_or(Classes::ALL), format })
}

/// The classes of a line together.
fn class(line: &Line) -> Result<Classes, Error> {
    line.args().require("a class")?;
    line.no_block()?;
    let known = |word: &Token| {
        Classes::parse(&word.text).ok_or_else(|| word.unknown("class", &["success", "denial", "error", "all"]))
    };
    line.args.iter().try_fold(Classes::NONE, |classes, word| Ok(classes.and(known(word)?)))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("logs answers")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let labels = block.labels();
        block.link(super::QueryLog { rules: self.rules, labels });
        Ok(())
    }
}
