use super::{Block, Role};
use crate::corefile::{Errors, Stanza};

/// A word of the Corefile: how it is read and what it builds.
#[derive(Clone, Copy)]
pub struct Directive {
    /// The word.
    pub name: &'static str,
    /// Reads all instances of the word in one server block into a checked configuration. No I/O, no clock.
    pub parse: Parse,
}

/// Reads the instances of a directive in one server block.
pub type Parse = fn(&Stanza, &Keys) -> Result<Box<dyn Build>, Errors>;

/// What a directive may know of its server block while it is read.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// The block's zones as fully qualified lower-case names: the default where a directive takes zones.
    pub zones: Vec<String>,
}

/// A checked configuration that can be brought to life.
pub trait Build {
    /// Registers what the directive needs with the block: links of the chain, listeners, HTTP endpoints, tasks.
    ///
    /// # Errors
    /// What the outside world does not give: a file, a port, a connection.
    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError>;

    /// What it does, for those who look at a Corefile.
    fn role(&self) -> Role {
        Role::default()
    }
}

/// Why a configuration that reads well could not be brought to life. The caller adds file, line and directive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub String);

impl From<String> for BuildError {
    fn from(text: String) -> Self {
        Self(text)
    }
}
