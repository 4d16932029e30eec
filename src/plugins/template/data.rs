use super::Fit;
use crate::{
    chain::{Context, Labels},
    expression,
    template::{Object, Value},
    wire::{Flags, Name, Question},
};

/// What a template sees of a query: its dot.
pub(super) struct Data<'a> {
    zone: String,
    name: &'a str,
    class: String,
    kind: String,
    remote: String,
    pattern: Option<Fit<'a>>,
    /// Sorted by name.
    variables: Vec<(&'a str, expression::Value)>,
    message: Message<'a>,
    metadata: Metadata<'a>,
}

impl<'a> Data<'a> {
    /// For a query whose name, in small letters, the pattern fits.
    pub(super) fn new(
        cx: &'a Context,
        labels: &'a Labels,
        zone: &Name,
        name: &'a str,
        pattern: Option<Fit<'a>>,
        mut variables: Vec<(&'a str, expression::Value)>,
    ) -> Self {
        let question = cx.question();
        variables.sort_by_key(|(name, _)| *name);
        Self {
            zone: zone.to_string(),
            name,
            class: question.class.to_string(),
            kind: question.record_type.to_string(),
            remote: cx.peer.ip().to_canonical().to_string(),
            pattern,
            variables,
            message: Message { id: cx.query.id, flags: cx.query.flags, question: Asked(question) },
            metadata: Metadata { cx, labels },
        }
    }

    /// The parts that the pattern's groups fit; the whole name is the first.
    fn parts(&self) -> Vec<&str> {
        match &self.pattern {
            None => vec![self.name],
            Some((_, captures)) => captures.iter().map(|part| part.map_or("", |part| part.as_str())).collect(),
        }
    }

    /// The same by number and, where groups have one, by name.
    fn groups(&self) -> Vec<(String, &str)> {
        let parts = self.parts();
        let names = self.pattern.as_ref().map(|(pattern, _)| pattern.capture_names());
        let named = names.into_iter().flatten().zip(&parts).filter_map(|(name, part)| Some((name?.to_owned(), *part)));
        let mut groups: Vec<(String, &str)> =
            parts.iter().enumerate().map(|(number, part)| (number.to_string(), *part)).chain(named).collect();
        groups.sort();
        groups
    }
}

impl Object for Data<'_> {
    fn kind(&self) -> &'static str {
        "*template.templateData"
    }

    fn field(&self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "Zone" => self.zone.as_str().into(),
            "Name" => self.name.into(),
            "Class" => self.class.as_str().into(),
            "Type" => self.kind.as_str().into(),
            "Remote" => self.remote.as_str().into(),
            "Match" => Value::List(self.parts().into_iter().map(Value::from).collect()),
            "Group" => Value::Map(self.groups().into_iter().map(|(key, part)| (key.into(), part.into())).collect()),
            "Message" => Value::Object(&self.message),
            "Question" => Value::Object(&self.message.question),
            "Var" => Value::Map(self.variables.iter().map(|(name, value)| ((*name).into(), shown(value))).collect()),
            _ => return None,
        })
    }

    fn call(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        (name == "Meta").then(|| match arguments {
            [Value::Text(label)] => Ok(self.metadata.of(label).into()),
            _ => Err("wants the label of a piece of metadata".to_owned()),
        })
    }
}

/// The value of a variable as templates compute with it.
fn shown(value: &expression::Value) -> Value<'_> {
    match value {
        expression::Value::Nil => Value::None,
        expression::Value::Bool(value) => Value::Bool(*value),
        expression::Value::Int(number) => Value::Integer(*number),
        expression::Value::Float(number) => Value::Float(*number),
        expression::Value::Text(text) => text.as_str().into(),
        expression::Value::List(values) => Value::List(values.iter().map(shown).collect()),
        expression::Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key);
            Value::Map(entries.into_iter().map(|(key, value)| (key.as_str().into(), shown(value))).collect())
        }
    }
}

/// What other plugins know of the query: `.Meta`.
struct Metadata<'a> {
    cx: &'a Context,
    labels: &'a Labels,
}

impl Metadata<'_> {
    /// The value under a label; empty if there is none, as always without the directive `metadata`.
    fn of(&self, label: &str) -> String {
        self.labels.value(self.cx, label).unwrap_or_default()
    }
}

/// The query's message, as far as a query can say anything.
struct Message<'a> {
    id: u16,
    flags: Flags,
    question: Asked<'a>,
}

impl Object for Message<'_> {
    fn kind(&self) -> &'static str {
        "*dns.Msg"
    }

    fn field(&self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "MsgHdr" => Value::Object(self),
            "Id" => Value::Unsigned(self.id.into()),
            "Opcode" => Value::Integer(self.flags.opcode().0.into()),
            "Rcode" => Value::Integer(self.flags.rcode().0.into()),
            "Response" => Value::Bool(self.flags.is_response()),
            "Authoritative" => Value::Bool(self.flags.authoritative()),
            "Truncated" => Value::Bool(self.flags.truncated()),
            "RecursionDesired" => Value::Bool(self.flags.recursion_desired()),
            "RecursionAvailable" => Value::Bool(false),
            "Zero" | "Compress" => Value::Bool(false),
            "AuthenticatedData" => Value::Bool(self.flags.authentic()),
            "CheckingDisabled" => Value::Bool(self.flags.checking_disabled()),
            "Question" => Value::List(vec![Value::Object(&self.question)]),
            "Answer" | "Ns" | "Extra" => Value::List(Vec::new()),
            _ => return None,
        })
    }
}

/// The question as the client spelled it.
struct Asked<'a>(&'a Question);

impl Object for Asked<'_> {
    fn kind(&self) -> &'static str {
        "dns.Question"
    }

    fn field(&self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "Name" => self.0.name.to_string().into(),
            "Qtype" => Value::Unsigned(self.0.record_type.0.into()),
            "Qclass" => Value::Unsigned(self.0.class.0.into()),
            _ => return None,
        })
    }

    fn text(&self) -> String {
        format!(";{}\t{}\t {}", self.0.name, self.0.class, self.0.record_type)
    }
}
