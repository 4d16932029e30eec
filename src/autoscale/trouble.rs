//! What can go wrong in a poll.

use std::fmt;

/// The kind of a trouble: a label of `seamark_autoscaler_errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The nodes have not been listed yet.
    Nodes,
    /// The ConfigMap's text is refused, or gives a number that is not used.
    Parameters,
    /// RBAC does not allow it, or the credentials are not accepted.
    Forbidden,
    /// The object is not there.
    Missing,
    /// The object is there already.
    Exists,
    /// The object has changed between reading and writing.
    Conflict,
    /// No connection, or no answer in time.
    Unreachable,
    /// Any other answer of the API server.
    Server,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Nodes,
        Self::Parameters,
        Self::Forbidden,
        Self::Missing,
        Self::Exists,
        Self::Conflict,
        Self::Unreachable,
        Self::Server,
    ];

    /// The label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Parameters => "parameters",
            Self::Forbidden => "forbidden",
            Self::Missing => "missing",
            Self::Exists => "exists",
            Self::Conflict => "conflict",
            Self::Unreachable => "unreachable",
            Self::Server => "server",
        }
    }
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its kind.
    pub reason: Reason,
    /// What a person should read.
    pub message: String,
}

impl Trouble {
    /// A trouble.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trouble {}
