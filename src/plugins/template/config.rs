use regex::Regex;

use super::{Matcher, Part, Rule, SECTIONS, Templates, facts, functions::FUNCTIONS, metrics::Metrics};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet, read_expression},
    corefile::{Error, Errors, Instance, Line, Stanza, Token},
    expression::{Expression, Kind, is_taken},
    pattern,
    template::Template,
    wire::{Class, Ede, Rcode, RecordType},
};

const PROPERTIES: [&str; 10] =
    ["match", "var", "expr", "answer", "additional", "authority", "rcode", "ederror", "fallthrough", "upstream"];

/// All `template` stanzas of a server block, in the order of the file.
#[derive(Debug)]
struct Config(Vec<Rule>);

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    let (rules, errors): (Vec<_>, Vec<_>) =
        stanza.instances.iter().map(|instance| read(instance, keys)).partition(Result::is_ok);
    let errors: Vec<Error> = errors.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() {
        Ok(Box::new(Config(rules.into_iter().flatten().collect())))
    } else {
        Err(Errors::new(errors))
    }
}

pub(super) fn read(instance: &Instance, keys: &Keys) -> Result<Rule, Error> {
    let mut args = instance.args();
    let class = args.require("a class such as `IN`, or `ANY`")?;
    let known = Class::from_mnemonic(&class.text.to_ascii_uppercase());
    let class = known.ok_or_else(|| class.error(format!("unknown class `{}`", class.text)))?;
    let kind = args.require("a type such as `A`, or `ANY`")?;
    let known = RecordType::from_mnemonic(&kind.text.to_ascii_uppercase());
    let record_type = known.ok_or_else(|| kind.error(format!("unknown type `{}`", kind.text)))?;
    let zones = ZoneSet::read(&args.zones_or(&keys.zones)?, &instance.name)?;
    let mut rule = Rule {
        class: (class != Class::ANY).then_some(class),
        record_type: (record_type != RecordType::ANY).then_some(record_type),
        zones,
        matchers: Vec::new(),
        variables: Vec::new(),
        conditions: Vec::new(),
        parts: Default::default(),
        rcode: Rcode::NOERROR,
        ede: None,
        fallthrough: ZoneSet::default(),
    };
    for line in &instance.lines {
        property(&mut rule, line).map_err(|error| within(line, error))?;
    }
    if rule.matchers.is_empty() {
        rule.matchers.push(Matcher::Everything);
    }
    Ok(rule)
}

/// The name of the property in front, but for words that are no property.
fn within(line: &Line, error: Error) -> Error {
    if PROPERTIES.contains(&line.word.text.as_str()) { error.within(&line.word.text) } else { error }
}

fn property(rule: &mut Rule, line: &Line) -> Result<(), Error> {
    let word = line.word.text.as_str();
    match word {
        "match" => {
            let mut args = line.args();
            let mut next = Some(args.require("a regular expression")?);
            while let Some(pattern) = next {
                rule.matchers.push(Matcher::Pattern(compiled(pattern)?));
                next = args.next();
            }
            args.finish()
        }
        "rcode" => {
            let word = line.args().one("a response code")?;
            let known = Rcode::from_mnemonic(&word.text.to_ascii_uppercase());
            rule.rcode = known.ok_or_else(|| word.error(format!("unknown response code `{}`", word.text)))?;
            Ok(())
        }
        "ederror" => {
            let mut args = line.args();
            let code = args.integer("the code of an extended error", 0..=65_535)? as u16;
            let text = args.next().map(|word| word.text.clone()).unwrap_or_default();
            args.finish()?;
            rule.ede = Some(Ede { code, text: text.into() });
            Ok(())
        }
        "fallthrough" => {
            rule.fallthrough = ZoneSet::read(&line.args().fallthrough()?, &line.word)?;
            Ok(())
        }
        // Once told who to ask for aliases; the server itself is asked.
        "upstream" => line.no_block(),
        "var" => variable(rule, line),
        "expr" => {
            let condition = expression(rule, line, &line.args)?;
            if !matches!(condition.kind(), Kind::Bool | Kind::Any) {
                let kind = condition.kind();
                return Err(line.args[0].error(format!("the expression gives {kind}: it must say true or false")));
            }
            rule.conditions.push(condition);
            Ok(())
        }
        _ => match SECTIONS.iter().position(|section| *section == word) {
            Some(section) => parts(&mut rule.parts[section], line),
            None => Err(line.unknown(&PROPERTIES)),
        },
    }
}

/// `var NAME EXPRESSION`.
fn variable(rule: &mut Rule, line: &Line) -> Result<(), Error> {
    let name = line.args().require("a name for the variable")?;
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.text.starts_with(begins) || !name.text.chars().all(|c| begins(c) || c.is_ascii_digit()) {
        return Err(name.error(format!("`{}` is no name: letters, digits and `_`, no digit first", name.text)));
    }
    if is_taken(&name.text, &facts::functions()) {
        return Err(name.error(format!("`{}` means something in expressions already", name.text)));
    }
    if rule.variables.iter().any(|(known, _)| *known == name.text) {
        return Err(name.error(format!("there is a variable `{}` already", name.text)));
    }
    if line.args.len() == 1 {
        return Err(name.error(format!("expected an expression behind `{}`", name.text)));
    }
    let value = expression(rule, line, &line.args[1..])?;
    rule.variables.push((name.text.clone(), value));
    Ok(())
}

/// An expression over the query, the groups of the pattern and the variables so far.
fn expression(rule: &Rule, line: &Line, words: &[Token]) -> Result<Expression, Error> {
    line.no_block()?;
    if words.is_empty() {
        line.args().require("an expression")?;
    }
    let known: Vec<(String, Kind)> = rule.variables.iter().map(|(name, value)| (name.clone(), value.kind())).collect();
    read_expression(words, &facts::functions(), &known)
}

fn parts(parts: &mut Vec<Part>, line: &Line) -> Result<(), Error> {
    let mut args = line.args();
    let mut next = Some(args.require("a template")?);
    while let Some(word) = next {
        let template =
            Template::parse(&word.text, FUNCTIONS).map_err(|error| word.error(format!("bad template {error}")))?;
        parts.push(Part { template, text: word.text.clone() });
        next = args.next();
    }
    args.finish()
}

fn compiled(word: &Token) -> Result<Regex, Error> {
    pattern::of_text(&word.text).map_err(|error| word.error(error.to_string()))
}

impl Build for Config {
    fn role(&self) -> Role {
        let all = |rule: &&Rule| {
            let bound = rule.class.is_some_and(|class| class != Class::IN) || rule.record_type.is_some();
            !bound && rule.matchers.iter().any(|matcher| matches!(matcher, Matcher::Everything))
        };
        let whole = self.0.iter().filter(all).flat_map(|rule| rule.fallthrough.iter());
        let some = self.0.iter().filter(|rule| !all(rule)).flat_map(|rule| rule.zones.iter());
        let zones = self.0.iter().flat_map(|rule| rule.zones.iter().copied()).collect();
        Role::answers("answers from templates", zones, whole.chain(some).copied().collect())
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let metrics = Metrics::register(block.registry(), block.servers(), &self.0);
        block.link(Templates { rules: self.0, metrics, server: block.server(), labels: block.labels() });
        Ok(())
    }
}
