//! Who may write when several copies run: the thinking behind a Lease. Clocks of other machines are not trusted: a
//! holder is gone when its record has not changed for as long as the record says, seen from here.

use std::time::{Duration, Instant};

/// What the Lease says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// `resourceVersion`.
    pub version: String,
    /// Who holds it; empty if it has been given up.
    pub holder: String,
    /// How long it holds without a change.
    pub duration: Duration,
    /// How often it changed hands.
    pub transitions: i64,
    /// `renewTime`, as text: only whether it changes matters.
    pub renewed: String,
    /// `acquireTime`, as text.
    pub acquired: String,
}

/// What to ask of the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Read the Lease.
    Read,
    /// Make it, held by us.
    Create,
    /// Hold it: over this record. `fresh` = it changes hands.
    Write {
        /// The record as it was seen.
        over: Record,
        /// Whether the holder changes.
        fresh: bool,
    },
}

/// What the API server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The Lease as it is, or as it has just been written.
    Found(Record),
    /// There is none.
    Missing,
    /// Somebody else was faster.
    Conflict,
    /// RBAC does not allow Leases.
    Forbidden,
    /// No answer, or another failure.
    Failed,
}

/// Whether a Lease is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    /// Where RBAC allows Leases; without it, alone.
    Auto,
    /// Always: without a Lease nothing is written.
    Required,
    /// Never.
    Off,
}

/// One copy that wants to write.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    election: Election,
    interval: Duration,
    /// The record, and since when it has been so.
    seen: Option<(Record, Instant)>,
    /// When we last wrote it.
    held: Option<Instant>,
    tried: Option<Instant>,
    forbidden: bool,
}

impl Candidate {
    /// A candidate of this name that tends to its Lease every `interval`.
    pub const fn new(identity: String, election: Election, interval: Duration) -> Self {
        Self { identity, election, interval, seen: None, held: None, tried: None, forbidden: false }
    }

    /// Who we are.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// How long a Lease of ours holds without a change.
    pub const fn duration(&self) -> Duration {
        self.interval.saturating_mul(3)
    }

    /// Whether we may write now. We stop earlier than others may begin.
    pub fn leads(&self, now: Instant) -> bool {
        match self.election {
            Election::Off => true,
            Election::Auto if self.forbidden => true,
            _ => self.held.is_some_and(|held| now.duration_since(held) < self.interval * 2),
        }
    }

    /// Whether RBAC forbids Leases.
    pub const fn is_forbidden(&self) -> bool {
        self.forbidden
    }

    /// Who holds the Lease, if that is somebody else.
    pub fn other(&self) -> Option<&str> {
        let holder = self.seen.as_ref().map(|(record, _)| record.holder.as_str())?;
        (!holder.is_empty() && holder != self.identity).then_some(holder)
    }

    /// What to do about the Lease now, if it is time.
    pub fn begin(&mut self, now: Instant) -> Option<Ask> {
        let pause = match &self.seen {
            // Rights may be given later, but that is not asked all the time.
            _ if self.forbidden => self.interval * 30,
            Some((record, _)) if record.holder == self.identity => self.interval.mul_f64(0.9),
            // Who stands by looks more often, so as not to be late.
            _ => self.interval.mul_f64(0.4),
        };
        let due = self.tried.is_none_or(|tried| now.duration_since(tried) >= pause);
        if self.election == Election::Off || !due {
            return None;
        }
        self.tried = Some(now);
        match &self.seen {
            Some((record, _)) if record.holder == self.identity => {
                Some(Ask::Write { over: record.clone(), fresh: false })
            }
            _ => Some(Ask::Read),
        }
    }

    /// Takes the answer; what to ask next, if anything.
    pub fn answer(&mut self, now: Instant, asked: &Ask, reply: Reply) -> Option<Ask> {
        self.forbidden = reply == Reply::Forbidden;
        match reply {
            Reply::Found(record) => {
                let since = match &self.seen {
                    Some((known, since)) if *known == record => *since,
                    _ => now,
                };
                self.seen = Some((record.clone(), since));
                if *asked != Ask::Read {
                    self.held = Some(now);
                    return None;
                }
                let ours = record.holder == self.identity;
                let free = record.holder.is_empty() || now.duration_since(since) > record.duration;
                (ours || free).then_some(Ask::Write { over: record, fresh: !ours })
            }
            Reply::Missing => {
                self.forget();
                (*asked != Ask::Create).then_some(Ask::Create)
            }
            Reply::Conflict => {
                // Who has written? The next turn looks.
                self.forget();
                (*asked != Ask::Read).then_some(Ask::Read)
            }
            Reply::Forbidden => {
                self.forget();
                None
            }
            Reply::Failed => {
                // Not to be put off for long: the Lease runs out.
                self.tried = None;
                None
            }
        }
    }

