use crate::{
    chain::Context,
    wire::{Edns, Name, Options, Question, Response},
};

/// What the rules did to a query, kept for the way back.
pub(super) struct Trail {
    /// The question as it was before.
    pub(super) before: Question,
    /// The OPT record as it was before, if it was changed.
    pub(super) edns: Option<Option<Edns>>,
    /// Rules that want to see the response, in the order in which they were met.
    pub(super) steps: Vec<Step>,
    /// Options that the client is shown: code and data.
    pub(super) shown: Vec<(u16, Vec<Vec<u8>>)>,
}

/// A rule that wants to see the response.
pub(super) struct Step {
    /// Its number.
    pub(super) rule: usize,
    /// The name that it took the place of, and the one that it put there.
    pub(super) names: Option<Box<(Name, Name)>>,
}

impl Trail {
    pub(super) const fn new(before: Question) -> Self {
        Self { before, edns: None, steps: Vec::new(), shown: Vec::new() }
    }

    /// Puts the question and the OPT record of before in force again.
    pub(super) fn restore(&self, cx: &mut Context) {
        if *cx.question() != self.before {
            cx.ask_instead(self.before.clone());
        }
        if let Some(edns) = &self.edns {
            cx.query.edns.clone_from(edns);
        }
    }

    /// Shows the client the options that it is to see.
    pub(super) fn show_options(&self, response: &mut Response) {
        if self.shown.is_empty() {
            return;
        }
        let mut edns = Edns::new(0, false);
        let data = |(code, data): &(u16, Vec<Vec<u8>>)| data.iter().for_each(|data| edns.add_option(*code, data));
        self.shown.iter().for_each(data);
        let options = response.options.get_or_insert_with(|| Box::new(Options::new()));
        options.extend_from_slice(&edns.options);
    }
}
