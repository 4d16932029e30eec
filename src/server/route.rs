use std::{collections::HashMap, sync::Arc};

use crate::{
    chain::{Chain, Place},
    wire::{Class, Name, Question, RecordType},
};

/// Where a query goes.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) chain: Arc<Chain>,
    pub(crate) place: Place,
}

/// The zones of one listener: the longest one that holds the name answers (RFC 1034 section 4.3.2, step 2).
#[derive(Default)]
pub(crate) struct Routes {
    /// By zone in lower-case wire form.
    targets: HashMap<Box<[u8]>, Target, foldhash::quality::RandomState>,
    /// How many labels the zones have; a bit for each count that occurs.
    depths: u128,
    /// Some block has a plugin that answers classes other than IN.
    any_class: bool,
}

impl Routes {
    /// Adds a zone; `false` if it is there already.
    pub(crate) fn add(&mut self, zone: &Name, target: Target) -> bool {
        self.depths |= 1 << zone.label_count();
        self.any_class |= target.chain.names().any(|name| matches!(name, "chaos" | "forward"));
        self.targets.insert(zone.to_lowercase().wire().into(), target).is_none()
    }

    /// Whether a class is answered at all here.
    pub(crate) fn takes_class(&self, class: Class) -> bool {
        class == Class::IN || self.any_class
    }

    /// The block that answers a question.
    pub(crate) fn find(&self, question: &Question) -> Option<&Target> {
        let name = question.name.to_lowercase();
        let labels = name.label_count();
        let mut matches = (0..=labels)
            .rev()
            .filter(|&depth| self.depths & 1 << depth != 0)
            .filter_map(|depth| self.targets.get(name.tail(labels - depth)).map(|target| (depth, target)));
        let (depth, longest) = matches.next()?;
        if question.record_type == RecordType::DS && depth == labels {
            // DS belongs to the parent's side of the cut (RFC 4035 section 3.1.4.1).
            let parent = matches.find(|&(depth, _)| depth > 0);
            return Some(parent.map_or(longest, |(_, target)| target));
        }
        Some(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Registry;

    #[test]
    fn the_longest_zone_answers_and_ds_goes_to_the_parent() {
        let chain = || {
            let panics = Registry::new().counter("panics", "x", &[]).with_label_values::<&str>(&[]);
            Arc::new(Chain::new(Vec::new(), panics, true))
        };
        let mut routes = Routes::default();
        for (number, zone) in [".", "example.org.", "a.example.org.", "org."].into_iter().enumerate() {
            let place = Place { zone: number as u16, ..Place::default() };
            assert!(routes.add(&Name::parse(zone).unwrap(), Target { chain: chain(), place }));
        }
        for (name, record_type, zone) in [
            ("example.net.", RecordType::A, 0),
            ("EXAMPLE.org.", RecordType::A, 1),
            ("www.example.org.", RecordType::A, 1),
            ("x.a.Example.ORG.", RecordType::A, 2),
            ("a.example.org.", RecordType::DS, 1),
            ("x.a.example.org.", RecordType::DS, 2),
            ("org.", RecordType::DS, 3),
            (".", RecordType::NS, 0),
        ] {
            let question = Question::new(Name::parse(name).unwrap(), record_type);
            assert_eq!(routes.find(&question).unwrap().place.zone, zone, "{name} {record_type}");
        }
    }
}
