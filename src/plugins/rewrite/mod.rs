#![doc = include_str!("README.md")]

mod alias;
mod answer;
mod config;
mod name;
mod option;
mod pattern;
mod rule;
mod rules;
mod template;
#[cfg(test)]
mod tests;
mod trail;
mod variable;

use std::sync::Arc;

use futures::FutureExt as _;

use crate::{
    chain::{Context, Directive, Plugin, Rest, Server, Step},
    wire::{Failure, Rcode, Response},
};
use alias::Errand;
use rule::Action;
use rules::Rules;
use trail::Trail;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "rewrite", parse: config::parse };

struct Rewrite {
    rules: Arc<Rules>,
    server: Server,
}

impl Plugin for Rewrite {
    fn name(&self) -> &'static str {
        "rewrite"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        let trail = match self.rules.apply(cx) {
            Ok(None) => return Step::Next,
            Ok(Some(trail)) => trail,
            Err(invalid) => return failure(invalid.to_string()).into(),
        };
        let looks_at_aliases = |rule: usize| matches!(self.rules.rules[rule].action, Action::Cname(_));
        if trail.steps.iter().any(|step| looks_at_aliases(step.rule)) {
            return self.run_errand(cx, trail, rest);
        }
        cx.remember(trail);
        Step::Next
    }

    fn response(&self, cx: &mut Context, response: &mut Response) {
        let Some(trail) = cx.recall::<Trail>() else { return };
        let asked = cx.question().clone();
        trail.restore(cx);
        self.rules.undo(&trail, &asked, response);
    }
}

impl Rewrite {
    /// The way back may have to wait, which only whoever answers can.
    fn run_errand(&self, cx: &mut Context, trail: Trail, rest: Rest<'_>) -> Step {
        let inner = cx.clone();
        trail.restore(cx);
        let (rules, server) = (Arc::clone(&self.rules), self.server.clone());
        let errand = Errand { rules, server, trail, outer: cx.clone() };
        let mut errand = Box::pin(errand.run(inner, rest.keep()));
        // What comes from memory needs no waiting.
        match errand.as_mut().now_or_never() {
            Some(Some(response)) => response.into(),
            Some(None) => Step::Drop,
            None => Step::Wait(Box::pin(async move {
                errand.await.unwrap_or_else(|| failure("nobody answered the rewritten query".to_owned()))
            })),
        }
    }
}

fn failure(text: String) -> Response {
    Response::failure(Rcode::SERVFAIL, Failure::Server(text.into()))
}
