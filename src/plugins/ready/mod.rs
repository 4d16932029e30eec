#![doc = include_str!("README.md")]

mod config;

use crate::chain::Directive;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "ready", parse: config::parse };
