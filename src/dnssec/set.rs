use ring::digest;

use crate::wire::{Class, Name, RecordType, long_octets, lower_names, octets};

/// The records of one name, type and class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// Whose records they are.
    pub owner: Name,
    /// Class, practically always `IN`.
    pub class: Class,
    /// Type.
    pub record_type: RecordType,
    /// The TTL that signatures are made for, seconds.
    pub ttl: u32,
    /// The data of each in uncompressed wire form; in canonical form and order once it is [`RecordSet::canonical`].
    pub data: Vec<Vec<u8>>,
}

impl RecordSet {
    /// The set in canonical form (RFC 4034 section 6): names in small letters, data in order, none twice.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        self.owner = self.owner.to_lowercase();
        for data in &mut self.data {
            lower_names(self.record_type, data);
        }
        self.data.sort_unstable();
        self.data.dedup();
        self
    }

    /// The octets that a signature is over, behind those of the signature itself (RFC 4034 section 3.1.8.1).
    pub fn octets(&self) -> Vec<u8> {
        let head =
            [self.owner.wire(), &octets(self.record_type.0), &octets(self.class.0), &long_octets(self.ttl)].concat();
        let mut out = Vec::with_capacity(self.data.iter().map(|data| head.len() + 2 + data.len()).sum());
        for data in &self.data {
            out.extend_from_slice(&head);
            out.extend(octets(data.len() as u16));
            out.extend_from_slice(data);
        }
        out
    }

    /// What tells canonical sets apart, together with who signs them.
    pub fn fingerprint(&self, signer: &Name) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(signer.to_lowercase().wire());
        context.update(&self.octets());
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }

    /// The number of labels that a signature says: without a wildcard's star (RFC 4034 section 3.1.3).
    pub(super) fn labels(&self) -> u8 {
        let is_wildcard = self.owner.labels().next() == Some(b"*");
        (self.owner.label_count() - usize::from(is_wildcard)) as u8
    }
}
