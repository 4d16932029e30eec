use super::{
    EvaluationError, Kind, Value,
    evaluate::{LONGEST, fail, text},
};

/// A function of the language itself: its place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Builtin(usize);

struct Entry {
    name: &'static str,
    takes: &'static [Kind],
    /// How many of the last arguments may be missing.
    optional: usize,
    gives: Kind,
    call: fn(&[Value]) -> Result,
}

type Result = std::result::Result<Value, EvaluationError>;

const fn entry(name: &'static str, takes: &'static [Kind], gives: Kind, call: fn(&[Value]) -> Result) -> Entry {
    Entry { name, takes, optional: 0, gives, call }
}

const fn optional(entry: Entry, optional: usize) -> Entry {
    Entry { optional, ..entry }
}

use Kind::{Any, Bool, Float, Int, List, Map, Text};

const TABLE: &[Entry] = &[
    // Of texts.
    entry("len", &[Any], Int, length),
    optional(entry("trim", &[Text, Text], Text, trim), 1),
    entry("trimPrefix", &[Text, Text], Text, |a| two(a, |one, two| one.strip_prefix(two).unwrap_or(one).into())),
    entry("trimSuffix", &[Text, Text], Text, |a| two(a, |one, two| one.strip_suffix(two).unwrap_or(one).into())),
    entry("hasPrefix", &[Text, Text], Bool, |a| two(a, |one, two| one.starts_with(two).into())),
    entry("hasSuffix", &[Text, Text], Bool, |a| two(a, |one, two| one.ends_with(two).into())),
    entry("indexOf", &[Text, Text], Int, |a| two(a, |one, two| place(one.find(two)))),
    entry("lastIndexOf", &[Text, Text], Int, |a| two(a, |one, two| place(one.rfind(two)))),
    entry("upper", &[Text], Text, |a| Ok(text(&a[0])?.to_uppercase().into())),
    entry("lower", &[Text], Text, |a| Ok(text(&a[0])?.to_lowercase().into())),
    optional(entry("split", &[Text, Text, Int], List, split), 1),
    entry("replace", &[Text, Text, Text], Text, replace),
    entry("repeat", &[Text, Int], Text, repeat),
    optional(entry("join", &[List, Text], Text, join), 1),
    // Of numbers.
    entry("abs", &[Float], Float, abs),
    entry("ceil", &[Float], Float, |a| rounded(a, f64::ceil)),
    entry("floor", &[Float], Float, |a| rounded(a, f64::floor)),
    entry("round", &[Float], Float, |a| rounded(a, f64::round)),
    entry("int", &[Any], Int, int),
    entry("float", &[Any], Float, float),
    entry("string", &[Any], Text, |a| Ok(a[0].to_string().into())),
    entry("bitand", &[Int, Int], Int, |a| bits(a, |one, two| one & two)),
    entry("bitor", &[Int, Int], Int, |a| bits(a, |one, two| one | two)),
    entry("bitxor", &[Int, Int], Int, |a| bits(a, |one, two| one ^ two)),
    entry("bitshl", &[Int, Int], Int, |a| bits(a, |one, two| one.checked_shl(two as u32).unwrap_or(0))),
    entry("bitshr", &[Int, Int], Int, |a| bits(a, |one, two| one >> two.clamp(0, 63))),
    entry("max", &[Any, Any], Any, |a| Ok(largest(a, false))),
    entry("min", &[Any, Any], Any, |a| Ok(largest(a, true))),
    // Of lists and maps.
    entry("sum", &[List], Any, sum),
    entry("first", &[List], Any, |a| Ok(list(&a[0])?.first().cloned().unwrap_or(Value::Nil))),
    entry("last", &[List], Any, |a| Ok(list(&a[0])?.last().cloned().unwrap_or(Value::Nil))),
    entry("take", &[List, Int], List, take),
    entry("reverse", &[List], List, |a| Ok(Value::List(list(&a[0])?.iter().rev().cloned().collect()))),
    entry("concat", &[List, List], List, |a| Ok(Value::List([list(&a[0])?, list(&a[1])?].concat()))),
    entry("uniq", &[List], List, uniq),
    entry("keys", &[Map], List, |a| Ok(Value::List(map(&a[0])?.iter().map(|(key, _)| key.as_str().into()).collect()))),
    entry("values", &[Map], List, |a| Ok(Value::List(map(&a[0])?.iter().map(|(_, value)| value.clone()).collect()))),
];

impl Builtin {
    pub(super) fn find(name: &str) -> Option<Self> {
        TABLE.iter().position(|entry| entry.name == name).map(Self)
    }

    /// The kinds that it takes, and how many of the last may be missing.
    pub(super) fn takes(self) -> (&'static [Kind], usize) {
        (TABLE[self.0].takes, TABLE[self.0].optional)
    }

    pub(super) fn gives(self) -> Kind {
        TABLE[self.0].gives
    }

    pub(super) fn call(self, arguments: &[Value]) -> Result {
        (TABLE[self.0].call)(arguments)
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|entry| entry.name)
    }
}

fn two(arguments: &[Value], make: impl Fn(&str, &str) -> Value) -> Result {
    Ok(make(text(&arguments[0])?, text(&arguments[1])?))
}

fn place(found: Option<usize>) -> Value {
    Value::Int(found.map_or(-1, |at| at as i64))
}

fn list(value: &Value) -> std::result::Result<&[Value], EvaluationError> {
    match value {
        Value::List(list) => Ok(list),
        other => fail(format!("expected a list, found {}", other.kind())),
    }
}

