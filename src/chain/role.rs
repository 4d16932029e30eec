use super::ZoneSet;
use crate::wire::Name;

/// What a directive does to the queries of its block, for those who look at a Corefile. No query needs it.
#[derive(Debug, Clone, Default)]
pub struct Role {
    /// What it does, as the end of a sentence that begins with its name; empty if it does not say.
    pub does: &'static str,
    /// Which queries end there.
    pub kind: Kind,
}

/// Which queries end at a directive.
#[derive(Debug, Clone, Default)]
pub enum Kind {
    /// Nobody has said: whoever looks supposes nothing.
    #[default]
    Unknown,
    /// It sets something; no query meets it.
    Sets,
    /// It sees queries and answers, and lets them pass.
    Passes,
    /// It answers names of `zones`, but for those of `beyond`, which may go on.
    Answers {
        /// What it looks at.
        zones: ZoneSet,
        /// What of it may go on all the same.
        beyond: ZoneSet,
    },
}

impl Role {
    /// A directive that no query meets.
    pub const fn sets(does: &'static str) -> Self {
        Self { does, kind: Kind::Sets }
    }

    /// A directive that lets queries pass.
    pub const fn passes(does: &'static str) -> Self {
        Self { does, kind: Kind::Passes }
    }

    /// A directive that answers names of `zones`; what `beyond` holds may go on.
    pub const fn answers(does: &'static str, zones: ZoneSet, beyond: ZoneSet) -> Self {
        Self { does, kind: Kind::Answers { zones, beyond } }
    }

    /// A directive that answers some names of `zones`, nobody knows which.
    pub fn answers_some(does: &'static str, zones: ZoneSet) -> Self {
        Self::answers(does, zones.clone(), zones)
    }

    /// Whether queries may end there.
    pub const fn may_answer(&self) -> bool {
        matches!(self.kind, Kind::Answers { .. } | Kind::Unknown)
    }

    /// Whether a query for a name below `zone` may end there.
    pub fn meets(&self, zone: &Name) -> bool {
        match &self.kind {
            Kind::Unknown => true,
            Kind::Sets | Kind::Passes => false,
            Kind::Answers { zones, .. } => zones.iter().any(|own| own.is_within(zone) || zone.is_within(own)),
        }
    }

    /// Whether every query for a name below `zone` ends there.
    pub fn ends(&self, zone: &Name) -> bool {
        let Kind::Answers { zones, beyond } = &self.kind else { return false };
        let goes_on = |other: &Name| other.is_within(zone) || zone.is_within(other);
        zones.contains(zone) && !beyond.iter().any(goes_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(zones: &[&str]) -> ZoneSet {
        ZoneSet::new(zones.iter().map(|zone| Name::parse(zone).unwrap()).collect())
    }

    #[test]
    fn what_ends_where() {
        let cluster = Role::answers("x", set(&["cluster.local", "in-addr.arpa"]), set(&["in-addr.arpa"]));
        for (zone, meets, ends) in [
            ("cluster.local", true, true),
            ("svc.cluster.local", true, true),
            ("10.in-addr.arpa", true, false),
            ("example.org", false, false),
            // Some of its names end there, others do not.
            (".", true, false),
        ] {
            let zone = Name::parse(zone).unwrap();
            assert_eq!((cluster.meets(&zone), cluster.ends(&zone)), (meets, ends), "{zone}");
        }
        let some = Role::answers_some("x", set(&["."]));
        assert!(some.meets(&Name::root()) && !some.ends(&Name::root()));
        assert!(Role::default().meets(&Name::root()) && !Role::passes("x").meets(&Name::root()));
    }
}
