use std::sync::Arc;

use super::{
    Rewrite,
    option::{Change, NSID, OptionRule, SUBNET, Value},
    pattern::{Kind, LastDot, Pattern, Renaming},
    rule::{Action, Answer, Rule},
    rules::Rules,
    variable::Variable,
};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Args, Error, Errors, Instance, Stanza, Token},
    wire::{Class, Rcode, RecordType},
};

const FIELDS: [&str; 7] = ["name", "type", "class", "ttl", "rcode", "cname", "edns0"];
const CHANGES: [&str; 4] = ["set", "append", "replace", "unset"];
/// Response codes beyond those that every program knows (RFC 8945 section 5.3, RFC 2930, RFC 7873).
const RARE_RCODES: [(&str, u16); 10] = [
    ("NOTIMPL", 4),
    ("BADSIG", 16),
    ("BADVERS", 16),
    ("BADKEY", 17),
    ("BADTIME", 18),
    ("BADMODE", 19),
    ("BADNAME", 20),
    ("BADALG", 21),
    ("BADTRUNC", 22),
    ("BADCOOKIE", 23),
];

/// All `rewrite` lines of a server block, in order.
pub(super) struct Config {
    pub(super) rules: Vec<Rule>,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    let mut rules = Vec::new();
    let mut errors = Vec::new();
    for instance in &stanza.instances {
        match rule(instance) {
            Ok(rule) => rules.push(rule),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(Box::new(Config { rules })) } else { Err(Errors::new(errors)) }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("asks another question, and changes what comes back")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let server = block.server();
        block.link(Rewrite { rules: Arc::new(Rules::new(self.rules, block.labels())), server });
        Ok(())
    }
}

/// A rule stands on one line, or its words stand in braces; braces behind a whole rule are an error.
pub(super) fn rule(instance: &Instance) -> Result<Rule, Error> {
    let mut words = instance.args.clone();
    if words.len() < 2 {
        for line in &instance.lines {
            line.no_block()?;
            words.push(line.word.clone());
            words.extend(line.args.iter().cloned());
        }
    } else {
        instance.no_block()?;
    }
    let flat = Instance { name: instance.name.clone(), args: words, lines: Vec::new(), braces: false };
    let mut args = flat.args();
    let mut field = args.require("a field")?;
    let mode = lower(field);
    if mode == "continue" || mode == "stop" {
        field = args.require("a field")?;
    }
    let action = match lower(field).as_str() {
        "name" => name(args),
        "type" => pair(args, "type", record_type).map(|(from, to)| Action::Type { from, to }),
        "class" => pair(args, "class", class).map(|(from, to)| Action::Class { from, to }),
        "ttl" => ttl(args),
        "rcode" => rcode(args),
        "cname" => cname(args),
        "edns0" => option(args).map(Action::Option),
        "answer" => return Err(field.error("`answer` must stand behind a name rule")),
        _ => return Err(field.unknown("field", &FIELDS)),
    };
    let action = action.map_err(|error| error.within(&field.text))?;
    Ok(Rule { action, stop: mode != "continue" })
}

fn lower(word: &Token) -> String {
    word.text.to_ascii_lowercase()
}

/// `[KIND] FROM TO [metadata] [answer ...]`; without a kind, nothing may follow.
fn name(mut args: Args<'_>) -> Result<Action, Error> {
    let first = args.require("a name")?;
    let second = args.require("the name to put there")?;
    if args.peek().is_none() {
        let renaming = Renaming::read(Kind::Exact, first, second, LastDot::Added)?;
        return Ok(Action::Name { renaming, answers: vec![Answer::Auto] });
    }
    let kind = Kind::parse(first)?;
    let (from, to) = (second, args.require("the name to put there")?);
    let labels = args.peek().filter(|word| lower(word) == "metadata");
    let renaming = match labels {
        Some(word) if kind != Kind::Regex => return Err(word.error("`metadata` is for `name regex` only")),
        Some(_) => {
            args.next();
            Renaming::regex(from, to, true)?
        }
        None => Renaming::read(kind, from, to, LastDot::Added)?,
    };
    let answers = answers(args, kind == Kind::Exact)?;
    Ok(Action::Name { renaming, answers })
}

