use std::{hash::BuildHasher as _, sync::LazyLock};

use smallvec::SmallVec;

use crate::wire::{Query, Question};

/// What an answer is kept under: name in lower case, type, class, DO and CD. Made on the stack.
pub struct Key {
    bytes: SmallVec<[u8; 264]>,
    hash: u64,
}

/// Another one in each process, so that nobody can choose names whose hashes collide.
static HASHER: LazyLock<foldhash::quality::RandomState> = LazyLock::new(foldhash::quality::RandomState::default);

impl Key {
    /// The key of a question of this query.
    pub fn of(question: &Question, query: &Query) -> Self {
        let mut bytes = SmallVec::new();
        let [type_high, type_low] = crate::wire::octets(question.record_type.0);
        let [class_high, class_low] = crate::wire::octets(question.class.0);
        let bits = u8::from(query.dnssec_ok()) | u8::from(query.flags.checking_disabled()) << 1;
        bytes.extend_from_slice(&[type_high, type_low, class_high, class_low, bits]);
        // Length octets are below 64, where letters start.
        bytes.extend_from_slice(question.name.wire());
        bytes[5..].make_ascii_lowercase();
        let hash = HASHER.hash_one(bytes.as_slice());
        Self { bytes, hash }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A number that is nearly always another one for another key.
    pub const fn hash(&self) -> u64 {
        self.hash
    }
}
