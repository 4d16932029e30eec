use std::sync::Arc;

use super::Condition;
use crate::{
    chain::{self, Asked, Block, Build, BuildError, Context, Keys, LabelSource, Role, read_expression},
    corefile::{Error, Errors, Line, Stanza},
    expression::{Expression, Kind},
};

/// The `view` directive.
pub(super) struct Config {
    name: String,
    expressions: Vec<Expression>,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let name = instance.args().one("a name for the view")?.text.clone();
        let mut expressions = Vec::new();
        for line in &instance.lines {
            match line.word.text.as_str() {
                "expr" => expressions.push(expression(line).map_err(|error| error.within("expr"))?),
                _ => return Err(line.unknown(&["expr"])),
            }
        }
        Ok(Self { name, expressions })
    }
}

/// The words of a line as one condition.
fn expression(line: &Line) -> Result<Expression, Error> {
    line.no_block()?;
    line.args().require("an expression")?;
    let expression = read_expression(&line.args, &Asked::functions(), &[])?;
    if !matches!(expression.kind(), Kind::Bool | Kind::Any) {
        let kind = expression.kind();
        return Err(line.args[0].error(format!("the expression gives {kind}: it must say true or false")));
    }
    Ok(expression)
}

/// The label `view/name`.
struct ViewName(String);

impl LabelSource for ViewName {
    fn label(&self, _: &Context, name: &str) -> Option<String> {
        (name == "view/name").then(|| self.0.clone())
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::sets("lets only some queries into this block")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self { name, expressions } = *self;
        let condition = Condition { expressions, labels: block.labels() };
        block.label_source(ViewName(name.clone()));
        block.parts().view = Some(chain::View { name, admits: Arc::new(move |cx| condition.holds(cx)) });
        block.link(super::View);
        Ok(())
    }
}
