//! One poll: parameters → number of replicas → targets. Knows no network and no clock: it says what to ask, takes the
//! answer, and says what to ask next.

use std::{collections::VecDeque, time::Instant};

use super::{
    hold::{Caution, Decision, Hold, Why},
    params::{Data, Params, Refusal, Rules},
    size::Size,
    trouble::{Reason, Trouble},
};

/// How often a write is tried again that met another writer.
const ATTEMPTS: u32 = 3;

/// What to ask of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Read the ConfigMap.
    Config,
    /// Create the ConfigMap with these data.
    CreateConfig(Data),
    /// How many replicas a target should have; `fresh` = not from memory.
    Scale {
        /// Number of the target.
        target: usize,
        /// Whether the API server must be asked.
        fresh: bool,
    },
    /// Give a target this number, over what was read last.
    SetScale {
        /// Number of the target.
        target: usize,
        /// The number.
        replicas: i32,
    },
}

/// What the cluster says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To `Config` and `CreateConfig`.
    Config(Result<Config, Trouble>),
    /// To `Scale`.
    Scale(Result<Current, Trouble>),
    /// To `SetScale`.
    Set(Result<(), Trouble>),
}

/// A ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `resourceVersion`.
    pub version: String,
    /// Its data.
    pub data: Data,
}

/// What a target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// `spec.replicas`.
    pub replicas: i32,
    /// The API server has just said so.
    pub fresh: bool,
}

/// What a poll has to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// The ConfigMap has been created with the default parameters.
    Created,
    /// New parameters are in use: their text.
    Accepted(String),
    /// A new text of the ConfigMap is refused; `kept` = the last good one goes on.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Whether there is a last good one.
        kept: bool,
    },
    /// A target has another number now.
    Scaled {
        /// Number of the target.
        target: usize,
        /// Before.
        from: i32,
        /// Now.
        to: i32,
    },
    /// A target has more than is wanted, and keeps it.
    Held {
        /// Number of the target.
        target: usize,
        /// What it has.
        current: i32,
        /// Why.
        why: Why,
    },
    /// A target has what it should have.
    Kept {
        /// Number of the target.
        target: usize,
        /// `spec.replicas`.
        replicas: i32,
    },
}

/// How it thinks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy {
    /// Which parameters are taken. `compat` also makes the order of things that of the original.
    pub rules: Rules,
    /// When to take replicas away.
    pub caution: Caution,
}

/// What is kept between polls.
#[derive(Debug)]
pub struct Autoscaler {
    policy: Policy,
    targets: usize,
    defaults: Option<Data>,
    /// Parameters in use.
    params: Option<Params>,
    /// The version of the ConfigMap that was read last, and why it was refused if it was.
    read: Option<(String, Option<Refusal>)>,
    hold: Hold,
}

impl Autoscaler {
    /// An autoscaler for so many targets. `defaults` are written when the ConfigMap is missing.
    pub const fn new(policy: Policy, targets: usize, defaults: Option<Data>) -> Self {
        Self { policy, targets, defaults, params: None, read: None, hold: Hold::new(policy.caution) }
    }

    /// Begins a poll. `leading` = this copy may write.
    pub fn begin(&mut self, size: Size, now: Instant, leading: bool) -> Round<'_> {
        let next = VecDeque::from([Ask::Config]);
        Round { scaler: self, size, now, leading, next, attempts: 0, before: 0, outcome: Outcome::default() }
    }
}

/// What a poll has come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// The number that is wanted, if it is known.
    pub wanted: Option<i32>,
    /// What happened.
    pub notes: Vec<Note>,
    /// What went wrong.
    pub troubles: Vec<Trouble>,
    /// Whether the ConfigMap's text is refused; `None` if it could not be read.
    pub refused: Option<bool>,
    /// The ConfigMap's text is refused, but scaling goes on with the last good one.
    pub on_last_good: bool,
}

impl Outcome {
    /// Whether it counts for `--max-sync-failures`.
    pub fn is_failure(&self) -> bool {
        self.troubles.len() > usize::from(self.on_last_good)
    }

