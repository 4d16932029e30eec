use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza},
    wire::Name,
};

/// The `local` directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Config {
    prefix: bool,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let mut config = Self { prefix: true };
        for instance in &stanza.instances {
            instance.no_args()?;
            for line in &instance.lines {
                match line.word.text.as_str() {
                    "localhost_prefix" => {
                        config.prefix = switch(line).map_err(|error| error.within("localhost_prefix"))?
                    }
                    _ => return Err(line.unknown(&["localhost_prefix"])),
                }
            }
        }
        Ok(config)
    }
}

fn switch(line: &Line) -> Result<bool, Error> {
    let word = line.args().one("`on` or `off`")?;
    match word.text.as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(word.unknown("switch", &["on", "off"])),
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers_some(
            "answers for localhost and for addresses that mean nobody else",
            ZoneSet::new(vec![Name::root()]),
        )
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let help = "Questions for names below `localhost`, or with `localhost` as the first label.";
        let odd = block.registry().counter("coredns_local_localhost_requests_total", help, &[]);
        block.link(super::Local { prefix: self.prefix, odd: odd.with_label_values::<&str>(&[]) });
        Ok(())
    }
}
