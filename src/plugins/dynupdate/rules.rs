use crate::wire::{Name, RecordType, Wish};

/// Who may change what, and how much there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) permissions: Vec<Permission>,
    pub(super) limits: Limits,
}

/// One `allow` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Permission {
    pub(super) key: Name,
    /// `None`: all names of the zone.
    pub(super) name: Option<Name>,
    /// `None`: all types. ANY among them is the right to delete all that a name has.
    pub(super) types: Option<Vec<RecordType>>,
}

/// The most that there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Records of the zone.
    pub(super) records: usize,
    /// Octets of the zone's records.
    pub(super) bytes: usize,
    /// Records of an update.
    pub(super) update_records: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { records: 10_000, bytes: 8 << 20, update_records: 1024 }
    }
}

impl Rules {
    /// Whether a key may do anything.
    pub(super) fn has(&self, key: &Name) -> bool {
        self.permissions.iter().any(|permission| permission.key == *key)
    }

    /// Whether a key may make this change.
    pub(super) fn allow(&self, key: &Name, wish: &Wish) -> bool {
        self.permissions.iter().any(|Permission { key: known, name, types }| {
            known == key
                && name.is_none_or(|name| name == wish.owner)
                && types.as_ref().is_none_or(|types| types.contains(&wish.record_type))
        })
    }
}
