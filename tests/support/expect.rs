//! What a scenario expects: answers, and numbers.

use std::{collections::BTreeSet, time::Duration};

use super::dig::Reply;

/// A question and what each program answers.
pub(crate) struct Case {
    pub(crate) question: String,
    pub(crate) expected: Expected,
    /// Set if CoreDNS answers something else on purpose.
    pub(crate) coredns: Option<Expected>,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    status: String,
    flags: Vec<String>,
    sections: [BTreeSet<String>; 3],
    /// Only the status and the flags count.
    loose: bool,
    /// The code of the extended error, or that there is none.
    ede: Option<String>,
    /// What `dig` says of the OPT record.
    opt: Vec<String>,
    /// How long the answer may take.
    within: Option<Duration>,
    /// The first record of the answer, where the order counts.
    first: Option<String>,
}

const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];

/// Lines that begin at the margin, each with the indented ones below it.
pub(crate) fn blocks(body: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    for line in body.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if line.starts_with(' ') {
            blocks.last_mut().expect("a question comes first").1.push(line.trim().to_owned());
        } else {
            blocks.push((line.trim().to_owned(), Vec::new()));
        }
    }
    blocks
}

/// The questions of an `ask` part.
pub(crate) fn cases(body: &str) -> Vec<Case> {
    let case = |(question, lines): (String, Vec<String>)| {
        // `differs: reason` begins what CoreDNS answers instead.
        let mut halves = lines.split(|line| line.starts_with("differs:"));
        let expected = Expected::read(halves.next().unwrap_or_default());
        Case { question, expected, coredns: halves.next().map(Expected::read) }
    };
    blocks(body).into_iter().map(case).collect()
}

/// Lines below heads: what seamark gives, and what CoreDNS does instead, if it differs.
pub(crate) fn checked_blocks(body: &str) -> Vec<(String, Vec<String>, Option<Vec<String>>)> {
    let block = |(head, lines): (String, Vec<String>)| {
        let mut halves = lines.split(|line| line.starts_with("differs:"));
        let ours = halves.next().unwrap_or_default().to_vec();
        (head, ours, halves.next().map(<[String]>::to_vec))
    };
    blocks(body).into_iter().map(block).collect()
}

impl Expected {
    fn read(lines: &[String]) -> Self {
        let mut expected = Self::default();
        for line in lines {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match SECTIONS.iter().position(|section| *section == word) {
                Some(section) => _ = expected.sections[section].insert(rest.to_owned()),
                None if word == "..." => expected.loose = true,
                None if word == "ede" => expected.ede = Some(rest.to_owned()),
                None if word == "opt" => expected.opt.push(rest.to_owned()),
                None if word == "first" => expected.first = Some(rest.to_owned()),
                None if word == "within" => expected.within = Some(duration(rest)),
                None => {
                    word.clone_into(&mut expected.status);
                    expected.flags = rest.split_whitespace().map(str::to_owned).collect();
                }
            }
        }
        expected
    }

    pub(crate) fn fits(&self, reply: &Reply) -> bool {
        let flags = self.flags.iter().all(|flag| match flag.strip_prefix('-') {
            Some(unset) => !reply.has(unset),
            None => reply.has(flag),
        });
        let ede = match self.ede.as_deref() {
            None => true,
            Some("-") => reply.ede.is_empty(),
            Some(code) => reply.ede.iter().any(|known| known == code),
        };
        let opt = self.opt.iter().all(|wanted| {
            reply.text.lines().any(|line| line.strip_prefix("; ").is_some_and(|line| line.contains(wanted)))
        });
        let is_first = |wanted: &String| reply.answer.first().is_some_and(|found| same(wanted, found));
        let first = self.first.as_ref().is_none_or(is_first);
        let in_time = self.within.is_none_or(|within| reply.taken <= within);
        let reply = reply.normalised();
        let sections = [&reply.answer, &reply.authority, &reply.additional];
        let equal = |(wanted, found): (&BTreeSet<String>, &Vec<String>)| {
            wanted.len() == found.len() && wanted.iter().all(|wanted| found.iter().any(|found| same(wanted, found)))
        };
        let records = self.loose || self.sections.iter().zip(sections).all(equal);
        self.status == reply.status && flags && ede && opt && in_time && first && records
    }
}

/// Compares a record with one that may leave its TTL out, or give a range.
fn same(wanted: &str, found: &str) -> bool {
    let mut words: Vec<&str> = found.split(' ').collect();
    let ttl = words.remove(1);
    let mut wanted: Vec<&str> = wanted.split(' ').collect();
    if wanted.get(1).is_some_and(|word| word.starts_with(|first: char| first.is_ascii_digit())) {
        return is_within(wanted.remove(1), ttl) && wanted == words;
    }
    wanted == words
}

/// Whether a number is the one that is wanted, or in the range that is: `8..10`.
fn is_within(wanted: &str, found: &str) -> bool {
    let (least, most) = wanted.split_once("..").unwrap_or((wanted, wanted));
    match (least.parse::<f64>(), most.parse::<f64>(), found.parse::<f64>()) {
        (Ok(least), Ok(most), Ok(found)) => (least..=most).contains(&found),
        _ => false,
    }
}

/// Named numbers: `one/tcp 2`, `coredns_cache_entries{...} 1..1024`.
#[derive(PartialEq, Eq)]
pub(crate) struct Numbers(Vec<(String, String)>);

impl Numbers {
    /// Those of a part, and what CoreDNS has instead, if it differs.
    pub(crate) fn read(body: &str) -> (Self, Option<Self>) {
        let lines: Vec<&str> = body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let mut halves = lines.split(|line| line.starts_with("differs:"));
        let list = |lines: &[&str]| {
            let pairs = lines.iter().map(|line| line.rsplit_once(' ').expect("a name and a number"));
            Self(pairs.map(|(name, number)| (name.to_owned(), number.to_owned())).collect())
        };
        (list(halves.next().unwrap_or_default()), halves.next().map(list))
    }

    /// What is not as expected; a number that is not there counts as 0.
    pub(crate) fn wrong(&self, find: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut wrong = self.0.iter().filter_map(|(name, wanted)| {
            let found = find(name).unwrap_or_else(|| "0".to_owned());
            (!is_within(wanted, &found)).then(|| format!("{name} is {found}, not {wanted}"))
        });
        let first = wrong.next()?;
        Some(wrong.fold(first, |all, next| format!("{all}; {next}")))
    }
}

/// `300ms` or `2s`.
pub(crate) fn duration(text: &str) -> Duration {
    let number = |digits: &str| digits.parse().unwrap_or_else(|_| panic!("`{text}` is no time"));
    match text.strip_suffix("ms") {
        Some(digits) => Duration::from_millis(number(digits)),
        None => Duration::from_secs(number(text.strip_suffix('s').unwrap_or(text))),
    }
}