/// `answer (auto | (name|value) FROM TO)`, again and again; the word `answer` itself only the first time. `auto` goes
/// before the others, wherever it stands.
fn answers(mut args: Args<'_>, exact: bool) -> Result<Vec<Answer>, Error> {
    let mut explicit = Vec::new();
    let mut auto = None;
    let mut owner = None;
    let mut first = true;
    while let Some(mut word) = args.next() {
        if lower(word) == "answer" {
            word = args.require("`auto`, `name` or `value`")?;
        } else if first {
            return Err(word.unknown("option", &["answer"]));
        }
        first = false;
        let what = lower(word);
        if what == "auto" {
            auto = Some(word);
            continue;
        }
        if what != "name" && what != "value" {
            return Err(word.unknown("answer", &["auto", "name", "value"]));
        }
        let from = args.require("a regular expression")?;
        let renaming = Renaming::regex(from, args.require("the name to put there")?, false)?;
        if what == "name" {
            owner = Some(word);
            explicit.push(Answer::Owner(renaming));
        } else {
            explicit.push(Answer::Value(renaming));
        }
    }
    if let (Some(auto), Some(_)) = (auto, owner) {
        return Err(auto.error("`answer auto` and `answer name` cannot stand together"));
    }
    if exact || auto.is_some() {
        explicit.insert(0, Answer::Auto);
    }
    Ok(explicit)
}

fn pair<T>(mut args: Args<'_>, what: &str, read: impl Fn(&Token) -> Result<T, Error>) -> Result<(T, T), Error> {
    let from = read(args.require(&format!("the {what} to change"))?)?;
    let to = read(args.require(&format!("the {what} to put there"))?)?;
    args.finish()?;
    Ok((from, to))
}

fn record_type(word: &Token) -> Result<RecordType, Error> {
    RecordType::from_mnemonic(&word.text.to_ascii_uppercase())
        .ok_or_else(|| word.error(format!("unknown type `{}`", word.text)))
}

fn class(word: &Token) -> Result<Class, Error> {
    Class::from_mnemonic(&word.text.to_ascii_uppercase())
        .ok_or_else(|| word.error(format!("unknown class `{}`", word.text)))
}

/// `[KIND] NAME`, with so many words behind it.
fn about(args: &mut Args<'_>, behind: usize) -> Result<Pattern, Error> {
    let first = args.require("a name")?;
    // With one word more than is needed, the first one is a kind.
    let kind = if args.clone().rest().len() > behind { Some(Kind::parse(first)?) } else { None };
    match kind {
        Some(kind) => Pattern::read(kind, args.require("a name")?, LastDot::Added),
        None => Pattern::read(Kind::Exact, first, LastDot::Added),
    }
}

fn ttl(mut args: Args<'_>) -> Result<Action, Error> {
    let about = about(&mut args, 1)?;
    let word = args.one("seconds, or a range of them")?;
    let expected =
        || word.error(format!("expected seconds such as `30`, `30-300`, `-300` or `30-`, found `{}`", word.text));
    let (least, most) = match word.text.split_once('-') {
        None => (word.text.as_str(), word.text.as_str()),
        Some(("", "")) => return Err(expected()),
        Some((least, "")) => (least, "4294967295"),
        Some(("", most)) => ("0", most),
        Some(range) => range,
    };
    let (Ok(least), Ok(most)) = (least.parse::<u32>(), most.parse::<u32>()) else { return Err(expected()) };
    if least > most {
        return Err(word.error(format!("the range `{}` ends before it begins", word.text)));
    }
    Ok(Action::Ttl { about, least, most })
}

