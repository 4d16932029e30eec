#![doc = include_str!("README.md")]

mod config;
mod encode;
mod mapping;
mod pages;
mod profile;

use crate::chain::Directive;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "pprof", parse: config::parse };
