use std::{borrow::Cow, cmp::Ordering};

use regex::Regex;

use super::{EvaluationError, Value, builtin::Builtin};
use crate::pattern;

/// Answers the functions that an expression calls.
pub trait Facts {
    /// What the function in this place of the list gives for these arguments, which are of the kinds that it takes.
    ///
    /// # Errors
    /// There is nothing that it could give.
    fn call(&self, function: usize, arguments: &[Value]) -> std::result::Result<Value, EvaluationError>;
}

/// The longest list, and the longest text in octets, that an expression may make.
pub(super) const LONGEST: usize = 100_000;

/// A part of an expression.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Constant(Value),
    /// A function of whoever uses the expression.
    Call(usize, Vec<Self>),
    Builtin(Builtin, Vec<Self>),
    /// A function of a list and of what is asked of each element, which is the variable in this place.
    Each(Each, Box<[Self; 2]>, usize),
    /// What `let` or a function of lists has put in this place.
    Variable(usize),
    Let(Box<[Self; 2]>),
    Sequence(Box<[Self; 2]>),
    Not(Box<Self>),
    Negative(Box<Self>),
    Operation(Operator, Box<[Self; 2]>),
    /// `matches` with a pattern that is known.
    Matches(Box<Self>, Regex),
    Conditional(Box<[Self; 3]>),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Index(Box<[Self; 2]>),
    Slice(Box<Self>, Option<Box<Self>>, Option<Box<Self>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    And,
    Or,
    Coalesce,
    Equal,
    Unequal,
    Less,
    Greater,
    AtMost,
    AtLeast,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// Functions that ask something of each element of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Each {
    All,
    Any,
    One,
    None,
    Filter,
    Map,
    Count,
    Find,
    FindIndex,
}

type Result<T> = std::result::Result<T, EvaluationError>;

pub(super) fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(EvaluationError(text.into()))
}

/// Works a whole expression out.
pub(super) fn evaluate(node: &Node, facts: &dyn Facts, variables: &[Value]) -> Result<Value> {
    Evaluation { facts, variables: variables.to_vec() }.value(node).map(Cow::into_owned)
}

struct Evaluation<'a> {
    facts: &'a dyn Facts,
    variables: Vec<Value>,
}

