use crate::{
    corefile::{Error, Token},
    wire::{Name, NameError},
};

/// A set of zones, asked for the longest one that holds a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneSet {
    /// Longest first.
    zones: Vec<Name>,
}

impl ZoneSet {
    /// A set of these zones, as [`crate::corefile::Args::zones`] gives them.
    ///
    /// # Errors
    /// One of the texts is no domain name.
    pub fn parse(zones: &[String]) -> Result<Self, NameError> {
        zones.iter().map(|zone| Name::parse(zone)).collect::<Result<Vec<_>, _>>().map(Self::new)
    }

    /// As [`ZoneSet::parse`], with the error at the word that the zones were read from.
    ///
    /// # Errors
    /// One of the texts is no domain name.
    pub fn read(zones: &[String], word: &Token) -> Result<Self, Error> {
        Self::parse(zones).map_err(|error| word.error(error.to_string()))
    }

    /// A set of these zones.
    pub fn new(mut zones: Vec<Name>) -> Self {
        zones.sort_by_key(|zone| std::cmp::Reverse(zone.label_count()));
        Self { zones }
    }

    /// The longest zone that holds `name`.
    pub fn find(&self, name: &Name) -> Option<&Name> {
        self.zones.iter().find(|zone| name.is_within(zone))
    }

    /// Whether some zone holds `name`.
    pub fn contains(&self, name: &Name) -> bool {
        self.find(name).is_some()
    }

    /// Whether there is no zone.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// The zones, longest first.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.zones.iter()
    }
}

impl FromIterator<Name> for ZoneSet {
    fn from_iter<I: IntoIterator<Item = Name>>(zones: I) -> Self {
        Self::new(zones.into_iter().collect())
    }
}
