//! The Corefile language: text becomes server blocks of directives, every word with its place. Knows no plugin.
//!
//! ```text
//!   lexer.rs    characters → words with line and column
//!   tree.rs     words → lines and braces
//!   import.rs   `import`, snippets
//!   parser.rs   lines → keys and directives
//!   address.rs  "dns://cluster.local:53", "10.0.0.0/24" → scheme, zones, port
//!   stanza.rs   what a plugin reads its words with
//! ```

mod address;
mod error;
mod import;
mod lexer;
mod parser;
mod stanza;
mod tree;
mod values;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use address::{Key, Scheme, zones_of};
pub use error::{Error, Errors, SourceFile, Span, Warning};
pub use stanza::{Args, Instance, Line, Stanza, Token};
pub use values::{duration, network};

/// A Corefile, read and resolved.
#[derive(Debug, Clone, Default)]
pub struct Corefile {
    /// The server blocks in the order of the file.
    pub blocks: Vec<Block>,
    /// What loads and yet may surprise.
    pub warnings: Vec<Warning>,
}

/// A server block.
#[derive(Debug, Clone)]
pub struct Block {
    /// What it answers for.
    pub keys: Vec<Key>,
    /// Its directives, repeats of one directive together, in the order of their first appearance.
    pub stanzas: Vec<Stanza>,
}

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The first directive of a server block with these lines.
#[cfg(test)]
pub(crate) fn stanza(lines: &str) -> Stanza {
    let file = parse("Corefile", &format!(". {{\n{lines}\n}}\n"), Path::new(""), &|_| None).expect("a Corefile");
    file.blocks.into_iter().flat_map(|block| block.stanzas).next().expect("a directive")
}

/// Reads a Corefile from disk, with imports, snippets and environment variables resolved.
///
/// # Errors
/// All errors that can be found, each with its place.
pub fn load(path: &Path, environment: Environment<'_>) -> Result<Corefile, Errors> {
    let name = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => parse(&name, &String::from_utf8_lossy(&bytes), parent(path), environment),
        Err(error) => Err(Errors::unreadable(&name, &error)),
    }
}

/// Reads a Corefile from text. `name` is what messages call it, `directory` is where relative imports start.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, text: &str, directory: &Path, environment: Environment<'_>) -> Result<Corefile, Errors> {
    parser::parse(SourceFile::new(name, directory, text), environment)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

impl Corefile {
    /// Keys and words without their places: two files with the same text here mean the same. Each word stands behind
    /// its length, so that no word can look like several, or like a brace.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for block in &self.blocks {
            for key in &block.keys {
                canonical_word(&mut text, &key.token);
            }
            text.push_str("{\n");
            for instance in block.stanzas.iter().flat_map(|stanza| &stanza.instances) {
                canonical_line(&mut text, &instance.name, &instance.args, &instance.lines);
            }
            text.push_str("}\n");
        }
        text
    }
}

fn canonical_line(text: &mut String, word: &Token, args: &[Token], lines: &[Line]) {
    for token in std::iter::once(word).chain(args) {
        canonical_word(text, token);
    }
    text.push_str("{\n");
    for line in lines {
        canonical_line(text, &line.word, &line.args, &line.lines);
    }
    text.push_str("}\n");
}

fn canonical_word(text: &mut String, token: &Token) {
    text.push_str(&format!("{}:{} ", token.text.len(), token.text));
}
