use std::{borrow::Cow, fmt};

/// What templates compute with.
#[derive(Clone)]
#[allow(missing_docs, reason = "the kinds of values of Go")]
pub enum Value<'a> {
    /// No value, printed as `<no value>`.
    None,
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    /// Sorted by key.
    Map(Vec<(Self, Self)>),
    Object(&'a dyn Object),
}

/// Data with fields and methods.
pub trait Object {
    /// What Go calls its type, for messages.
    fn kind(&self) -> &'static str;

    /// A field; `None` if there is none of this name.
    fn field(&self, name: &str) -> Option<Value<'_>>;

    /// Calls a method; `None` if there is none of this name.
    fn call(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        _ = (name, arguments);
        None
    }

    /// As it is printed.
    fn text(&self) -> String {
        format!("({})", self.kind())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> Value<'a> {
    /// What Go takes for true: all but zero and what is empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Integer(number) => *number != 0,
            Self::Unsigned(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Object(_) => true,
        }
    }

    /// Go's name for the type of the value.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::None => "<nil>",
            Self::Bool(_) => "bool",
            Self::Integer(_) => "int",
            Self::Unsigned(_) => "uint16",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]string",
            Self::Map(_) => "map[string]string",
            Self::Object(object) => object.kind(),
        }
    }

    /// A field of an object or a key of a map.
    pub(super) fn field(&self, name: &str) -> Result<Self, String> {
        match self {
            Self::Object(object) => {
                object.field(name).ok_or_else(|| format!("can't evaluate field {name} in type {}", object.kind()))
            }
            // A key that is not there is no value, and no error, as Go has it.
            Self::Map(map) => Ok(entry(map, name).cloned().unwrap_or(Self::None)),
            Self::None => Err(format!("nil data; no entry for key {name:?}")),
            other => Err(format!("can't evaluate field {name} in type {}", other.type_name())),
        }
    }

    /// A whole number.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Unsigned(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }
}

pub(super) fn entry<'v, 'a>(map: &'v [(Value<'a>, Value<'a>)], name: &str) -> Option<&'v Value<'a>> {
    map.iter().find(|(key, _)| matches!(key, Value::Text(text) if text == name)).map(|(_, value)| value)
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("<no value>"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Unsigned(number) => write!(f, "{number}"),
            Self::Float(number) => f.write_str(&super::format::float(*number)),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => {
                f.write_str("[")?;
                for (place, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if place > 0 { " " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Map(map) => {
                f.write_str("map[")?;
                for (place, (key, value)) in map.iter().enumerate() {
                    write!(f, "{}{key}:{value}", if place > 0 { " " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(object) => f.write_str(&object.text()),
        }
    }
}
