#![doc = include_str!("README.md")]

mod config;
mod job;
#[cfg(test)]
mod tests;

use crate::chain::Directive;

/// The directive. No query meets it: `file` serves what it writes.
pub const DIRECTIVE: Directive = Directive { name: "sign", parse: config::parse };
