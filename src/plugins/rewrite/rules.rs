use std::{collections::HashMap, ops::ControlFlow};

use super::{
    name::{Invalid, Subject},
    option::{OptionRule, values},
    pattern::{Pattern, Renaming},
    rule::{Action, Rule},
    trail::{Step, Trail},
};
use crate::{
    chain::{Context, Labels},
    wire::{Name, Question},
};

/// The rules of a server block, so arranged that a query which none is about costs little.
pub(super) struct Rules {
    pub(super) rules: Box<[Rule]>,
    runs: Box<[Run]>,
    labels: Labels,
}

/// Rules that follow each other.
enum Run {
    /// All about one name each: their numbers by name.
    Exact(HashMap<Name, Vec<usize>, foldhash::quality::RandomState>),
    /// The rule with this number.
    One(usize),
}

impl Rules {
    pub(super) fn new(rules: Vec<Rule>, labels: Labels) -> Self {
        let mut runs = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            let Some(name) = rule.action.exact() else {
                runs.push(Run::One(number));
                continue;
            };
            if !matches!(runs.last(), Some(Run::Exact(_))) {
                runs.push(Run::Exact(HashMap::default()));
            }
            if let Some(Run::Exact(names)) = runs.last_mut() {
                names.entry(*name).or_default().push(number);
            }
        }
        Self { rules: rules.into(), runs: runs.into(), labels }
    }

    /// Takes a query through the rules; `None` if none was about it. If a rule makes a name that is none, the query is
    /// as it was before.
    pub(super) fn apply(&self, cx: &mut Context) -> Result<Option<Trail>, Invalid> {
        let mut pass = Pass { subject: Subject::new(cx.question().name), cx, labels: &self.labels, trail: None };
        let end = self.runs.iter().try_for_each(|run| self.run(run, &mut pass));
        let Pass { cx, trail, .. } = pass;
        match end {
            ControlFlow::Break(End::Invalid(invalid)) => {
                if let Some(trail) = trail {
                    trail.restore(cx);
                }
                Err(invalid)
            }
            ControlFlow::Break(End::Stop) | ControlFlow::Continue(()) => Ok(trail),
        }
    }

    fn run(&self, run: &Run, pass: &mut Pass<'_>) -> ControlFlow<End> {
        let names = match run {
            Run::One(number) => return pass.meet(*number, &self.rules[*number]),
            Run::Exact(names) => names,
        };
        // The name may change on the way; those that have been met are not met again.
        let mut from = 0;
        while let Some(numbers) = names.get(&pass.subject.name)
            && let Some(&number) = numbers.iter().find(|&&number| number >= from)
        {
            pass.meet(number, &self.rules[number])?;
            from = number + 1;
        }
        ControlFlow::Continue(())
    }
}

impl Action {
    /// The only name that the rule is about.
    fn exact(&self) -> Option<&Name> {
        match self {
            Self::Name { renaming: Renaming::Exact { from, .. }, .. } => Some(from),
            Self::Ttl { about: Pattern::Exact(name), .. } | Self::Rcode { about: Pattern::Exact(name), .. } => {
                Some(name)
            }
            _ => None,
        }
    }
}

/// A query on its way through the rules.
struct Pass<'a> {
    cx: &'a mut Context,
    labels: &'a Labels,
    subject: Subject,
    /// Made when the first rule is about the query.
    trail: Option<Trail>,
}

/// Why no later rule is asked.
enum End {
    Stop,
    Invalid(Invalid),
}

impl Pass<'_> {
    fn meet(&mut self, number: usize, rule: &Rule) -> ControlFlow<End> {
        let about = match &rule.action {
            Action::Name { renaming, answers } => match self.rename(renaming) {
                Some(Ok(names)) => {
                    if !answers.is_empty() {
                        self.trail().steps.push(Step { rule: number, names: Some(Box::new(names)) });
                    }
                    true
                }
                Some(Err(invalid)) => return ControlFlow::Break(End::Invalid(invalid)),
                None => false,
            },
            Action::Type { from, to } => {
                let about = self.cx.question().record_type == *from;
                if about {
                    self.ask(Question { record_type: *to, ..self.cx.question().clone() });
                }
                about
            }
            Action::Class { from, to } => {
                let about = self.cx.question().class == *from;
                if about {
                    self.ask(Question { class: *to, ..self.cx.question().clone() });
                }
                about
            }
            Action::Ttl { about, .. } | Action::Rcode { about, .. } => {
                let about = about.matches(&self.subject);
                if about {
                    self.trail().steps.push(Step { rule: number, names: None });
                }
                about
            }
            Action::Cname(_) => {
                // Where aliases lead shows later; until then every query may be one.
                self.trail().steps.push(Step { rule: number, names: None });
                true
            }
            Action::Option(option) => self.change_option(option),
        };
        if about && rule.stop { ControlFlow::Break(End::Stop) } else { ControlFlow::Continue(()) }
    }

    fn trail(&mut self) -> &mut Trail {
        self.trail.get_or_insert_with(|| Trail::new(self.cx.question().clone()))
    }

    fn ask(&mut self, question: Question) {
        self.trail();
        self.cx.ask_instead(question);
    }

    /// Asks for another name; gives the one before and the one now.
    fn rename(&mut self, renaming: &Renaming) -> Option<Result<(Name, Name), Invalid>> {
        let cx = &*self.cx;
        let name = match renaming.apply(&self.subject, |label| self.labels.value(cx, label))? {
            Ok(name) => name,
            Err(invalid) => return Some(Err(invalid)),
        };
        let was = self.subject.name;
        self.ask(Question { name, ..self.cx.question().clone() });
        self.subject = Subject::new(name);
        Some(Ok((was, name)))
    }

    fn change_option(&mut self, rule: &OptionRule) -> bool {
        let Some(edns) = rule.apply(self.cx, self.labels) else { return false };
        let before = self.cx.query.edns.replace(edns);
        let now = values(self.cx.query.edns.as_ref(), rule.code);
        let trail = self.trail();
        if rule.shown {
            match trail.shown.iter_mut().find(|(code, _)| *code == rule.code) {
                Some(_) if rule.revert => {}
                Some((_, shown)) => *shown = now,
                None => {
                    let shown = if rule.revert { values(before.as_ref(), rule.code) } else { now };
                    trail.shown.push((rule.code, shown));
                }
            }
        }
        trail.edns.get_or_insert(before);
        true
    }
}
