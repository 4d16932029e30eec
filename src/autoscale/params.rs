//! The ConfigMap's parameters: exactly one key, `linear` or `ladder`, that holds JSON.

use std::{collections::BTreeMap, fmt};

use super::{
    json::{self, Fault, Value, is_key},
    ladder::Ladder,
    linear::Linear,
    size::Size,
};

/// The data of a ConfigMap.
pub type Data = BTreeMap<String, String>;

/// How replicas follow from the size of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Params {
    /// So many nodes or cores for each replica.
    Linear(Linear),
    /// Steps.
    Ladder(Ladder),
}

/// Which texts are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whatever the original takes, also what leads to no replicas at all.
    pub compat: bool,
    /// A result of zero replicas is meant.
    pub allow_zero: bool,
}

/// Why parameters are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `linear:1:5: ` and what is wrong; without a place if it is not about a place.
    pub message: String,
    /// The line of the text with a caret below, if there is a place.
    pub excerpt: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// Something that is wrong at no place in particular.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), excerpt: None }
    }

    /// A fault at a place of a text that is called `name`.
    pub(super) fn at(name: &str, text: &str, fault: &Fault) -> Self {
        let (line, column) = fault.place(text);
        let shown = text.lines().nth(line - 1).unwrap_or_default();
        let excerpt = format!("  {shown}\n  {}^", " ".repeat(column - 1));
        Self { message: format!("{name}:{line}:{column}: {}", fault.message), excerpt: Some(excerpt) }
    }
}

impl Params {
    /// Reads the data of a ConfigMap.
    ///
    /// # Errors
    /// Not exactly one key, an unknown key, or a text that is refused.
    pub fn read(data: &Data, rules: Rules) -> Result<Self, Refusal> {
        let mut entries = data.iter();
        let (Some((mode, text)), None) = (entries.next(), entries.next()) else {
            let found: Vec<String> = data.keys().map(|key| format!("`{key}`")).collect();
            let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            return Err(Refusal::new(format!("expected exactly one key, `linear` or `ladder`, found {found}")));
        };
        let refusal = |fault: Fault| Refusal::at(mode, text, &fault);
        match mode.as_str() {
            "linear" => Linear::read(text).map(Self::Linear).map_err(refusal),
            "ladder" => Ladder::read(text, rules).map(Self::Ladder).map_err(refusal),
            other => {
                let hint = if ["linear", "ladder"].iter().any(|name| name.eq_ignore_ascii_case(other)) {
                    " (small letters)"
                } else {
                    ""
                };
                Err(Refusal::new(format!("unknown key `{other}`: expected `linear` or `ladder`{hint}")))
            }
        }
    }

    /// The number of replicas for a cluster of this size; each step of the way is told to `say`.
    ///
    /// # Errors
    /// Zero without permission, or more than the API takes.
    pub fn replicas(&self, size: Size, rules: Rules, say: &mut dyn FnMut(String)) -> Result<i32, Unfit> {
        let (wanted, permitted) = match self {
            Self::Linear(linear) => (linear.replicas(size, say), false),
            Self::Ladder(ladder) => (ladder.replicas(size, say), ladder.allow_zero),
        };
        match i32::try_from(wanted) {
            Ok(0) if !(rules.compat || rules.allow_zero || permitted) => Err(Unfit::Zero),
            Ok(replicas) => Ok(replicas),
            Err(_) => Err(Unfit::TooMany),
        }
    }
}

/// Why a number of replicas is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Zero, and nobody has said that zero is meant.
    #[error(
        "the parameters give 0 replicas for this size; if that is meant, write `\"allowZero\": true` beside the ladder"
    )]
    Zero,
    /// More than 2147483647.
    #[error("the parameters give more than 2147483647 replicas")]
    TooMany,
}

/// Reads the entries of a JSON object; `null` is an object without entries, as Go has it.
pub(super) fn entries(text: &str) -> Result<(usize, Vec<(String, json::Node)>), Fault> {
    let node = json::parse(text)?;
    match node.value {
        Value::Object(entries) => Ok((node.at, entries)),
        Value::Null => Ok((node.at, Vec::new())),
        other => Err(Fault::new(node.at, format!("expected an object with parameters, found {}", other.describe()))),
    }
}

/// A value that was read, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// Takes a value into a field if the key is its name. `null` leaves the field as it is.
pub(super) fn take<T>(
    (key, node): &(String, json::Node),
    name: &str,
    field: &mut Placed<T>,
    read: fn(&Value) -> Result<T, String>,
) -> Result<(), Fault> {
    if !is_key(key, name) || node.value == Value::Null {
        return Ok(());
    }
    let value = read(&node.value).map_err(|problem| Fault::new(node.at, format!("`{name}`: {problem}")))?;
    *field = Placed { value, at: node.at };
    Ok(())
}

pub(super) fn float(value: &Value) -> Result<f64, String> {
    let Value::Number(text) = value else { return Err(format!("expected a number, found {}", value.describe())) };
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("{text} is too large"))
}

pub(super) fn integer(value: &Value) -> Result<i64, String> {
    let Value::Number(text) = value else { return Err(format!("expected an integer, found {}", value.describe())) };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(format!("expected an integer without point or exponent, found {text}"));
    }
    text.parse().map_err(|_| format!("{text} is too large"))
}

pub(super) fn switch(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(on) => Ok(*on),
        other => Err(format!("expected true or false, found {}", other.describe())),
    }
}
