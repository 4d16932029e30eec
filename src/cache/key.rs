use smallvec::SmallVec;

use crate::wire::{Query, Question};

/// What an answer is kept under: name in lower case, type, class, DO and CD. Made on the stack.
pub struct Key(SmallVec<[u8; 264]>);

impl Key {
    /// The key of a question of this query.
    pub fn of(question: &Question, query: &Query) -> Self {
        let mut key = SmallVec::new();
        let [type_high, type_low] = crate::wire::octets(question.record_type.0);
        let [class_high, class_low] = crate::wire::octets(question.class.0);
        let bits = u8::from(query.dnssec_ok()) | u8::from(query.flags.checking_disabled()) << 1;
        key.extend_from_slice(&[type_high, type_low, class_high, class_low, bits]);
        key.extend_from_slice(question.name.to_lowercase().wire());
        Self(key)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
