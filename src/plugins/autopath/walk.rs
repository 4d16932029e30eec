use super::search::Candidates;
use crate::wire::{Name, NameRef, RData, Rcode, Record, Response};

/// The way along a search list: what to ask next, and what becomes of the answers. Knows no chain.
pub(super) struct Walk {
    candidates: Candidates,
    asked: Option<Name>,
    /// The first denial: the answer if there is nothing else.
    denial: Option<Response>,
}

impl Walk {
    pub(super) const fn new(candidates: Candidates) -> Self {
        Self { candidates, asked: None, denial: None }
    }

    /// The name to ask next.
    pub(super) fn next(&mut self) -> Option<Name> {
        self.asked = self.candidates.next();
        self.asked
    }

    /// Takes the answer to the name that was asked last. Gives it back as an answer to the question if the way ends with
    /// it, which everything but NXDOMAIN does.
    pub(super) fn take(&mut self, response: Response, question: &Name) -> Option<Response> {
        if response.rcode == Rcode::NXDOMAIN {
            self.denial.get_or_insert(response);
            return None;
        }
        match self.asked {
            Some(asked) if asked != *question => Some(renamed(response, &asked, question)),
            _ => Some(response),
        }
    }

    /// The answer when all names do not exist.
    pub(super) fn denial(self) -> Response {
        self.denial.unwrap_or_else(|| Response::new(Rcode::NXDOMAIN))
    }
}

/// The answer to another question as one to this: an alias leads from the one name to the other.
fn renamed(mut response: Response, asked: &Name, question: &Name) -> Response {
    let Ok(records) = response.records_mut() else { return response };
    for section in [&mut records.answer, &mut records.authority, &mut records.additional] {
        section.iter_mut().for_each(|record| record.spell_out(asked));
    }
    let target = records.answer.iter().map(|record| (record.owner.resolve(asked), record.ttl));
    if let Some((target, ttl)) = target.into_iter().find(|(owner, _)| owner != question) {
        records.answer.insert(0, Record::new(NameRef::QUESTION, ttl, RData::Cname(target.into())));
        // The alias is ours: nobody has signed it (RFC 4035 section 3.2.3).
        response.authentic = false;
    }
    response
}
