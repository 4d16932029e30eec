//! The packet rules in nftables, through netlink: no program, no library.
//!
//! ```text
//!   mod.rs            the tables: one that the process owns, one that stays
//!     expression.rs   the steps of a rule
//!     transaction.rs  messages: changes that are made together, questions, replies
//!       attribute.rs  what messages are made of
//!     socket.rs       to the kernel and back; changes that others make
//!     tracking.rs     where a query has gone
//! ```
//!
//! The table that the process owns switches pods over to the node cache. The kernel removes it when the process dies,
//! whatever of, and lets nobody else touch it.

mod attribute;
mod expression;
mod socket;
mod tracking;
mod transaction;

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use attribute::{Attributes, find, number, text};
pub use socket::Changes;
use socket::Conversation;
pub(super) use tracking::Tracking;
use transaction::{Hook, Transaction};

use super::rules::{Action, End, Filled, Place, Protocol};

/// What the names of our tables begin with.
pub(super) const PREFIX: &str = "seamark-";
/// The table that stays.
pub(super) const FALLBACK: &str = "seamark-fallback";

/// Before connections are tracked, where iptables has its raw table.
const RAW: i32 = -300;
/// Behind kube-proxy's translation of destinations (-100): what it has translated is left alone.
const BEHIND_PROXY: i32 = -90;
/// Before kube-proxy's translation of sources (100).
const BEFORE_PROXY: i32 = 90;

/// Why nftables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The kernel has no nftables, or one without tables that belong to a process (before Linux 5.12).
    #[error("this kernel has no nftables with owned tables: {0}")]
    Lacking(#[source] io::Error),
    /// It is there and does not do it.
    #[error("nftables: {0}")]
    Refused(#[source] io::Error),
    /// The process may not.
    #[error("nftables: {0} (the process needs the capability NET_ADMIN)")]
    Forbidden(#[source] io::Error),
}

impl From<io::Error> for NftError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOENT | libc::EAFNOSUPPORT) => {
                Self::Lacking(error)
            }
            Some(libc::EPERM) => Self::Forbidden(error),
            _ => Self::Refused(error),
        }
    }
}

/// The tables in nftables.
pub(super) struct Nft {
    conversation: Conversation,
    /// The table that goes with this process. Each instance has its own, so that they may overlap.
    own: String,
}

impl Nft {
    pub(super) fn open() -> Result<Self, NftError> {
        let conversation = Conversation::open()?;
        let own = format!("{PREFIX}{}", conversation.port());
        Ok(Self { conversation, own })
    }

    /// Puts the rules into the table that the process owns, if they are not there. Says whether it had to.
    ///
    /// Rules that accept are left out: in a table of one's own they cannot overrule another's drop.
    pub(super) fn ensure(&self, rules: &[Filled]) -> Result<bool, NftError> {
        let rules: Vec<_> = rules.iter().filter(|rule| rule.place.action() == Action::Notrack).collect();
        if self.count(&self.own)? == Some(rules.len()) {
            return Ok(false);
        }
        let own = &self.own;
        let mut change = Transaction::new().table(own, transaction::OWNER).delete_table(own);
        change = change.table(own, transaction::OWNER);
        for (name, number) in [("prerouting", transaction::PREROUTING), ("output", transaction::OUTPUT)] {
            change = change.chain(own, name, Hook { number, kind: "filter", priority: RAW });
        }
        for rule in rules {
            let chain = if rule.place == Place::RawPrerouting { "prerouting" } else { "output" };
            let mut steps = expression::matching(rule.protocol, rule.end, rule.address, rule.port);
            steps.push(expression::notrack());
            change = change.rule(own, chain, &steps, rule.comment());
        }
        self.conversation.apply(change)?;
        Ok(true)
    }

    /// Removes the table that the process owns.
    pub(super) fn remove(&self) -> Result<(), NftError> {
        self.remove_table(&self.own)
    }