fn rcode(mut args: Args<'_>) -> Result<Action, Error> {
    let about = about(&mut args, 2)?;
    let (from, to) = pair(args, "response code", |word| {
        let text = word.text.to_ascii_uppercase();
        let number = text.parse::<u16>().ok().filter(|number| matches!(number, 0..=10 | 16..=23));
        let rare = || RARE_RCODES.iter().find(|(name, _)| *name == text).map(|&(_, number)| Rcode(number));
        let known = number.map(Rcode).or_else(|| Rcode::from_mnemonic(&text).filter(|_| !text.starts_with("RCODE")));
        known.or_else(rare).ok_or_else(|| word.error(format!("unknown response code `{}`", word.text)))
    })?;
    Ok(Action::Rcode { about, from, to })
}

fn cname(mut args: Args<'_>) -> Result<Action, Error> {
    let first = args.require("a name")?;
    let second = args.require("the name to put there")?;
    let renaming = match args.next() {
        None => Renaming::read(Kind::Exact, first, second, LastDot::Added)?,
        Some(third) => Renaming::read(Kind::parse(first)?, second, third, LastDot::AsWritten)?,
    };
    args.finish()?;
    Ok(Action::Cname(renaming))
}

fn option(mut args: Args<'_>) -> Result<OptionRule, Error> {
    let kind = args.require("`local`, `nsid` or `subnet`")?;
    let word = args.require("`set`, `append`, `replace` or `unset`")?;
    let change = lower(word);
    if !CHANGES.contains(&change.as_str()) {
        return Err(word.unknown("action", &CHANGES));
    }
    let unset = change == "unset";
    let (code, value) = match lower(kind).as_str() {
        "local" => {
            let code = option_code(args.require("the code of an option")?)?;
            (code, if unset { None } else { Some(data(args.require("data")?)?) })
        }
        "nsid" => (NSID, Some(Value::Fixed(Vec::new()))),
        "subnet" if unset => (SUBNET, None),
        "subnet" => {
            let v4 = args.integer("bits of IPv4 addresses", 0..=32)? as u8;
            let v6 = args.integer("bits of IPv6 addresses", 0..=128)? as u8;
            (SUBNET, Some(Value::Subnet { v4, v6 }))
        }
        _ => return Err(kind.unknown("option", &["local", "nsid", "subnet"])),
    };
    let revert = args.peek().is_some_and(|word| lower(word) == "revert") && !unset;
    if revert {
        args.next();
    }
    args.finish()?;
    let change = match (change.as_str(), value) {
        ("set", Some(value)) => Change::Set(value),
        ("append", Some(value)) => Change::Append(value),
        ("replace", Some(value)) => Change::Replace(value),
        _ => Change::Unset,
    };
    Ok(OptionRule { code, change, revert, shown: lower(kind) == "local" })
}

/// A code in Go's notation: decimal, or with `0x`, `0o`, `0`, `0b` in front.
fn option_code(word: &Token) -> Result<u16, Error> {
    let text = lower(word);
    let based = |prefix: &str, base| text.strip_prefix(prefix).map(|digits| u16::from_str_radix(digits, base));
    let octal = || if text.len() > 1 { based("0", 8) } else { None };
    let code = based("0x", 16).or_else(|| based("0o", 8)).or_else(|| based("0b", 2)).or_else(octal);
    code.unwrap_or_else(|| text.parse()).map_err(|_| {
        word.error(format!("expected the code of an option such as `0xffee` or `65518`, found `{}`", word.text))
    })
}

fn data(word: &Token) -> Result<Value, Error> {
    if let Some(name) = word.text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let unknown = || {
            let known = Variable::NAMES.join(", ");
            word.error(format!(
                "unknown variable `{}`; there are {known}, and labels such as `plugin/label`",
                word.text
            ))
        };
        return Variable::parse(name).map(Value::Variable).ok_or_else(unknown);
    }
    let Some(digits) = word.text.strip_prefix("0x") else { return Ok(Value::Fixed(word.text.clone().into_bytes())) };
    let octet = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok().filter(|_| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    let octets: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(octet).collect();
    octets
        .map(Value::Fixed)
        .ok_or_else(|| word.error(format!("expected pairs of hexadecimal digits behind `0x`, found `{}`", word.text)))
}
