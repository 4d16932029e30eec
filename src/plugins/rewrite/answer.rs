//! The way back: what the rules do to a response, the last one first.

use super::{
    name::{Invalid, Subject},
    pattern::Renaming,
    rule::{Action, Answer},
    rules::Rules,
    trail::{Step, Trail},
};
use crate::wire::{Failure, Name, NameRef, Question, Rcode, Record, Records, Response};

impl Rules {
    /// Takes a response back through the rules that its query has met; aliases are not looked at. `asked` is what was
    /// asked in place of the client's question.
    pub(super) fn undo(&self, trail: &Trail, asked: &Question, response: &mut Response) {
        begin(trail, asked, response);
        for step in trail.steps.iter().rev() {
            self.undo_step(step, &trail.before.name, response);
        }
        trail.show_options(response);
    }

    /// What one rule does to a response. `client` is the name whose spelling is kept.
    pub(super) fn undo_step(&self, step: &Step, client: &Name, response: &mut Response) {
        match &self.rules[step.rule].action {
            Action::Name { renaming, answers } => {
                let Some(names) = &step.names else { return };
                let rename = Rename { renaming, was: &names.0, is: &names.1, client };
                for answer in answers.iter().rev() {
                    if !change_records(response, |record| rename.record(answer, record)) {
                        return;
                    }
                }
            }
            Action::Ttl { least, most, .. } => {
                change_records(response, |record| {
                    record.ttl = record.ttl.clamp(*least, *most);
                    Ok(())
                });
            }
            Action::Rcode { from, to, .. } if response.rcode == *from => response.rcode = *to,
            Action::Rcode { .. } | Action::Type { .. } | Action::Class { .. } => {}
            Action::Cname(_) | Action::Option(_) => {}
        }
    }
}

/// What was said by the name that was asked for is written out, as the client asked for another one.
pub(super) fn begin(trail: &Trail, asked: &Question, response: &mut Response) {
    if asked.name == trail.before.name {
        return;
    }
    change_records(response, |record| {
        record.spell_out(&asked.name);
        Ok(())
    });
}

/// Changes every record. If one cannot be, the response becomes a failure that says so, and `false` is given.
fn change_records(response: &mut Response, change: impl FnMut(&mut Record) -> Result<(), Invalid>) -> bool {
    let changed = match response.records_mut() {
        Ok(Records { answer, authority, additional }) => {
            let mut records = answer.iter_mut().chain(authority).chain(additional);
            records.try_for_each(change).map_err(|invalid| invalid.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(text) = &changed {
        *response = Response::failure(Rcode::SERVFAIL, Failure::Server(text.clone().into()));
    }
    changed.is_ok()
}

/// A renaming that is taken back.
struct Rename<'a> {
    renaming: &'a Renaming,
    was: &'a Name,
    is: &'a Name,
    client: &'a Name,
}

impl Rename<'_> {
    fn record(&self, answer: &Answer, record: &mut Record) -> Result<(), Invalid> {
        let [owner, value] = match answer {
            Answer::Auto => [true, true],
            Answer::Owner(_) => [true, false],
            Answer::Value(_) => [false, true],
        };
        if owner && let Some(name) = self.name(answer, &record.owner.resolve(self.client)) {
            record.owner = self.spelled(name?);
        }
        if value
            && let Some(target) = record.data.target(self.client)
            && let Some(name) = self.name(answer, &target)
        {
            let name = name?;
            record.data.set_target(if name == *self.client { *self.client } else { name });
        }
        Ok(())
    }

    fn name(&self, answer: &Answer, name: &Name) -> Option<Result<Name, Invalid>> {
        match answer {
            Answer::Auto => self.renaming.undo(name, self.was, self.is),
            Answer::Owner(renaming) | Answer::Value(renaming) => renaming.apply(&Subject::new(*name), |_| None),
        }
    }

    /// The client sees its own spelling of the name that it asked for.
    fn spelled(&self, name: Name) -> NameRef {
        if name == *self.client { NameRef::QUESTION } else { name.into() }
    }
}
