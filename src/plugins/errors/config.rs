use std::time::Duration;

use regex::Regex;
use tracing::Level;

use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Error, Errors, Line, Stanza},
    pattern,
};

const LEVELS: [(&str, Level); 4] =
    [("warning", Level::WARN), ("error", Level::ERROR), ("info", Level::INFO), ("debug", Level::DEBUG)];

/// The `errors` directive.
#[derive(Debug, Clone, Default)]
pub(super) struct Config {
    pub(super) stacktrace: bool,
    pub(super) patterns: Vec<Pattern>,
}

/// One `consolidate` line.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) period: Duration,
    pub(super) regex: Regex,
    pub(super) level: Level,
    pub(super) show_first: bool,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let mut args = instance.args();
        if let Some(word) = args.next().filter(|word| word.text != "stdout") {
            return Err(word.error(format!("errors are logged to `stdout` only, found `{}`", word.text)));
        }
        args.finish()?;
        let mut config = Self::default();
        for line in &instance.lines {
            let within = |error: Error| error.within(&line.word.text);
            match line.word.text.as_str() {
                "stacktrace" => {
                    line.no_args().map_err(within)?;
                    config.stacktrace = true;
                }
                "consolidate" => config.patterns.push(consolidate(line).map_err(within)?),
                _ => return Err(line.unknown(&["stacktrace", "consolidate"])),
            }
        }
        Ok(config)
    }
}

fn consolidate(line: &Line) -> Result<Pattern, Error> {
    let mut args = line.args();
    let word = args.require("a duration")?;
    let period = word.duration()?;
    if period.is_zero() {
        return Err(word.error("the duration must be longer than zero"));
    }
    let word = args.require("a regular expression")?;
    let regex = pattern::of_text(&word.text).map_err(|error| word.error(error.to_string()))?;
    let mut pattern = Pattern { period, regex, level: Level::ERROR, show_first: false };
    if let Some(word) = args.peek()
        && let Some((_, level)) = LEVELS.iter().find(|(name, _)| *name == word.text)
    {
        pattern.level = *level;
        args.next();
    }
    if let Some(word) = args.next() {
        if word.text != "show_first" {
            return Err(word.unknown("word", &["warning", "error", "info", "debug", "show_first"]));
        }
        pattern.show_first = true;
    }
    args.finish()?;
    Ok(pattern)
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("logs what could not be answered")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.parts().stacktrace |= self.stacktrace;
        let plugin = super::ErrorLog::new(self.patterns);
        if let Some(flush) = plugin.flusher() {
            block.task(flush);
        }
        block.link(plugin);
        Ok(())
    }
}
