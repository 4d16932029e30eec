//! Conditions in the language of expr-lang.org, as `view` has them: `name() endsWith '.example.' and not incidr(client_ip(),
//! '10.0.0.0/8')`.
//!
//! ```text
//!   lexer.rs      text → tokens with their places
//!   parser.rs     tokens → Node, with the kinds of values checked on the way
//!     builtin.rs  functions of the language itself
//!   evaluate.rs   Node + Facts → Value
//! ```
//!
//! Whoever uses it says which [`Function`]s there are, and answers them as [`Facts`]. Names, numbers of arguments and kinds
//! are checked when the text is read. What the language has for dates, JSON and base64 is not there.

mod builtin;
mod evaluate;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;
mod value;

pub use evaluate::Facts;
pub use value::{Kind, Value};

/// A function that expressions may call besides those of the language.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static [Kind],
    /// What it gives.
    pub gives: Kind,
}

/// An expression that reads well.
#[derive(Debug, Clone)]
pub struct Expression {
    node: evaluate::Node,
    kind: Kind,
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// What is wrong.
    pub message: String,
    /// Where, in octets from the beginning of the text.
    pub at: usize,
}

/// What went wrong while an expression was worked out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvaluationError(pub String);

impl Expression {
    /// Reads a text. Functions are known by their place in `functions`.
    ///
    /// # Errors
    /// It is no expression, names something unknown, or mixes kinds that do not go together.
    pub fn parse(text: &str, functions: &[Function]) -> Result<Self, ExpressionError> {
        Self::parse_with(text, functions, &[])
    }

    /// Reads a text that may name these variables; [`Expression::evaluate_with`] wants their values.
    ///
    /// # Errors
    /// As [`Expression::parse`].
    pub fn parse_with(
        text: &str,
        functions: &[Function],
        variables: &[(String, Kind)],
    ) -> Result<Self, ExpressionError> {
        parser::parse(text, functions, variables).map(|(node, kind)| Self { node, kind })
    }

    /// What it gives, as far as that is known beforehand.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Works it out.
    ///
    /// # Errors
    /// A function fails, or what only shows now does not fit: an index beyond the end, say.
    pub fn evaluate(&self, facts: &dyn Facts) -> Result<Value, EvaluationError> {
        self.evaluate_with(facts, &[])
    }

    /// Works it out, the variables in the order of their names.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate_with(&self, facts: &dyn Facts, variables: &[Value]) -> Result<Value, EvaluationError> {
        evaluate::evaluate(&self.node, facts, variables)
    }
}

/// Whether a word means something already, so that it cannot name a variable.
pub fn is_taken(word: &str, functions: &[Function]) -> bool {
    functions.iter().any(|function| function.name == word) || parser::means_something(word)
}
