use super::{
    TemplateError,
    parser::{Base, Node, Operand, Pipeline},
    value::{Object, Value},
};

/// How many nodes a template may run through: loops must end.
const STEPS: usize = 100_000;
/// The longest text that it may make, in octets; no record is longer.
const LONGEST: usize = 256 * 1024;

pub(super) fn run(nodes: &[Node], data: &dyn Object) -> Result<String, TemplateError> {
    let mut run = Run { out: String::new(), variables: vec![("", Value::Object(data))], steps: 0 };
    run.nodes(nodes, &Value::Object(data))?;
    Ok(run.out)
}

struct Run<'t, 'a> {
    out: String,
    /// Innermost last; the first one is `$`.
    variables: Vec<(&'t str, Value<'a>)>,
    steps: usize,
}

/// Whether a loop goes on.
enum Flow {
    On,
    Break,
    Continue,
}

impl<'t, 'a> Run<'t, 'a> {
    fn nodes(&mut self, nodes: &'t [Node], dot: &Value<'a>) -> Result<Flow, TemplateError> {
        for node in nodes {
            self.steps += 1;
            if self.steps > STEPS || self.out.len() > LONGEST {
                return Err(TemplateError { at: 1, message: "it does not come to an end".to_owned() });
            }
            let known = self.variables.len();
            let flow = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    continue;
                }
                Node::Print(pipeline) => {
                    let value = self.pipeline(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        self.out.push_str(&value.to_string());
                    }
                    // What is declared here can be seen by what follows.
                    continue;
                }
                Node::If { condition, then, otherwise } => {
                    let branch = if self.pipeline(condition, dot)?.is_true() { then } else { otherwise };
                    self.nodes(branch, dot)?
                }
                Node::With { value, then, otherwise } => {
                    let value = self.pipeline(value, dot)?;
                    if value.is_true() { self.nodes(then, &value)? } else { self.nodes(otherwise, dot)? }
                }
                Node::Range { list, body, otherwise } => self.range(list, body, otherwise, dot)?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            self.variables.truncate(known);
            if !matches!(flow, Flow::On) {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        list: &'t Pipeline,
        body: &'t [Node],
        otherwise: &'t [Node],
        dot: &Value<'a>,
    ) -> Result<Flow, TemplateError> {
        let value = self.commands(list, dot)?;
        let pairs: Vec<(Value<'a>, Value<'a>)> = match value {
            Value::List(list) => (0..).map(Value::Integer).zip(list).collect(),
            Value::Map(map) => map,
            Value::Integer(count) if count <= STEPS as i64 => {
                (0..count).map(|n| (Value::Integer(n), Value::Integer(n))).collect()
            }
            Value::None => Vec::new(),
            other => return Err(error(list.at, format!("range can't iterate over {}", other.type_name()))),
        };
        if pairs.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let known = self.variables.len();
        for (key, value) in pairs {
            let values = if list.variables.len() == 2 { vec![key, value.clone()] } else { vec![value.clone()] };
            for (name, value) in list.variables.iter().zip(values) {
                self.set(name, list.declares, value);
            }
            let flow = self.nodes(body, &value)?;
            self.variables.truncate(known);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn set(&mut self, name: &'t str, declares: bool, value: Value<'a>) {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, known)) if !declares => *known = value,
            _ => self.variables.push((name, value)),
        }
    }

    fn pipeline(&mut self, pipeline: &'t Pipeline, dot: &Value<'a>) -> Result<Value<'a>, TemplateError> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.set(name, pipeline.declares, value.clone());
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &'t Pipeline, dot: &Value<'a>) -> Result<Value<'a>, TemplateError> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Value::None))
    }

    /// A call, or a value alone. `last` is the value of the command before, the last argument of this one.
    fn command(
        &mut self,
        command: &'t [Operand],
        dot: &Value<'a>,
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, TemplateError> {
        let Some((head, operands)) = command.split_first() else { return Ok(Value::None) };
        if let Base::Function(function) = head.base {
            // `and` and `or` look at no more than they need.
            if let Some(stop_at) = function.stops_at {
                let mut value = Value::None;
                for operand in operands {
                    value = self.operand(operand, dot)?;
                    if value.is_true() == stop_at {
                        return Ok(value);
                    }
                }
                return Ok(last.unwrap_or(value));
            }
        }
        let mut arguments = Vec::with_capacity(operands.len() + 1);
        for operand in operands {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(last);
        match &head.base {
            Base::Function(function) => {
                let value =
                    (function.call)(&arguments).map_err(|text| error(head.at, format!("{}: {text}", function.name)))?;
                fields(value, &head.fields).map_err(|text| error(head.at, text))
            }
            _ => self.called(head, dot, &arguments),
        }
    }

    fn operand(&mut self, operand: &'t Operand, dot: &Value<'a>) -> Result<Value<'a>, TemplateError> {
        match &operand.base {
            Base::Function(_) => self.command(std::slice::from_ref(operand), dot, None),
            _ => self.called(operand, dot, &[]),
        }
    }

    /// A value, or the call of a method if its last field is one.
    fn called(
        &mut self,
        operand: &'t Operand,
        dot: &Value<'a>,
        arguments: &[Value<'a>],
    ) -> Result<Value<'a>, TemplateError> {
        let base = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                found.map_or(Value::None, |(_, value)| value.clone())
            }
            Base::Pipeline(pipeline) => self.pipeline(pipeline, dot)?,
            Base::String(text) => Value::from(text.clone()),
            Base::Integer(number) => Value::Integer(*number),
            Base::Float(number) => Value::Float(*number),
            Base::Bool(value) => Value::Bool(*value),
            Base::Nil => Value::None,
            Base::Function(_) => return Err(error(operand.at, "a function has no fields")),
        };
        let fault = |text: String| error(operand.at, text);
        if let Some((method, before)) = operand.fields.split_last() {
            let holder = fields(base, before).map_err(fault)?;
            if let Value::Object(object) = &holder
                && let Some(called) = object.call(method, arguments)
            {
                return called.map_err(|text| fault(format!("{method}: {text}")));
            }
            if arguments.is_empty() {
                return holder.field(method).map_err(fault);
            }
            holder.field(method).map_err(fault)?;
            return Err(fault(format!("{method} has arguments but cannot be invoked as function")));
        }
        if arguments.is_empty() { Ok(base) } else { Err(fault("can't give argument to non-function".to_owned())) }
    }
}

fn fields<'a>(mut value: Value<'a>, names: &[String]) -> Result<Value<'a>, String> {
    for name in names {
        value = match &value {
            Value::Object(object) => match object.call(name, &[]) {
                Some(called) => called?,
                None => value.field(name)?,
            },
            _ => value.field(name)?,
        };
    }
    Ok(value)
}

fn error(at: usize, message: impl Into<String>) -> TemplateError {
    TemplateError { at, message: message.into() }
}
