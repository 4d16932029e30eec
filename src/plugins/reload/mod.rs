#![doc = include_str!("README.md")]

mod config;

use crate::chain::Directive;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "reload", parse: config::parse };
