use crate::wire::{Name, RecordType, type_bitmap};

/// The data of an NSEC record: the next name, and the types that are there (RFC 4034 section 4.1).
pub fn nsec(next: &Name, types: &mut [RecordType]) -> Vec<u8> {
    let mut data = next.wire().to_vec();
    type_bitmap(types, &mut data);
    data
}

/// The name right behind another one in canonical order, so that a record from the one to the other denies nothing else
/// (RFC 4470 section 3). Where a name is too long to have names below it, it is one that comes soon after.
pub fn after(name: &Name) -> Name {
    Name::under([b"\0".as_slice()], name).unwrap_or_else(|_| {
        let mut first = name.labels().next().unwrap_or_default().to_ascii_lowercase();
        if let Some(last) = first.last_mut() {
            *last = last.saturating_add(1);
        }
        Name::under([first.as_slice()], &name.parent(1)).unwrap_or(*name)
    })
}
