use std::{cmp::Ordering, fmt};

use super::{
    format::sprintf,
    value::{Value, entry},
};

/// Something that a template can call.
#[derive(Clone, Copy)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Computes its value; a text says what is wrong with the arguments.
    pub call: for<'v, 'a> fn(&'v [Value<'a>]) -> Result<Value<'a>, String>,
    /// Set for `and` and `or`: which truth ends them.
    pub(super) stops_at: Option<bool>,
}

impl Function {
    /// A function of this name.
    pub const fn new(name: &'static str, call: for<'v, 'a> fn(&'v [Value<'a>]) -> Result<Value<'a>, String>) -> Self {
        Self { name, call, stops_at: None }
    }

    const fn stopping(name: &'static str, stops_at: bool) -> Self {
        Self { name, call: |_| Ok(Value::None), stops_at: Some(stops_at) }
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The functions of Go's text/template but `call`, for which there is no use.
pub(super) const BUILT_IN: &[Function] = &[
    Function::stopping("and", false),
    Function::stopping("or", true),
    Function::new("not", |values| Ok(Value::Bool(!one(values)?.is_true()))),
    Function::new("eq", |values| equal(values).map(Value::Bool)),
    Function::new("ne", |values| {
        let [_, _] = two(values)?;
        Ok(Value::Bool(!equal(values)?))
    }),
    Function::new("lt", |values| ordered(values, Ordering::is_lt)),
    Function::new("le", |values| ordered(values, Ordering::is_le)),
    Function::new("gt", |values| ordered(values, Ordering::is_gt)),
    Function::new("ge", |values| ordered(values, Ordering::is_ge)),
    Function::new("len", length),
    Function::new("index", index),
    Function::new("slice", slice),
    Function::new("print", |values| Ok(printed(values).into())),
    Function::new("println", |values| Ok(spaced(values).into())),
    Function::new("printf", |values| {
        let (Value::Text(form), rest) = values.split_first().ok_or("needs a format")? else {
            return Err("the format must be a text".to_owned());
        };
        Ok(sprintf(form, rest).into())
    }),
    Function::new("html", |values| Ok(escaped(&printed(values), &HTML).into())),
    Function::new("js", |values| Ok(escaped(&printed(values), &SCRIPT).into())),
    Function::new("urlquery", |values| Ok(query(&printed(values)).into())),
];

fn one<'v, 'a>(values: &'v [Value<'a>]) -> Result<&'v Value<'a>, String> {
    match values {
        [only] => Ok(only),
        _ => Err(format!("wants 1 argument, has {}", values.len())),
    }
}

fn two<'v, 'a>(values: &'v [Value<'a>]) -> Result<[&'v Value<'a>; 2], String> {
    match values {
        [first, second] => Ok([first, second]),
        _ => Err(format!("wants 2 arguments, has {}", values.len())),
    }
}

/// How two values compare; whole numbers of both kinds do, all others must be of one kind.
fn compare(one: &Value<'_>, other: &Value<'_>) -> Result<Ordering, String> {
    let incompatible = || "incompatible types for comparison".to_owned();
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => Ok(one.cmp(other)),
        (Value::Float(one), Value::Float(other)) => one.partial_cmp(other).ok_or_else(incompatible),
        _ => match (one.integer(), other.integer()) {
            (Some(one), Some(other)) => Ok(one.cmp(&other)),
            _ => Err(incompatible()),
        },
    }
}

/// Whether the first value equals one of the others.
fn equal(values: &[Value<'_>]) -> Result<bool, String> {
    let (first, others) = values.split_first().filter(|(_, others)| !others.is_empty()).ok_or("missing argument")?;
    for other in others {
        let same = match (first, other) {
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::None, other) | (other, Value::None) => matches!(other, Value::None) && matches!(first, Value::None),
            _ => compare(first, other)?.is_eq(),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ordered<'a>(values: &[Value<'a>], holds: fn(Ordering) -> bool) -> Result<Value<'a>, String> {
    let [one, other] = two(values)?;
    compare(one, other).map(holds).map(Value::Bool)
}

fn length<'a>(values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let length = match one(values)? {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Integer(length as i64))
}

fn index<'a>(values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let (first, keys) = values.split_first().ok_or("missing argument")?;
    let mut value = first.clone();
    for key in keys {
        let place = |length: usize| {
            let place = key.integer().ok_or_else(|| format!("cannot index with type {}", key.type_name()))?;
            usize::try_from(place)
                .ok()
                .filter(|place| *place < length)
                .ok_or_else(|| format!("index out of range: {place}"))
        };
        value = match &value {
            Value::List(list) => list[place(list.len())?].clone(),
            Value::Text(text) => Value::Unsigned(u64::from(text.as_bytes()[place(text.len())?])),
            // What a map does not hold is the empty value of its kind.
            Value::Map(map) => match key {
                Value::Text(name) => entry(map, name).cloned().unwrap_or_else(|| "".into()),
                _ => {
                    let found = map.iter().find(|(known, _)| compare(known, key).is_ok_and(Ordering::is_eq));
                    found.map_or_else(|| "".into(), |(_, value)| value.clone())
                }
            },
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn slice<'a>(values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let (first, places) = values.split_first().ok_or("missing argument")?;
    if places.len() > 2 {
        return Err(format!("too many slice indexes: {}", places.len()));
    }
    let cut = |length: usize| -> Result<(usize, usize), String> {
        let mut range = [0, length];
        for (slot, value) in range.iter_mut().zip(places) {
            let place = value.integer().ok_or_else(|| format!("cannot index with type {}", value.type_name()))?;
            *slot = usize::try_from(place)
                .ok()
                .filter(|place| *place <= length)
                .ok_or_else(|| format!("index out of range: {place}"))?;
        }
        if range[0] > range[1] {
            Err(format!("invalid slice index: {} > {}", range[0], range[1]))
        } else {
            Ok((range[0], range[1]))
        }
    };
    match first {
        Value::Text(text) => {
            let (start, end) = cut(text.len())?;
            Ok(String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned().into())
        }
        Value::List(list) => {
            let (start, end) = cut(list.len())?;
            Ok(Value::List(list[start..end].to_vec()))
        }
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}

/// Blanks stand between values that are no texts.
fn printed(values: &[Value<'_>]) -> String {
    let mut out = String::new();
    for (place, value) in values.iter().enumerate() {
        let text = |value: &Value<'_>| matches!(value, Value::Text(_));
        if place > 0 && !text(value) && !text(&values[place - 1]) {
            out.push(' ');
        }
        out.push_str(&shown(value));
    }
    out
}

fn spaced(values: &[Value<'_>]) -> String {
    let texts: Vec<String> = values.iter().map(shown).collect();
    texts.join(" ") + "\n"
}

fn shown(value: &Value<'_>) -> String {
    if matches!(value, Value::None) { "<nil>".to_owned() } else { value.to_string() }
}

const HTML: [(char, &str); 6] =
    [('\0', "\u{fffd}"), ('"', "&#34;"), ('\'', "&#39;"), ('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")];
const SCRIPT: [(char, &str); 7] = [
    ('\\', "\\\\"),
    ('\'', "\\'"),
    ('"', "\\\""),
    ('<', "\\u003C"),
    ('>', "\\u003E"),
    ('&', "\\u0026"),
    ('=', "\\u003D"),
];

fn escaped(text: &str, escapes: &[(char, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match escapes.iter().find(|(from, _)| *from == character) {
            Some((_, to)) => out.push_str(to),
            None => out.push(character),
        }
    }
    out
}

fn query(text: &str) -> String {
    let mut out = String::new();
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(octet)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}
