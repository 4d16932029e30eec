//! `rewrite cname`: an alias of the response is led to another name, and what it has takes the place of what followed.

use std::sync::Arc;

use super::{answer, name::Subject, pattern::Renaming, rule::Action, rules::Rules, trail::Trail};
use crate::{
    chain::{Asker, Context, Server},
    wire::{Failure, Name, Query, Question, RData, Rcode, Response},
};

/// A query of which some rule wants to see the aliases in the answer.
pub(super) struct Errand {
    pub(super) rules: Arc<Rules>,
    pub(super) server: Server,
    pub(super) trail: Trail,
    /// The query as it was before the rules.
    pub(super) outer: Context,
}

impl Errand {
    /// Asks the rest of the chain as the rules want it, and takes the response back through them. `None` if nobody wants
    /// to answer.
    pub(super) async fn run(self, inner: Context, asker: Asker) -> Option<Response> {
        let asked = inner.question().clone();
        let mut response = asker.ask(inner).await?;
        let client = &self.trail.before.name;
        answer::begin(&self.trail, &asked, &mut response);
        for step in self.trail.steps.iter().rev() {
            match &self.rules.rules[step.rule].action {
                Action::Cname(renaming) => {
                    if let Some(target) = redirected(&mut response, renaming, client) {
                        self.follow(&mut response, target, &asked).await;
                    }
                }
                _ => self.rules.undo_step(step, client, &mut response),
            }
        }
        self.trail.show_options(&mut response);
        Some(response)
    }

    /// Puts what `target` has behind the alias that leads to it now, as a client would find it.
    async fn follow(&self, response: &mut Response, target: Name, asked: &Question) {
        let question = Question { name: target, record_type: asked.record_type, class: asked.class };
        let mut inner = self.outer.clone();
        inner.query = Query { question, ..inner.query };
        let mut found = self.server.ask(inner.into_fresh()).await;
        let truncated = found.truncated;
        let (Ok(found_records), rcode) = (found.records_mut().map(std::mem::take), found.rcode) else { return };
        let Ok(records) = response.records_mut() else { return };
        records.answer.extend(found_records.answer.into_iter().map(|record| record.spelled_out(&target)));
        response.truncated |= truncated;
        // The code was about the end of the chain that is cut off (RFC 6604 section 3).
        if response.rcode == Rcode::NXDOMAIN {
            response.rcode = rcode;
        }
    }
}

/// Leads the first alias that the rule is about elsewhere and cuts off what follows; gives the new target.
fn redirected(response: &mut Response, renaming: &Renaming, client: &Name) -> Option<Name> {
    let records = response.records_mut().ok()?;
    let (at, made) = records.answer.iter().enumerate().find_map(|(at, record)| {
        let RData::Cname(target) = &record.data else { return None };
        Some((at, renaming.apply(&Subject::new(target.resolve(client)), |_| None)?))
    })?;
    match made {
        Ok(target) => {
            records.answer[at].data = RData::Cname(target.into());
            records.answer.truncate(at + 1);
            Some(target)
        }
        Err(invalid) => {
            *response = Response::failure(Rcode::SERVFAIL, Failure::Server(invalid.to_string().into()));
            None
        }
    }
}
