use crate::{
    chain::{Format, ZoneSet},
    wire::Kind,
};

/// One `log` line: for which names and answers, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) zones: ZoneSet,
    pub(super) classes: Classes,
    pub(super) format: Format,
}

/// Which classes of answers are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Classes {
    success: bool,
    denial: bool,
    error: bool,
}

impl Classes {
    pub(super) const ALL: Self = Self { success: true, denial: true, error: true };
    pub(super) const NONE: Self = Self { success: false, denial: false, error: false };

    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "all" => Some(Self::ALL),
            "success" => Some(Self { success: true, ..Self::NONE }),
            "denial" => Some(Self { denial: true, ..Self::NONE }),
            "error" => Some(Self { error: true, ..Self::NONE }),
            _ => None,
        }
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            success: self.success || other.success,
            denial: self.denial || other.denial,
            error: self.error || other.error,
        }
    }

    pub(super) const fn take(self, kind: Kind) -> bool {
        match kind {
            Kind::Success => self.success,
            Kind::Denial => self.denial,
            Kind::Error => self.error,
        }
    }
}