    /// All troubles in one line; `None` if there are none.
    pub fn error(&self) -> Option<String> {
        let all: Vec<&str> = self.troubles.iter().map(|trouble| trouble.message.as_str()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// A poll under way.
#[derive(Debug)]
pub struct Round<'a> {
    scaler: &'a mut Autoscaler,
    size: Size,
    now: Instant,
    leading: bool,
    next: VecDeque<Ask>,
    /// Writes to the target in work that met another writer.
    attempts: u32,
    /// What the target in work has.
    before: i32,
    outcome: Outcome,
}

impl Round<'_> {
    /// What to ask now; `None` at the end.
    pub fn ask(&self) -> Option<Ask> {
        self.next.front().cloned()
    }

    /// The end.
    pub fn finish(self) -> Outcome {
        self.outcome
    }

    /// Takes the answer to what was asked.
    pub fn answer(&mut self, reply: Reply) {
        let Some(asked) = self.next.pop_front() else { return };
        match (asked, reply) {
            (Ask::Config, Reply::Config(Err(trouble))) => self.without_config(trouble),
            (Ask::CreateConfig(_), Reply::Config(Err(trouble))) => self.not_created(trouble),
            (Ask::Config, Reply::Config(Ok(config))) => self.take(config),
            (Ask::CreateConfig(_), Reply::Config(Ok(config))) => {
                self.outcome.notes.push(Note::Created);
                self.take(config);
            }
            (Ask::Scale { target, .. }, Reply::Scale(Ok(current))) => self.decide(target, current),
            (Ask::SetScale { target, replicas }, Reply::Set(Ok(()))) => {
                self.attempts = 0;
                self.outcome.notes.push(Note::Scaled { target, from: self.before, to: replicas });
            }
            (Ask::SetScale { target, .. }, Reply::Set(Err(trouble))) => self.not_set(target, trouble),
            (_, Reply::Scale(Err(trouble))) => self.target_failed(trouble),
            (asked, reply) => unreachable_pair(&asked, &reply),
        }
    }

    const fn compat(&self) -> bool {
        self.scaler.policy.rules.compat
    }

    fn fail(&mut self, trouble: Trouble) {
        self.outcome.troubles.push(trouble);
    }

    /// The original creates the ConfigMap after any error; we only when it is not there.
    fn without_config(&mut self, trouble: Trouble) {
        let missing = trouble.reason == Reason::Missing;
        let defaults = self.scaler.defaults.as_ref().filter(|_| self.compat() || (missing && self.leading));
        let Some(defaults) = defaults.cloned() else { return self.fail(trouble) };
        if !self.compat()
            && let Err(refusal) = Params::read(&defaults, self.scaler.policy.rules)
        {
            let message = format!("{trouble}; it is not made from the default parameters: {refusal}");
            return self.fail(Trouble::new(Reason::Parameters, message));
        }
        self.next.push_back(Ask::CreateConfig(defaults));
    }

    fn not_created(&mut self, trouble: Trouble) {
        // Another copy was faster: its ConfigMap is as good.
        if trouble.reason == Reason::Exists && !self.compat() && self.attempts == 0 {
            self.attempts = 1;
            self.next.push_back(Ask::Config);
        } else {
            self.fail(trouble);
        }
    }

    fn take(&mut self, config: Config) {
        self.attempts = 0;
        let rules = self.scaler.policy.rules;
        let known = self.scaler.read.as_ref().is_some_and(|(version, _)| *version == config.version);
        // The original reads a refused text again and again, because it has no parameters.
        if !known || (self.compat() && self.scaler.params.is_none()) {
            let refusal = match Params::read(&config.data, rules) {
                Ok(params) => {
                    if self.scaler.params.as_ref() != Some(&params) {
                        self.outcome.notes.push(Note::Accepted(one_line(&config.data)));
                    }
                    self.scaler.params = Some(params);
                    None
                }
                Err(refusal) => {
                    let kept = !self.compat() && self.scaler.params.is_some();
                    self.outcome.notes.push(Note::Refused { refusal: refusal.clone(), kept });
                    if self.compat() {
                        self.scaler.params = None;
                    }
                    Some(refusal)
                }
            };
            self.scaler.read = Some((config.version, refusal));
        }
        self.outcome.refused = Some(matches!(self.scaler.read, Some((_, Some(_)))));
        if let Some((_, Some(refusal))) = &self.scaler.read {
            self.outcome.on_last_good = self.scaler.params.is_some();
            let more = if self.outcome.on_last_good { "; the last good parameters go on" } else { "" };
            let message = format!("the ConfigMap's parameters are refused: {refusal}{more}");
            self.fail(Trouble::new(Reason::Parameters, message));
        }
        self.compute();
    }

    fn compute(&mut self) {
        let Some(params) = &self.scaler.params else { return };
        match params.replicas(self.size, self.scaler.policy.rules, &mut |_| {}) {
            Err(unfit) => self.fail(Trouble::new(Reason::Parameters, unfit.to_string())),
            Ok(wanted) => {
                self.outcome.wanted = Some(wanted);
                self.scaler.hold.note(self.now, wanted);
                if self.leading {
                    let fresh = self.compat();
                    self.next.extend((0..self.scaler.targets).map(|target| Ask::Scale { target, fresh }));
                }
            }
        }
    }

    fn decide(&mut self, target: usize, current: Current) {
        let Some(wanted) = self.outcome.wanted else { return };
        let from = current.replicas;
        match self.scaler.hold.decide(self.now, self.size, from, wanted) {
            Decision::Keep => self.outcome.notes.push(Note::Kept { target, replicas: from }),
            Decision::Wait(why) => self.outcome.notes.push(Note::Held { target, current: from, why }),
            // A number from memory is good enough to see that nothing is to be done, not to write over.
            Decision::Scale(_) if !current.fresh => self.next.push_front(Ask::Scale { target, fresh: true }),
            Decision::Scale(to) => {
                self.before = from;
                self.next.push_front(Ask::SetScale { target, replicas: to });
            }
        }
    }

    fn not_set(&mut self, target: usize, trouble: Trouble) {
        self.attempts += 1;
        if trouble.reason == Reason::Conflict && !self.compat() && self.attempts < ATTEMPTS {
            self.next.push_front(Ask::Scale { target, fresh: true });
        } else {
            self.target_failed(trouble);
        }
    }

    /// The original ends the poll at the first target that fails; we go on to the others.
    fn target_failed(&mut self, trouble: Trouble) {
        self.attempts = 0;
        self.fail(trouble);
        if self.compat() {
            self.next.clear();
        }
    }
}

fn one_line(data: &Data) -> String {
    let one =
        |(mode, text): (&String, &String)| format!("{mode}: {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
    data.iter().map(one).collect()
}

/// A mistake in the program that runs the poll.
fn unreachable_pair(asked: &Ask, reply: &Reply) {
    debug_assert!(false, "{asked:?} cannot be answered with {reply:?}");
    tracing::error!("a poll went wrong inside: {asked:?}, {reply:?}");
}
