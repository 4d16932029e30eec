#![doc = include_str!("README.md")]

mod config;

use crate::chain::{Asked, Context, Directive, Labels, Plugin};
use crate::expression::{Expression, Value};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "view", parse: config::parse };

/// What queries must be like to come into the server block.
struct Condition {
    expressions: Vec<Expression>,
    labels: Labels,
}

impl Condition {
    /// Whether all expressions hold. One that cannot be worked out does not.
    fn holds(&self, cx: &Context) -> bool {
        let facts = Asked { cx, labels: &self.labels };
        self.expressions.iter().all(|expression| expression.evaluate(&facts) == Ok(Value::Bool(true)))
    }
}

/// Does nothing on a query's way: it stands in the chain so that it is listed there.
struct View;

impl Plugin for View {
    fn name(&self) -> &'static str {
        "view"
    }
}