    /// The record to give up when the process ends.
    pub fn resign(&self, now: Instant) -> Option<Record> {
        let (record, _) = self.seen.as_ref()?;
        (self.leads(now) && record.holder == self.identity).then(|| record.clone())
    }

    fn forget(&mut self) {
        self.held = None;
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    /// A Lease that lives in a test.
    #[derive(Default)]
    struct Shelf(Option<Record>, u64);

    impl Shelf {
        fn reply(&mut self, who: &str, ask: &Ask, second: u64) -> Reply {
            let mut record = match ask {
                Ask::Read => return self.0.clone().map_or(Reply::Missing, Reply::Found),
                Ask::Create if self.0.is_some() => return Reply::Conflict,
                Ask::Create => Record::default(),
                Ask::Write { over, .. } if self.0.as_ref() != Some(over) => return Reply::Conflict,
                Ask::Write { over, fresh } => {
                    Record { transitions: over.transitions + i64::from(*fresh), ..over.clone() }
                }
            };
            self.1 += 1;
            record.version = self.1.to_string();
            (record.holder, record.duration, record.renewed) = (who.to_owned(), INTERVAL * 3, second.to_string());
            self.0 = Some(record.clone());
            Reply::Found(record)
        }
    }

    fn turn(candidate: &mut Candidate, shelf: &mut Shelf, start: Instant, second: u64) -> bool {
        let now = start + Duration::from_secs(second);
        let mut ask = candidate.begin(now);
        while let Some(asked) = ask {
            let reply = shelf.reply(&candidate.identity.clone(), &asked, second);
            ask = candidate.answer(now, &asked, reply);
        }
        candidate.leads(now)
    }

    fn mk_candidate(name: &str) -> Candidate {
        Candidate::new(name.to_owned(), Election::Auto, INTERVAL)
    }

    #[test]
    fn one_of_two_leads_and_the_other_takes_over_when_it_is_gone() {
        let start = Instant::now();
        let (mut one, mut two, mut shelf) = (mk_candidate("one"), mk_candidate("two"), Shelf::default());
        assert!(turn(&mut one, &mut shelf, start, 0));
        for second in [1, 11, 21, 31] {
            assert!(!turn(&mut two, &mut shelf, start, second), "one leads");
            assert!(turn(&mut one, &mut shelf, start, second + 1), "one renews");
        }
        assert_eq!(two.other(), Some("one"));
        // One is gone at 32. It must stop before two begins.
        assert!(one.leads(start + Duration::from_secs(51)));
        assert!(!one.leads(start + Duration::from_secs(52)));
        let takes_over = (33..120).find(|second| turn(&mut two, &mut shelf, start, *second)).unwrap();
        assert!((62..=80).contains(&takes_over), "{takes_over}");
        // One is back, and stands by.
        assert!(!turn(&mut one, &mut shelf, start, takes_over + 1));
    }

    #[test]
    fn renewing_is_one_call_and_giving_up_lets_the_other_in() {
        let start = Instant::now();
        let (mut one, mut two, mut shelf) = (mk_candidate("one"), mk_candidate("two"), Shelf::default());
        assert!(turn(&mut one, &mut shelf, start, 0));
        let now = start + INTERVAL;
        let Some(ask @ Ask::Write { fresh: false, .. }) = one.begin(now) else { panic!("it writes at once") };
        let reply = shelf.reply("one", &ask, 10);
        assert_eq!(one.answer(now, &ask, reply), None);
        assert_eq!(one.begin(now + Duration::from_secs(1)), None, "not yet");
        let given_up = one.resign(now).unwrap();
        shelf.0 = Some(Record { holder: String::new(), ..given_up });
        assert!(turn(&mut two, &mut shelf, start, 12));
        assert_eq!(shelf.0.unwrap().transitions, 1);
    }

    #[test]
    fn without_rights_it_is_alone_unless_a_lease_is_required() {
        let now = Instant::now();
        for (election, leads) in [(Election::Auto, true), (Election::Required, false), (Election::Off, true)] {
            let mut candidate = Candidate::new("one".to_owned(), election, INTERVAL);
            let ask = candidate.begin(now);
            assert_eq!(ask.is_some(), election != Election::Off);
            if let Some(ask) = ask {
                assert!(!candidate.leads(now), "nobody leads before the API server has spoken");
                assert_eq!(candidate.answer(now, &ask, Reply::Forbidden), None);
            }
            assert_eq!(candidate.leads(now), leads, "{election:?}");
        }
    }

    #[test]
    fn a_server_that_is_away_ends_leading_before_others_may_begin() {
        let start = Instant::now();
        let (mut one, mut shelf) = (mk_candidate("one"), Shelf::default());
        turn(&mut one, &mut shelf, start, 0);
        let now = start + INTERVAL;
        let ask = one.begin(now).unwrap();
        assert_eq!(one.answer(now, &ask, Reply::Failed), None);
        assert!(one.leads(start + Duration::from_secs(19)));
        assert!(!one.leads(start + Duration::from_secs(20)));
    }
}
