use super::{Change, Header};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Error, Errors, Line, Stanza},
    wire::Flags,
};

const FLAGS: [(&str, u16); 3] = [("aa", Flags::AA), ("ra", Flags::RA), ("rd", Flags::RD)];

/// The `header` directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Config {
    query: Change,
    response: Change,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let mut config = Self::default();
        for instance in &stanza.instances {
            instance.no_args()?;
            if instance.lines.is_empty() {
                return Err(instance.error("expected a block with lines such as `response set ra`"));
            }
            for line in &instance.lines {
                config.rule(line).map_err(|error| error.within(&line.word.text))?;
            }
        }
        Ok(config)
    }

    /// `query|response set|clear FLAGS...`, in small letters or capitals. What is said last of a flag holds.
    fn rule(&mut self, line: &Line) -> Result<(), Error> {
        let change = match line.word.text.to_ascii_lowercase().as_str() {
            "query" => &mut self.query,
            "response" => &mut self.response,
            _ => return Err(line.unknown(&["query", "response"])),
        };
        let mut args = line.args();
        let action = args.require("`set` or `clear`")?;
        let set = match action.text.to_ascii_lowercase().as_str() {
            "set" => true,
            "clear" => false,
            _ => return Err(action.unknown("action", &["set", "clear"])),
        };
        let mut words = vec![args.require("a flag: `aa`, `ra` or `rd`")?];
        words.extend(args.rest());
        args.finish()?;
        for word in words {
            let known = FLAGS.iter().find(|(name, _)| word.text.eq_ignore_ascii_case(name));
            let Some(&(_, bit)) = known else { return Err(word.unknown("flag", &FLAGS.map(|(name, _)| name))) };
            let (on, off) =
                if set { (&mut change.set, &mut change.clear) } else { (&mut change.clear, &mut change.set) };
            *on |= bit;
            *off &= !bit;
        }
        Ok(())
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("changes flags of queries and answers")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        block.link(Header { query: self.query, response: self.response });
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    /// `query set/clear, response set/clear` of the bits.
    fn read(lines: &str) -> Result<Config, String> {
        let stanza = corefile::stanza(&format!("header {{\n{lines}\n}}"));
        Config::read(&stanza).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn the_last_word_on_a_flag_holds() {
        let change = |set, clear| Change { set, clear };
        for (lines, query, response) in [
            ("query set rd", change(Flags::RD, 0), change(0, 0)),
            ("RESPONSE Set AA ra", change(0, 0), change(Flags::AA | Flags::RA, 0)),
            ("response set aa ra\nresponse clear aa", change(0, 0), change(Flags::RA, Flags::AA)),
            ("response clear rd\nquery clear rd\nresponse set rd", change(0, Flags::RD), change(Flags::RD, 0)),
        ] {
            assert_eq!(read(lines), Ok(Config { query, response }), "{lines}");
        }
    }

    #[test]
    fn changed_bits() {
        let change = Change { set: Flags::RA, clear: Flags::AA };
        assert_eq!(change.of(Flags(Flags::QR | Flags::AA)), Flags(Flags::QR | Flags::RA));
        assert!(change.bit(Flags::RA, false) && !change.bit(Flags::AA, true) && change.bit(Flags::RD, true));
    }
}
