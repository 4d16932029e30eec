use std::{collections::HashMap, sync::Arc};

use smallvec::SmallVec;

use crate::{
    chain::{Chain, Context, Place, View},
    wire::{Class, Name, RecordType},
};

/// Where a query goes.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) chain: Arc<Chain>,
    pub(crate) place: Place,
    /// Which queries it is for; all without.
    pub(crate) view: Option<View>,
}

impl Target {
    fn admits(&self, cx: &Context) -> bool {
        self.view.as_ref().is_none_or(|view| (view.admits)(cx))
    }
}

/// The zones of one listener: the longest one that holds the name answers (RFC 1034 section 4.3.2, step 2).
#[derive(Default)]
pub(crate) struct Routes {
    /// By zone in lower-case wire form; several if they have views.
    targets: HashMap<Box<[u8]>, SmallVec<[Target; 1]>, foldhash::quality::RandomState>,
    /// How many labels the zones have; a bit for each count that occurs.
    depths: u128,
    /// Some block has a plugin that answers classes other than IN.
    any_class: bool,
    /// Some block has a plugin that takes updates.
    takes_updates: bool,
    /// Some block has a view: where a query goes depends on more than its octets.
    any_view: bool,
}

impl Routes {
    /// Adds a zone; `false` if it is there already without a view, or with the same.
    pub(crate) fn add(&mut self, zone: &Name, target: Target) -> bool {
        self.depths |= 1 << zone.label_count();
        self.any_class |= target.chain.names().any(|name| matches!(name, "chaos" | "forward"));
        self.takes_updates |= target.chain.takes_updates();
        self.any_view |= target.view.is_some();
        let targets = self.targets.entry(zone.to_lowercase().wire().into()).or_default();
        let name = |target: &Target| target.view.as_ref().map(|view| view.name.clone());
        let is_new = targets.iter().all(|known| name(known) != name(&target));
        targets.push(target);
        is_new
    }

    /// Whether updates are taken at all here.
    pub(crate) const fn takes_updates(&self) -> bool {
        self.takes_updates
    }

    /// Whether a class is answered at all here.
    pub(crate) fn takes_class(&self, class: Class) -> bool {
        class == Class::IN || self.any_class
    }

    /// Whether equal queries go to the same block, whoever asks.
    pub(crate) const fn is_same_for_all(&self) -> bool {
        !self.any_view
    }

    /// The block that answers a query.
    pub(crate) fn find(&self, cx: &Context) -> Option<&Target> {
        let question = &cx.query.question;
        if self.depths == 1 {
            // The root is all there is.
            return self.targets.get(&[0][..])?.iter().find(|target| target.admits(cx));
        }
        let name = question.name.to_lowercase();
        let labels = name.label_count();
        let mut matches = (0..=labels).rev().filter(|&depth| self.depths & 1 << depth != 0).filter_map(|depth| {
            let targets = self.targets.get(name.tail(labels - depth))?;
            targets.iter().find(|target| target.admits(cx)).map(|target| (depth, target))
        });
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
    use crate::{
        chain::Transport,
        metrics::Registry,
        wire::{Query, Question},
    };

    fn target(number: u16, view: Option<View>) -> Target {
        let panics = Registry::new().counter("panics", "x", &[]).with_label_values::<&str>(&[]);
        let place = Place { zone: number, ..Place::default() };
        Target { chain: Arc::new(Chain::new(Vec::new(), panics, true)), place, view }
    }

    /// The number of the block that a query of a client on this port goes to.
    fn found(routes: &Routes, port: u16, name: &str, record_type: RecordType) -> Option<u16> {
        let client = ([192, 0, 2, 1], port).into();
        let query = Query::internal(Question::new(Name::parse(name).unwrap(), record_type));
        let cx = Context::new(query, client, client, Transport::Udp, std::time::Instant::now());
        routes.find(&cx).map(|target| target.place.zone)
    }

    #[test]
    fn the_longest_zone_answers_and_ds_goes_to_the_parent() {
        let mut routes = Routes::default();
        for (number, zone) in [".", "example.org.", "a.example.org.", "org."].into_iter().enumerate() {
            assert!(routes.add(&Name::parse(zone).unwrap(), target(number as u16, None)));
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
            assert_eq!(found(&routes, 53, name, record_type), Some(zone), "{name} {record_type}");
        }
    }

    #[test]
    fn the_first_view_that_admits_a_query_answers_or_the_parent() {
        let below = |port| {
            let admits = Arc::new(move |cx: &Context| cx.peer.port() < port);
            Some(View { name: port.to_string(), admits })
        };
        let mut routes = Routes::default();
        let (zone, parent) = (Name::parse("example.org.").unwrap(), Name::parse("org.").unwrap());
        assert!(routes.add(&zone, target(1, below(10))) && routes.add(&zone, target(2, below(20))));
        for (port, expected) in [(5, Some(1)), (15, Some(2)), (25, None)] {
            assert_eq!(found(&routes, port, "www.example.org.", RecordType::A), expected, "port {port}");
        }
        assert!(routes.add(&parent, target(3, None)));
        assert_eq!(found(&routes, 25, "www.example.org.", RecordType::A), Some(3));
        assert!(routes.add(&zone, target(4, None)) && routes.add(&zone, target(5, below(30))));
        assert_eq!(found(&routes, 25, "www.example.org.", RecordType::A), Some(4), "what has no view takes all");
        assert!(!routes.add(&zone, target(6, None)), "a second one without a view");
        assert!(!routes.add(&zone, target(7, below(20))), "a second one of the same name");
    }
}