    /// Writes the table that stays: what is meant for a local address, and that nobody has taken, goes to one of the
    /// endpoints of the cluster's DNS. It leaves with the host's own address, as the endpoint may be a neighbour of the
    /// asker, and the answer must come back this way.
    pub(super) fn write_fallback(&self, local: &[IpAddr], port: u16, endpoints: &[SocketAddr]) -> Result<(), NftError> {
        let mut change = Transaction::new().table(FALLBACK, 0).delete_table(FALLBACK).table(FALLBACK, 0);
        let hooks = [
            ("prerouting", transaction::PREROUTING, BEHIND_PROXY),
            ("output", transaction::OUTPUT, BEHIND_PROXY),
            ("postrouting", transaction::POSTROUTING, BEFORE_PROXY),
        ];
        for (name, number, priority) in hooks {
            change = change.chain(FALLBACK, name, Hook { number, kind: "nat", priority });
        }
        for (address, protocol, to) in redirections(local, endpoints) {
            for (left, endpoint) in (1..=to.len()).rev().zip(&to) {
                let mut steps = expression::matching(protocol, End::Destination, address, port);
                steps.extend(expression::one_of(u32::try_from(left).unwrap_or(u32::MAX)));
                steps.extend(expression::redirect(*endpoint));
                let comment = "no node cache: ask the cluster's DNS";
                change = change.rule(FALLBACK, "prerouting", &steps, comment).rule(FALLBACK, "output", &steps, comment);
            }
            let mut steps = expression::redirected_from(protocol, address, port);
            steps.push(expression::masquerade());
            change = change.rule(FALLBACK, "postrouting", &steps, "answers must come back this way");
        }
        Ok(self.conversation.apply(change)?)
    }

    /// Whether the table that stays is there, with any rules: another instance may know other endpoints, and the two must
    /// not write over each other for ever.
    pub(super) fn has_fallback(&self) -> Result<bool, NftError> {
        Ok(self.count(FALLBACK)?.is_some_and(|rules| rules > 0))
    }

    /// Removes the table that stays.
    pub(super) fn remove_fallback(&self) -> Result<(), NftError> {
        self.remove_table(FALLBACK)
    }

    /// Chains that let in only what they know: `table NAME, chain NAME`. A rule in another table cannot overrule them.
    pub(super) fn closed_chains(&self) -> Result<Vec<String>, NftError> {
        const DROP: u32 = 0;
        let mut found = Vec::new();
        let question = transaction::dump(transaction::GET_CHAIN, true, &Attributes::new());
        self.conversation.list(&question, |_, chain| {
            let hook = find(chain, transaction::CHAIN_HOOK).and_then(|hook| find(hook, transaction::HOOK_NUMBER));
            let policy = find(chain, transaction::CHAIN_POLICY).and_then(number);
            if hook.and_then(number) == Some(transaction::INPUT) && policy == Some(DROP) {
                let name = |kind| find(chain, kind).map(text).unwrap_or_default();
                found.push(format!(
                    "table {}, chain {}",
                    name(transaction::CHAIN_TABLE),
                    name(transaction::CHAIN_NAME)
                ));
            }
        })?;
        Ok(found)
    }

    fn remove_table(&self, name: &str) -> Result<(), NftError> {
        match self.conversation.apply(Transaction::new().delete_table(name)) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// How many rules a table of ours has; `None` if it is not there.
    fn count(&self, table: &str) -> Result<Option<usize>, NftError> {
        let mut there = false;
        let tables = transaction::dump(transaction::GET_TABLE, false, &Attributes::new());
        self.conversation.list(&tables, |_, found| {
            there |= find(found, transaction::TABLE_NAME).map(text).as_deref() == Some(table);
        })?;
        if !there {
            return Ok(None);
        }
        let mut count = 0;
        let rules = Attributes::new().text(transaction::RULE_TABLE, table);
        self.conversation.list(&transaction::dump(transaction::GET_RULE, false, &rules), |_, rule| {
            // A kernel that does not know the filter sends the rules of all tables.
            count += usize::from(find(rule, transaction::RULE_TABLE).map(text).as_deref() == Some(table));
        })?;
        Ok(Some(count))
    }
}

/// Each local address with the endpoints of its family, if there are any, for each protocol.
fn redirections(
    local: &[IpAddr],
    endpoints: &[SocketAddr],
) -> impl Iterator<Item = (IpAddr, Protocol, Vec<SocketAddr>)> {
    let pairs = local.iter().map(|address| {
        let same = endpoints.iter().filter(|endpoint| endpoint.is_ipv4() == address.is_ipv4());
        (*address, same.copied().collect::<Vec<_>>())
    });
    let pairs: Vec<_> = pairs.filter(|(_, to)| !to.is_empty()).collect();
    pairs
        .into_iter()
        .flat_map(|(address, to)| [Protocol::Tcp, Protocol::Udp].map(|protocol| (address, protocol, to.clone())))
}
