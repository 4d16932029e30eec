//! Go's text/template language, as far as Corefiles use it: fields, methods, variables, pipelines, `if`, `range`,
//! `with`, and the functions that Go has built in. Own, because the one crate for it spawns a thread for each parse and
//! lacks `slice`, `break` and `else with` (docs/decisions/0010).
//!
//! ```text
//! lexer.rs      text → tokens inside of {{ }}
//! parser.rs     tokens → nodes; unknown functions and variables are found here
//! run.rs        nodes + data → text
//! functions.rs  what can be called; format.rs: printf
//! value.rs      what templates compute with
//! ```

mod format;
mod functions;
mod lexer;
mod parser;
mod run;
#[cfg(test)]
mod tests;
mod value;

pub use functions::Function;
pub use value::{Object, Value};

use parser::Node;

/// A template, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    nodes: Vec<Node>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {message}")]
pub struct TemplateError {
    /// Where, in characters from 1.
    pub at: usize,
    /// What.
    pub message: String,
}

impl Template {
    /// Reads a template. `functions` are known beside those of Go.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, functions: &[Function]) -> Result<Self, TemplateError> {
        Ok(Self { nodes: parser::parse(text, functions)? })
    }

    /// Runs it with `data` as its dot.
    ///
    /// # Errors
    /// A field that is not there, a value of the wrong kind, a text or a loop without bounds.
    pub fn run(&self, data: &dyn Object) -> Result<String, TemplateError> {
        run::run(&self.nodes, data)
    }
}
