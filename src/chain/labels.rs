use std::sync::{Arc, OnceLock};

use super::{Context, ZoneSet};

/// What plugins know of a query besides its question, by names such as `kubernetes/namespace` (directive `metadata`).
///
/// A label is worked out when somebody reads it: a query whose labels nobody reads costs nothing. Get it with
/// [`super::Block::labels`] while a block is built, and keep it.
#[derive(Clone, Default)]
pub struct Labels(Arc<Known>);

#[derive(Default)]
struct Known {
    /// Set by `metadata`: which names have labels.
    zones: OnceLock<ZoneSet>,
    /// Set when the block is complete.
    sources: OnceLock<Box<[Box<dyn LabelSource>]>>,
}

/// A plugin that knows labels of queries.
pub trait LabelSource: Send + Sync + 'static {
    /// The value of a label for this query; `None` if it is not one of ours, or the query has none. It is about the
    /// client's own question, whatever has been put in its place, and must not wait.
    fn label(&self, cx: &Context, name: &str) -> Option<String>;

    /// Whether it is known on the way only, and so of all queries: the zones of `metadata` are about what is known when
    /// a query comes.
    fn is_of_the_way(&self) -> bool {
        false
    }
}

impl Labels {
    /// Gives queries for names in these zones their labels. Without this there are none.
    pub fn enable(&self, zones: ZoneSet) {
        _ = self.0.zones.set(zones);
    }

    /// Whether queries of the block have labels. While a block is built, this holds below `metadata`.
    pub fn are_enabled(&self) -> bool {
        self.0.zones.get().is_some()
    }

    /// The value of a label, worked out now; `None` if the query has no such label. What a plugin has noted on the way
    /// ([`Context::note`]) goes before what is known of the query as such.
    pub fn value(&self, cx: &Context, name: &str) -> Option<String> {
        let zones = self.0.zones.get()?;
        if let Some(noted) = cx.noted(name) {
            return Some(noted.to_owned());
        }
        let inside = zones.contains(&cx.query.question.name);
        let mut sources = self.0.sources.get()?.iter().filter(|source| inside || source.is_of_the_way());
        sources.find_map(|source| source.label(cx, name))
    }

    pub(super) fn complete(&self, sources: Vec<Box<dyn LabelSource>>) {
        _ = self.0.sources.set(sources.into());
    }
}

/// What a plugin has noted of one query, latest first.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) earlier: Option<Box<Self>>,
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        chain::Transport,
        wire::{Name, Query, Question, RecordType},
    };

    struct Fixed;

    impl LabelSource for Fixed {
        fn label(&self, cx: &Context, name: &str) -> Option<String> {
            (name == "test/name").then(|| cx.query.question.name.to_string())
        }
    }

    #[test]
    fn labels_are_there_for_the_zones_of_metadata_alone_and_notes_go_first() {
        let labels = Labels::default();
        labels.complete(vec![Box::new(Fixed)]);
        let about = |name: &str| {
            let question = Question::new(Name::parse(name).unwrap(), RecordType::A);
            let client = "192.0.2.1:5353".parse().unwrap();
            Context::new(Query::internal(question), client, client, Transport::Udp, Instant::now())
        };
        let mut inside = about("www.example.org.");
        assert_eq!(labels.value(&inside, "test/name"), None, "without `metadata`");
        labels.enable(ZoneSet::new(vec![Name::parse("example.org.").unwrap()]));
        assert_eq!(labels.value(&inside, "test/name").as_deref(), Some("www.example.org."));
        assert_eq!(labels.value(&about("example.net."), "test/name"), None, "outside of the zones");
        assert_eq!(labels.value(&inside, "test/other"), None);
        inside.note("test/name", "one".to_owned());
        inside.note("test/name", "two".to_owned());
        inside.ask_instead(Question::new(Name::parse("example.net.").unwrap(), RecordType::A));
        assert_eq!(labels.value(&inside, "test/name").as_deref(), Some("two"), "also when another name is asked for");
    }
}
