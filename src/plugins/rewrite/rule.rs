use super::{
    option::OptionRule,
    pattern::{Pattern, Renaming},
};
use crate::wire::{Class, Rcode, RecordType};

/// One `rewrite`.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) action: Action,
    /// If it was about the query, no later rule is asked.
    pub(super) stop: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Another name is asked for; the answers say what becomes of names in the response, in the order of the words.
    Name {
        renaming: Renaming,
        answers: Vec<Answer>,
    },
    Type {
        from: RecordType,
        to: RecordType,
    },
    Class {
        from: Class,
        to: Class,
    },
    /// TTLs of the response are brought between the two, seconds.
    Ttl {
        about: Pattern,
        least: u32,
        most: u32,
    },
    Rcode {
        about: Pattern,
        from: Rcode,
        to: Rcode,
    },
    /// An alias of the response leads to another name, which is asked for.
    Cname(Renaming),
    Option(OptionRule),
}

/// What becomes of names in the response to a question that was renamed.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Owners and values are renamed the other way round.
    Auto,
    /// Owners are renamed.
    Owner(Renaming),
    /// The names that records lead to are renamed.
    Value(Renaming),
}
