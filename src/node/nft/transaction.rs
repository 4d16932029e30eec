//! Messages to nftables: a transaction, which the kernel takes as a whole or not at all, and questions.

use super::attribute::Attributes;

/// NFNL_SUBSYS_NFTABLES.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

pub(super) const NEW_TABLE: u16 = 0;
pub(super) const GET_TABLE: u16 = 1;
pub(super) const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
pub(super) const GET_CHAIN: u16 = 4;
const NEW_RULE: u16 = 6;
pub(super) const GET_RULE: u16 = 7;

pub(super) const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const DUMP: u16 = 0x300;

/// NFPROTO_INET: both families in one table.
const INET: u8 = 1;
const ANY_FAMILY: u8 = 0;

pub(super) const TABLE_NAME: u16 = 1;
pub(super) const TABLE_FLAGS: u16 = 2;
/// The table belongs to the socket that made it, and goes with it (Linux 5.12).
pub(super) const OWNER: u32 = 2;

pub(super) const CHAIN_TABLE: u16 = 1;
pub(super) const CHAIN_NAME: u16 = 3;
pub(super) const CHAIN_HOOK: u16 = 4;
pub(super) const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
pub(super) const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const POLICY_ACCEPT: u32 = 1;

pub(super) const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;
const LIST_ELEMENT: u16 = 1;
/// NFTNL_UDATA_RULE_COMMENT of libnftnl.
const COMMENT: u8 = 0;

/// Where a chain is asked: hook, kind and priority, smaller numbers first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) number: u32,
    pub(super) kind: &'static str,
    pub(super) priority: i32,
}

/// NF_INET_* hooks.
pub(super) const PREROUTING: u32 = 0;
pub(super) const INPUT: u32 = 1;
pub(super) const OUTPUT: u32 = 3;
pub(super) const POSTROUTING: u32 = 4;

/// Changes that are made together.
pub(super) struct Transaction {
    bytes: Vec<u8>,
    count: u32,
}

impl Transaction {
    pub(super) fn new() -> Self {
        let mut transaction = Self { bytes: Vec::new(), count: 0 };
        let begin = head(BATCH_BEGIN, REQUEST, 0, ANY_FAMILY, SUBSYSTEM, &Attributes::new());
        transaction.bytes.extend(begin);
        transaction
    }

    pub(super) fn table(self, name: &str, flags: u32) -> Self {
        self.put(NEW_TABLE, CREATE, &Attributes::new().text(TABLE_NAME, name).number(TABLE_FLAGS, flags))
    }

    pub(super) fn delete_table(self, name: &str) -> Self {
        self.put(DELETE_TABLE, 0, &Attributes::new().text(TABLE_NAME, name))
    }

    pub(super) fn chain(self, table: &str, name: &str, hook: Hook) -> Self {
        let place = Attributes::new().number(HOOK_NUMBER, hook.number);
        let place = place.number(HOOK_PRIORITY, hook.priority.cast_unsigned());
        let chain = Attributes::new().text(CHAIN_TABLE, table).text(CHAIN_NAME, name).nested(CHAIN_HOOK, &place);
        self.put(NEW_CHAIN, CREATE, &chain.number(CHAIN_POLICY, POLICY_ACCEPT).text(CHAIN_TYPE, hook.kind))
    }

    pub(super) fn rule(self, table: &str, chain: &str, steps: &[Attributes], comment: &str) -> Self {
        let steps = Attributes::new().list(LIST_ELEMENT, steps);
        let rule = Attributes::new().text(RULE_TABLE, table).text(RULE_CHAIN, chain).nested(RULE_EXPRESSIONS, &steps);
        let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
        let comment = [&[COMMENT, length], comment.as_bytes(), &[0]].concat();
        self.put(NEW_RULE, CREATE | APPEND, &rule.bytes(RULE_USERDATA, &comment))
    }

    /// The bytes to send, and how many acknowledgements come back if all goes well.
    pub(super) fn finish(mut self) -> (Vec<u8>, u32) {
        let end = head(BATCH_END, REQUEST, self.count + 1, ANY_FAMILY, SUBSYSTEM, &Attributes::new());
        self.bytes.extend(end);
        (self.bytes, self.count)
    }

    fn put(mut self, what: u16, flags: u16, attributes: &Attributes) -> Self {
        self.count += 1;
        let kind = SUBSYSTEM << 8 | what;
        self.bytes.extend(head(kind, REQUEST | ACK | flags, self.count, INET, 0, attributes));
        self
    }
}

/// A question for everything of a kind, of our family or of all.
pub(super) fn dump(what: u16, all_families: bool, attributes: &Attributes) -> Vec<u8> {
    let family = if all_families { ANY_FAMILY } else { INET };
    head(SUBSYSTEM << 8 | what, REQUEST | DUMP, 0, family, 0, attributes)
}

/// A message: netlink's head of 16 octets, nfnetlink's of 4, attributes.
pub(super) fn head(kind: u16, flags: u16, number: u32, family: u8, resource: u16, attributes: &Attributes) -> Vec<u8> {
    let attributes = attributes.as_bytes();
    let length = u32::try_from(20 + attributes.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(20 + attributes.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(number.to_ne_bytes());
    // The kernel fills in the port.
    bytes.extend([0; 4]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    bytes
}

/// A message from the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    /// The request of this number is done, or failed with an error number of the system.
    Outcome { number: u32, error: i32 },
    /// A part of what was asked for: its family and attributes.
    Part { family: u8, attributes: &'a [u8] },
    /// All parts have come.
    Done,
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// The messages of a datagram from the kernel.
pub(super) fn replies(mut bytes: &[u8]) -> impl Iterator<Item = Reply<'_>> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    std::iter::from_fn(move || {
        let length = word(bytes, 0)? as usize;
        let message = bytes.get(..length).filter(|message| message.len() >= 16)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let kind = u16::from_ne_bytes([message[4], message[5]]);
        Some(match kind {
            NLMSG_ERROR => Reply::Outcome { number: word(message, 8)?, error: -(word(message, 16)?.cast_signed()) },
            NLMSG_DONE => Reply::Done,
            _ => Reply::Part { family: *message.get(16)?, attributes: message.get(20..)? },
        })
    })
}
