#![doc = include_str!("README.md")]

use std::time::Duration;

use crate::{
    chain::{Block, Build, BuildError, Directive, Keys, Role, TcpLimits},
    corefile::{Error, Errors, Line, Stanza, Token},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "timeouts", parse };

struct Timeouts(TcpLimits);

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Timeouts(read(stanza)?)))
}

fn read(stanza: &Stanza) -> Result<TcpLimits, Error> {
    let mut limits = TcpLimits::default();
    for instance in &stanza.instances {
        instance.no_args()?;
        if instance.lines.is_empty() {
            return Err(instance.error("expected a block with at least one limit"));
        }
        for line in &instance.lines {
            property(&mut limits, line).map_err(|error| error.within(&line.word.text))?;
        }
    }
    Ok(limits)
}

fn property(limits: &mut TcpLimits, line: &Line) -> Result<(), Error> {
    match line.word.text.as_str() {
        "read" => limits.read = Some(time(line)?),
        "write" => limits.write = Some(time(line)?),
        "idle" => limits.idle = Some(time(line)?),
        "maxtcpqueries" => limits.queries = Some(queries(line.args().one("a number")?)?),
        _ => return Err(line.unknown(&["read", "write", "idle", "maxtcpqueries"])),
    }
    Ok(())
}

/// A duration; a number alone is in seconds.
fn time(line: &Line) -> Result<Duration, Error> {
    let word = line.args().one("a duration")?;
    let time = match word.text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => word.duration()?,
    };
    if !(Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&time) {
        return Err(word.error(format!("expected a time between 1s and 24h, found `{}`", word.text)));
    }
    Ok(time)
}

/// -1 is any number.
fn queries(word: &Token) -> Result<u32, Error> {
    if word.text == "-1" {
        return Ok(u32::MAX);
    }
    let number = word.text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| word.error(format!("expected -1 for any number, or at least 1, found `{}`", word.text)))
}

impl Build for Timeouts {
    fn role(&self) -> Role {
        Role::sets("bounds the time of TCP connections")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.parts().tcp = self.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    fn limits(lines: &str) -> Result<TcpLimits, String> {
        let stanza = corefile::stanza(&format!("timeouts {{\n{lines}\n}}"));
        read(&stanza).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn times_and_numbers() {
        let none = TcpLimits::default();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (lines, expected) in [
            ("read 5s", TcpLimits { read: seconds(5), ..none }),
            (
                "read 5\nidle 1m\nwrite 24h",
                TcpLimits { read: seconds(5), idle: seconds(60), write: seconds(86_400), ..none },
            ),
            ("maxtcpqueries 7", TcpLimits { queries: Some(7), ..none }),
            ("maxtcpqueries -1", TcpLimits { queries: Some(u32::MAX), ..none }),
        ] {
            assert_eq!(limits(lines), Ok(expected), "{lines}");
        }
        for (line, message) in [
            ("read 500ms", "read: expected a time between 1s and 24h, found `500ms`"),
            ("idle 25h", "idle: expected a time between 1s and 24h, found `25h`"),
            ("write 0", "write: expected a time between 1s and 24h, found `0`"),
            ("read 1s 2s", "read: unexpected argument `2s`"),
            ("maxtcpqueries 0", "maxtcpqueries: expected -1 for any number, or at least 1, found `0`"),
        ] {
            assert_eq!(limits(line), Err(message.to_owned()), "{line}");
        }
    }
}
