//! Room for the records of longer answers, used again on the same thread.

use std::cell::RefCell;

use super::{Body, Record, Response, Section};

/// How many a thread keeps, and of how many records at most: 180 KiB together.
const MOST: usize = 8;
const LONGEST: usize = 128;

thread_local! {
    static SPARE: RefCell<Vec<Vec<Record>>> = const { RefCell::new(Vec::new()) };
}

/// An empty section with room for so many records.
pub fn section(count: usize) -> Section {
    if count <= 1 {
        return Section::new();
    }
    let mut room = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    room.reserve(count);
    Section::from_vec(room)
}

/// Gives back the room of an answer that has left.
pub fn give_back(response: &mut Response) {
    let Body::Records(records) = &mut response.body else { return };
    for section in [&mut records.answer, &mut records.authority, &mut records.additional] {
        if section.spilled() && section.capacity() <= LONGEST {
            let mut room = std::mem::take(section).into_vec();
            room.clear();
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < MOST {
                    spare.push(room);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{RData, Records};

    #[test]
    fn room_is_used_again_and_is_empty() {
        let record = Record::of_question(30, RData::address([192, 0, 2, 1].into()));
        let mut answer = section(5);
        answer.extend(std::iter::repeat_n(record, 5));
        let place = answer.as_ptr();
        let records = Records { answer, ..Records::default() };
        give_back(&mut Response { body: Body::Records(records), ..Response::new(crate::wire::Rcode::NOERROR) });
        let again = section(3);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        assert!(!section(1).spilled());
    }
}
