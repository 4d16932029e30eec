use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{Amount, Erratic};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Args, Error, Errors, Line, Stanza},
};

/// The `erratic` directive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Config {
    /// Which queries get no answer.
    pub(super) drop: Option<Amount>,
    pub(super) truncate: Amount,
    pub(super) delay: Amount,
    pub(super) duration: Duration,
    pub(super) large: bool,
}

/// One of two, unless it is said.
const USUAL: Amount = Amount(2);
const LATE: Duration = Duration::from_millis(100);

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza) -> Result<Self, Error> {
        let mut config = Self::default();
        for instance in &stanza.instances {
            instance.no_args()?;
            for line in &instance.lines {
                config.property(line).map_err(|error| error.within(&line.word.text))?;
            }
        }
        if config.truncate == Amount::default() && config.delay == Amount::default() {
            config.drop.get_or_insert(USUAL);
        }
        Ok(config)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        let mut args = line.args();
        match line.word.text.as_str() {
            "drop" => self.drop = Some(amount(&mut args, "drop")?),
            "truncate" => self.truncate = amount(&mut args, "truncate")?,
            "delay" => {
                self.delay = amount(&mut args, "delay")?;
                self.duration = if args.peek().is_some() { args.duration("delay")? } else { LATE };
            }
            "large" => self.large = true,
            _ => return Err(line.unknown(&["drop", "truncate", "delay", "large"])),
        }
        args.finish()
    }
}

fn amount(args: &mut Args<'_>, what: &str) -> Result<Amount, Error> {
    if args.peek().is_none() {
        return Ok(USUAL);
    }
    args.integer(what, 0..=i64::MAX).map(|number| Amount(number as u64))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role { does: "answers all names, late, cut or not at all", ..Role::default() }
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let seen = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&seen);
        block.probe("erratic", move || matches!(counted.load(Relaxed), 3 | 4));
        block.link(Erratic { config: *self, seen });
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Config, String> {
        let stanza = corefile::stanza(&format!("erratic {text}"));
        Config::read(&stanza).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn drops_every_second_query_unless_something_else_is_said() {
        let dropping = Config { drop: Some(Amount(2)), ..Config::default() };
        assert_eq!(read(""), Ok(dropping.clone()));
        assert_eq!(read("{\ntruncate 0\n}"), Ok(dropping.clone()));
        assert_eq!(read("{\nlarge\n}"), Ok(Config { large: true, ..dropping }));
        assert_eq!(read("{\ndrop 0\n}"), Ok(Config { drop: Some(Amount(0)), ..Config::default() }));
        assert_eq!(read("{\ntruncate\n}"), Ok(Config { truncate: Amount(2), ..Config::default() }));
        let late = Config { delay: Amount(3), duration: Duration::from_millis(50), ..Config::default() };
        assert_eq!(read("{\ndelay 3 50ms\n}"), Ok(late));
        assert_eq!(read("{\ndelay\n}"), Ok(Config { delay: Amount(2), duration: LATE, ..Config::default() }));
    }

    #[test]
    fn what_is_refused() {
        for (text, message) in [
            ("x", "unexpected argument `x`"),
            ("{\ndrop x\n}", "drop: expected a number of at least 0, found `x`"),
            ("{\ndrop -1\n}", "drop: expected a number of at least 0, found `-1`"),
            ("{\ntruncate 1 2\n}", "truncate: unexpected argument `2`"),
            ("{\ndelay 1 x\n}", "delay: expected a duration such as `30s` or `1h5m`, found `x`"),
            ("{\nlarge 1\n}", "large: unexpected argument `1`"),
            ("{\ndorp\n}", "unknown property `dorp`; did you mean `drop`?"),
        ] {
            assert_eq!(read(text).as_ref().map_err(String::as_str), Err(message), "{text}");
        }
    }
}
