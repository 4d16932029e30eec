#![doc = include_str!("README.md")]

use crate::{
    chain::{Again, Block, Build, BuildError, Context, Directive, Keys, Plugin, Rest, Role, Sent, Step, ZoneSet},
    corefile::{Error, Errors, Stanza},
    wire::{Body, Class, Name, NameRef, RData, Rcode, Record, RecordType, Records, Response},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "chaos", parse };

/// What is told of this server.
struct Chaos {
    /// Names with the texts that they have.
    answers: Vec<(Name, Vec<String>)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Config {
    version: Option<String>,
    authors: Vec<String>,
}

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let instance = stanza.once()?;
        instance.no_block()?;
        let mut words = instance.args.iter().map(|word| word.text.clone());
        Ok(Self { version: words.next(), authors: words.collect() })
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers_some("answers questions of class CH about this server", ZoneSet::new(vec![Name::root()]))
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let version = self.version.unwrap_or_else(|| concat!("seamark-", env!("CARGO_PKG_VERSION")).to_owned());
        let authors = if self.authors.is_empty() { vec!["the authors of seamark".to_owned()] } else { self.authors };
        let host = block.host_name();
        let answers = [
            ("version.bind.", vec![version.clone()]),
            ("version.server.", vec![version]),
            ("authors.bind.", authors),
            ("hostname.bind.", vec![host.clone()]),
            ("id.server.", vec![host]),
        ];
        let answers = answers.into_iter().filter_map(|(name, texts)| Some((Name::parse(name).ok()?, texts)));
        block.link(Chaos { answers: answers.collect() });
        Ok(())
    }
}

impl Plugin for Chaos {
    fn name(&self) -> &'static str {
        "chaos"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        if question.class != Class::CH || question.record_type != RecordType::TXT {
            return Step::Next;
        }
        let Some((_, texts)) = self.answers.iter().find(|(name, _)| *name == question.name) else { return Step::Next };
        let record =
            |text: &String| Record { owner: NameRef::QUESTION, class: Class::CH, ttl: 0, data: RData::text(text) };
        let records = Records { answer: texts.iter().map(record).collect(), ..Records::default() };
        Response { body: Body::Records(records), ..Response::new(Rcode::NOERROR) }.into()
    }
}
