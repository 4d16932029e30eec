use super::Fit;
use crate::{
    chain::Asked,
    expression::{EvaluationError, Facts, Function, Kind, Value},
};

/// What the expressions of a template know: the query, and what the pattern fits.
pub(super) struct Matched<'a> {
    pub(super) asked: Asked<'a>,
    /// The question's name in small letters.
    pub(super) name: &'a str,
    /// `None` without a pattern: then the whole name is the only group.
    pub(super) fit: Option<&'a Fit<'a>>,
}

/// `group`, which stands behind what `view` has as well.
const GROUP: Function = Function { name: "group", takes: &[Kind::Any], gives: Kind::Text };

pub(super) fn functions() -> Vec<Function> {
    let mut functions = Asked::functions().to_vec();
    functions.push(GROUP);
    functions
}

impl Facts for Matched<'_> {
    fn call(&self, function: usize, arguments: &[Value]) -> Result<Value, EvaluationError> {
        if function < Asked::functions().len() {
            return self.asked.call(function, arguments);
        }
        match arguments {
            [Value::Int(number)] => Ok(usize::try_from(*number).map_or("", |number| self.numbered(number)).into()),
            [Value::Text(name)] => Ok(self.named(name).into()),
            _ => Err(EvaluationError("`group` takes a number or a name".to_owned())),
        }
    }
}

impl Matched<'_> {
    /// What a group holds, empty if there is none; 0 is the whole match.
    fn numbered(&self, number: usize) -> &str {
        match self.fit {
            Some((_, captures)) => captures.get(number).map_or("", |part| part.as_str()),
            None if number == 0 => self.name,
            None => "",
        }
    }

    fn named(&self, name: &str) -> &str {
        let part = self.fit.and_then(|(_, captures)| captures.name(name));
        part.map_or("", |part| part.as_str())
    }
}