fn map(value: &Value) -> std::result::Result<&[(String, Value)], EvaluationError> {
    match value {
        Value::Map(entries) => Ok(entries),
        other => fail(format!("expected a map, found {}", other.kind())),
    }
}

fn integer(value: &Value) -> std::result::Result<i64, EvaluationError> {
    match value {
        Value::Int(number) => Ok(*number),
        other => fail(format!("expected an integer, found {}", other.kind())),
    }
}

fn length(arguments: &[Value]) -> Result {
    let length = match &arguments[0] {
        Value::Text(text) => text.chars().count(),
        Value::List(list) => list.len(),
        Value::Map(entries) => entries.len(),
        other => return fail(format!("{} has no length", other.kind())),
    };
    Ok(Value::Int(length as i64))
}

fn trim(arguments: &[Value]) -> Result {
    let whole = text(&arguments[0])?;
    match arguments.get(1) {
        None => Ok(whole.trim().into()),
        Some(characters) => {
            let characters = text(characters)?;
            Ok(whole.trim_matches(|c| characters.contains(c)).into())
        }
    }
}

fn split(arguments: &[Value]) -> Result {
    let (whole, separator) = (text(&arguments[0])?, text(&arguments[1])?);
    let most = arguments.get(2).map(integer).transpose()?.and_then(|most| usize::try_from(most).ok());
    let parts: Vec<Value> = match (separator, most) {
        ("", _) => whole.chars().take(most.unwrap_or(usize::MAX)).map(|c| c.to_string().into()).collect(),
        (separator, Some(most)) => whole.splitn(most, separator).map(Value::from).collect(),
        (separator, None) => whole.split(separator).map(Value::from).collect(),
    };
    Ok(Value::List(parts))
}

fn replace(arguments: &[Value]) -> Result {
    let (whole, old, new) = (text(&arguments[0])?, text(&arguments[1])?, text(&arguments[2])?);
    if whole.len().saturating_mul(new.len() + 1) > LONGEST {
        return fail("a string is too long");
    }
    Ok(whole.replace(old, new).into())
}

fn repeat(arguments: &[Value]) -> Result {
    let (part, times) = (text(&arguments[0])?, integer(&arguments[1])?);
    let times = usize::try_from(times).map_or_else(|_| fail("a text cannot be there less than never"), Ok)?;
    if part.len().saturating_mul(times) > LONGEST {
        return fail("a string is too long");
    }
    Ok(part.repeat(times).into())
}

fn join(arguments: &[Value]) -> Result {
    let parts = list(&arguments[0])?.iter().map(text).collect::<std::result::Result<Vec<_>, _>>()?;
    let glue = arguments.get(1).map_or(Ok(""), text)?;
    Ok(parts.join(glue).into())
}

fn abs(arguments: &[Value]) -> Result {
    match &arguments[0] {
        Value::Int(number) => number.checked_abs().map(Value::Int).map_or_else(|| fail("too large"), Ok),
        other => other.float().map(|number| Value::Float(number.abs())).map_or_else(|| fail("expected a number"), Ok),
    }
}

fn rounded(arguments: &[Value], round: fn(f64) -> f64) -> Result {
    let number = arguments[0].float();
    number.map(|number| Value::Float(round(number))).map_or_else(|| fail("expected a number"), Ok)
}

fn int(arguments: &[Value]) -> Result {
    let number = match &arguments[0] {
        Value::Int(number) => Some(*number),
        Value::Float(number) => Some(*number as i64),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    number.map(Value::Int).map_or_else(|| fail(format!("`{}` is no integer", arguments[0])), Ok)
}

fn float(arguments: &[Value]) -> Result {
    let number = match &arguments[0] {
        Value::Text(text) => text.parse().ok(),
        other => other.float(),
    };
    number.map(Value::Float).map_or_else(|| fail(format!("`{}` is no number", arguments[0])), Ok)
}

fn bits(arguments: &[Value], make: fn(i64, i64) -> i64) -> Result {
    Ok(Value::Int(make(integer(&arguments[0])?, integer(&arguments[1])?)))
}

fn largest(arguments: &[Value], smallest: bool) -> Value {
    let wanted = if smallest { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater };
    let better = arguments[1].compare(&arguments[0]) == Some(wanted);
    arguments[usize::from(better)].clone()
}

fn sum(arguments: &[Value]) -> Result {
    let mut total = Value::Int(0);
    for value in list(&arguments[0])? {
        total = match (&total, value) {
            (Value::Int(one), Value::Int(two)) => {
                one.checked_add(*two).map(Value::Int).map_or_else(|| fail("too large"), Ok)?
            }
            (one, two) => match (one.float(), two.float()) {
                (Some(one), Some(two)) => Value::Float(one + two),
                _ => return fail("only numbers have a sum"),
            },
        };
    }
    Ok(total)
}

fn take(arguments: &[Value]) -> Result {
    let most = usize::try_from(integer(&arguments[1])?).unwrap_or(0);
    Ok(Value::List(list(&arguments[0])?.iter().take(most).cloned().collect()))
}

fn uniq(arguments: &[Value]) -> Result {
    let mut kept: Vec<Value> = Vec::new();
    for value in list(&arguments[0])? {
        if !kept.iter().any(|known| known.equals(value)) {
            kept.push(value.clone());
        }
    }
    Ok(Value::List(kept))
}