impl<'a> Evaluation<'a> {
    fn value<'n>(&mut self, node: &'n Node) -> Result<Cow<'n, Value>> {
        Ok(Cow::Owned(match node {
            Node::Constant(value) => return Ok(Cow::Borrowed(value)),
            Node::Variable(place) => self.variables.get(*place).cloned().unwrap_or(Value::Nil),
            Node::Call(function, arguments) => {
                let arguments = self.all(arguments)?;
                self.facts.call(*function, &arguments)?
            }
            Node::Builtin(builtin, arguments) => builtin.call(&self.all(arguments)?)?,
            Node::Each(each, parts, place) => self.each(*each, &parts[0], &parts[1], *place)?,
            Node::Let(parts) => {
                let value = self.value(&parts[0])?.into_owned();
                self.variables.push(value);
                let result = self.value(&parts[1]).map(Cow::into_owned);
                self.variables.pop();
                result?
            }
            Node::Sequence(parts) => {
                self.value(&parts[0])?;
                return self.value(&parts[1]);
            }
            Node::Not(part) => (!self.truth(part)?).into(),
            Node::Negative(part) => match self.value(part)?.into_owned() {
                Value::Int(number) => Value::Int(number.checked_neg().map_or_else(|| fail("too large"), Ok)?),
                Value::Float(number) => Value::Float(-number),
                other => return fail(format!("{} has no negative", other.kind())),
            },
            Node::Operation(operator, parts) => return self.operation(*operator, &parts[0], &parts[1]),
            Node::Matches(part, pattern) => pattern.is_match(text(&*self.value(part)?)?).into(),
            Node::Conditional(parts) => {
                let chosen = if self.truth(&parts[0])? { &parts[1] } else { &parts[2] };
                return self.value(chosen);
            }
            Node::List(parts) => Value::List(self.all(parts)?),
            Node::Map(entries) => Value::Map(self.entries(entries)?),
            Node::Index(parts) => self.index(&parts[0], &parts[1])?,
            Node::Slice(part, from, to) => self.slice(part, from.as_deref(), to.as_deref())?,
        }))
    }

    fn all(&mut self, nodes: &[Node]) -> Result<Vec<Value>> {
        nodes.iter().map(|node| self.value(node).map(Cow::into_owned)).collect()
    }

    fn entries(&mut self, entries: &[(Node, Node)]) -> Result<Vec<(String, Value)>> {
        let mut made = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            made.push((text(&*self.value(key)?)?.to_owned(), self.value(value)?.into_owned()));
        }
        Ok(made)
    }

    fn truth(&mut self, node: &Node) -> Result<bool> {
        match &*self.value(node)? {
            Value::Bool(value) => Ok(*value),
            other => fail(format!("expected a bool, found {}", other.kind())),
        }
    }

    fn operation<'n>(&mut self, operator: Operator, one: &'n Node, two: &'n Node) -> Result<Cow<'n, Value>> {
        // The right side counts only if the left one does not say it all.
        match operator {
            Operator::And => return Ok(Cow::Owned((self.truth(one)? && self.truth(two)?).into())),
            Operator::Or => return Ok(Cow::Owned((self.truth(one)? || self.truth(two)?).into())),
            Operator::Coalesce => {
                let value = self.value(one)?;
                return if *value == Value::Nil { self.value(two) } else { Ok(value) };
            }
            _ => {}
        }
        let (one, two) = (self.value(one)?, self.value(two)?);
        operate(operator, &one, &two).map(Cow::Owned)
    }

    fn each(&mut self, each: Each, list: &Node, asked: &Node, place: usize) -> Result<Value> {
        let Value::List(list) = self.value(list)?.into_owned() else { return fail("expected a list") };
        let mut kept = Vec::new();
        let mut count = 0;
        for (number, element) in list.into_iter().enumerate() {
            self.variables.truncate(place);
            self.variables.push(element);
            if each == Each::Map {
                kept.push(self.value(asked)?.into_owned());
                continue;
            }
            let holds = self.truth(asked)?;
            match each {
                Each::All if !holds => return Ok(self.done(place, false.into())),
                Each::Any if holds => return Ok(self.done(place, true.into())),
                Each::None if holds => return Ok(self.done(place, false.into())),
                Each::FindIndex if holds => return Ok(self.done(place, Value::Int(number as i64))),
                Each::Find | Each::Filter if holds => {
                    let element = self.variables.swap_remove(place);
                    if each == Each::Find {
                        return Ok(self.done(place, element));
                    }
                    kept.push(element);
                }
                _ => {}
            }
            count += i64::from(holds);
        }
        let result = match each {
            Each::All | Each::None => true.into(),
            Each::Any => false.into(),
            Each::One => (count == 1).into(),
            Each::Count => Value::Int(count),
            Each::Filter | Each::Map => Value::List(kept),
            Each::Find | Each::FindIndex => Value::Nil,
        };
        Ok(self.done(place, result))
    }

    fn done(&mut self, place: usize, value: Value) -> Value {
        self.variables.truncate(place);
        value
    }

    fn index(&mut self, whole: &Node, index: &Node) -> Result<Value> {
        let (whole, index) = (self.value(whole)?, self.value(index)?);
        match (&*whole, &*index) {
            (Value::List(list), Value::Int(number)) => {
                let place = if *number < 0 { number + list.len() as i64 } else { *number };
                let found = usize::try_from(place).ok().and_then(|place| list.get(place)).cloned();
                found.map_or_else(|| fail(format!("the list has no element {number}")), Ok)
            }
            (Value::Map(entries), Value::Text(key)) => {
                let found = entries.iter().rev().find(|(known, _)| known == key);
                Ok(found.map_or(Value::Nil, |(_, value)| value.clone()))
            }
            (whole, index) => fail(format!("{} has no element by {}", whole.kind(), index.kind())),
        }
    }

    fn slice(&mut self, whole: &Node, from: Option<&Node>, to: Option<&Node>) -> Result<Value> {
        let whole = self.value(whole)?;
        let length = match &*whole {
            Value::List(list) => list.len(),
            Value::Text(text) => text.len(),
            other => return fail(format!("{} has no parts", other.kind())),
        } as i64;
        let mut bound = |node: Option<&Node>, absent: i64| -> Result<usize> {
            let Some(node) = node else { return Ok(absent as usize) };
            match &*self.value(node)? {
                Value::Int(number) if *number < 0 => Ok((number + length).max(0) as usize),
                Value::Int(number) => Ok((*number).min(length) as usize),
                other => fail(format!("expected an integer, found {}", other.kind())),
            }
        };
        let (from, to) = (bound(from, 0)?, bound(to, length)?);
        let part = from..to.max(from);
        match &*whole {
            Value::List(list) => Ok(Value::List(list[part].to_vec())),
            Value::Text(text) => text.get(part).map_or_else(|| fail("cut within a character"), |part| Ok(part.into())),
            _ => Ok(Value::Nil),
        }
    }
}

/// An operator on two values. It does not matter here who made them, so that constants are worked out beforehand.
pub(super) fn operate(operator: Operator, one: &Value, two: &Value) -> Result<Value> {
    let ordered = |holds: fn(Ordering) -> bool| match one.compare(two) {
        Some(order) => Ok(Value::Bool(holds(order))),
        None => fail(format!("{} and {} have no order", one.kind(), two.kind())),
    };
    match operator {
        Operator::Equal => Ok(one.equals(two).into()),
        Operator::Unequal => Ok((!one.equals(two)).into()),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::AtMost => ordered(Ordering::is_le),
        Operator::AtLeast => ordered(Ordering::is_ge),
        Operator::In => within(one, two),
        Operator::Contains => Ok(text(one)?.contains(text(two)?).into()),
        Operator::StartsWith => Ok(text(one)?.starts_with(text(two)?).into()),
        Operator::EndsWith => Ok(text(one)?.ends_with(text(two)?).into()),
        Operator::Matches => match pattern::of_query(text(two)?) {
            Ok(pattern) => Ok(pattern.is_match(text(one)?).into()),
            Err(error) => fail(error.to_string()),
        },
        Operator::Range => range(one, two),
        Operator::And | Operator::Or | Operator::Coalesce => fail("these look at one side first"),
        _ => calculate(operator, one, two),
    }
}

fn within(one: &Value, two: &Value) -> Result<Value> {
    match two {
        Value::List(list) => Ok(list.iter().any(|element| element.equals(one)).into()),
        Value::Map(entries) => {
            let key = text(one)?;
            Ok(entries.iter().any(|(known, _)| known == key).into())
        }
        Value::Nil => Ok(false.into()),
        other => fail(format!("nothing is in {}", other.kind())),
    }
}

fn range(one: &Value, two: &Value) -> Result<Value> {
    let (Value::Int(first), Value::Int(last)) = (one, two) else { return fail("a range is of integers") };
    if last.saturating_sub(*first) >= LONGEST as i64 {
        return fail(format!("a range has at most {LONGEST} elements"));
    }
    Ok(Value::List((*first..=*last).map(Value::Int).collect()))
}

fn calculate(operator: Operator, one: &Value, two: &Value) -> Result<Value> {
    if let (Operator::Add, Value::Text(one), Value::Text(two)) = (operator, one, two) {
        if one.len() + two.len() > LONGEST {
            return fail("a string is too long");
        }
        return Ok(Value::Text(format!("{one}{two}")));
    }
    if let (Value::Int(one), Value::Int(two)) = (one, two) {
        let exact = match operator {
            Operator::Add => Some(one.checked_add(*two)),
            Operator::Subtract => Some(one.checked_sub(*two)),
            Operator::Multiply => Some(one.checked_mul(*two)),
            Operator::Remainder => Some(one.checked_rem(*two)),
            _ => None,
        };
        if let Some(result) = exact {
            return result.map(Value::Int).map_or_else(|| fail("not a number of 64 bits"), Ok);
        }
    }
    let (Some(one), Some(two)) = (one.float(), two.float()) else {
        return fail(format!("{} and {} cannot be put together", one.kind(), two.kind()));
    };
    Ok(Value::Float(match operator {
        Operator::Add => one + two,
        Operator::Subtract => one - two,
        Operator::Multiply => one * two,
        Operator::Divide => one / two,
        Operator::Power => one.powf(two),
        _ => return fail("expected integers"),
    }))
}

pub(super) fn text(value: &Value) -> Result<&str> {
    match value {
        Value::Text(text) => Ok(text),
        other => fail(format!("expected a string, found {}", other.kind())),
    }
}
