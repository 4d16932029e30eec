//! The form of a profile that pprof reads: a protobuf message (github.com/google/pprof, proto/profile.proto).

use std::{
    collections::HashMap,
    ffi::c_void,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::mapping::{self, Mapping};
use crate::protobuf::Message;

/// What was noted.
pub(super) struct Profile {
    pub(super) stacks: Vec<Stack>,
    pub(super) start: SystemTime,
    pub(super) duration: Duration,
    /// CPU time between two samples.
    pub(super) period: Duration,
}

/// A stack that was seen so often.
pub(super) struct Stack {
    /// Of the instruction that was under way, and of those behind the calls that led to it.
    pub(super) addresses: Vec<u64>,
    pub(super) thread: String,
    pub(super) count: u64,
}

/// A function that an address belongs to.
struct Place {
    function: String,
    file: String,
    line: u32,
}

impl Profile {
    pub(super) fn encode(&self) -> Vec<u8> {
        self.encode_with(&mapping::all(), &places)
    }

    fn encode_with(&self, mappings: &[Mapping], places: &dyn Fn(u64) -> Vec<Place>) -> Vec<u8> {
        let mut book = Book::default();
        let mut message = Message::default();
        let mut type_of = |kind: &str, unit: &str| {
            let mut fields = Message::default();
            fields.put_number(1, book.text(kind));
            fields.put_number(2, book.text(unit));
            fields
        };
        let (samples, cpu) = (type_of("samples", "count"), type_of("cpu", "nanoseconds"));
        message.put_message(1, &samples);
        message.put_message(1, &cpu);
        let nanoseconds = self.period.as_nanos() as u64;
        for stack in &self.stacks {
            let ids: Vec<u64> = stack
                .addresses
                .iter()
                .enumerate()
                // A call stands in front of the address that it returns to.
                .map(|(depth, address)| book.location(address - u64::from(depth > 0 && *address > 0), mappings, places))
                .collect();
            let mut sample = Message::default();
            ids.iter().for_each(|id| sample.put_number(1, *id));
            sample.put_number(2, stack.count);
            sample.put_number(2, stack.count * nanoseconds);
            let mut label = Message::default();
            label.put_number(1, book.text("thread"));
            label.put_number(2, book.text(&stack.thread));
            sample.put_message(3, &label);
            message.put_message(2, &sample);
        }
        for (number, mapping) in mappings.iter().enumerate() {
            let mut fields = Message::default();
            fields.put_number(1, number as u64 + 1);
            fields.put_number(2, mapping.memory.start);
            fields.put_number(3, mapping.memory.end);
            fields.put_number(4, mapping.offset);
            fields.put_number(5, book.text(&mapping.file));
            // Without names the reader looks for the file, and for names there.
            if book.is_named {
                [7, 8, 9, 10].iter().for_each(|field| fields.put_number(*field, 1));
            }
            message.put_message(3, &fields);
        }
        message.append(book.locations);
        message.append(book.functions);
        message.append(book.texts);
        message.put_number(9, self.start.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64);
        message.put_number(10, self.duration.as_nanos() as u64);
        message.put_message(11, &cpu);
        message.put_number(12, nanoseconds);
        message.into_wire()
    }
}

/// What the program's symbols say of an address: the innermost function first, then those that it was made part of.
fn places(address: u64) -> Vec<Place> {
    let mut places = Vec::new();
    // It looks one octet in front of what it is given.
    backtrace::resolve((address as usize).wrapping_add(1) as *mut c_void, |symbol| {
        if let Some(name) = symbol.name() {
            places.push(Place {
                function: format!("{name:#}"),
                file: symbol.filename().map_or_else(String::new, |file| file.display().to_string()),
                line: symbol.lineno().unwrap_or_default(),
            });
        }
    });
    places
}

/// What stands in a profile once, and is named by its number.
#[derive(Default)]
struct Book {
    text_ids: HashMap<String, u64>,
    texts: Message,
    function_ids: HashMap<[u64; 2], u64>,
    functions: Message,
    location_ids: HashMap<u64, u64>,
    locations: Message,
    /// Whether any function has a name.
    is_named: bool,
}

impl Book {
    fn text(&mut self, text: &str) -> u64 {
        if self.text_ids.is_empty() {
            // The first one is empty.
            self.texts.put_octets(6, b"");
            self.text_ids.insert(String::new(), 0);
        }
        if let Some(id) = self.text_ids.get(text) {
            return *id;
        }
        let id = self.text_ids.len() as u64;
        self.texts.put_octets(6, text.as_bytes());
        self.text_ids.insert(text.to_owned(), id);
        id
    }

    fn function(&mut self, place: &Place) -> u64 {
        let key = [self.text(&place.function), self.text(&place.file)];
        let next = self.function_ids.len() as u64 + 1;
        let functions = &mut self.functions;
        *self.function_ids.entry(key).or_insert_with(|| {
            let [name, file] = key;
            let mut fields = Message::default();
            fields.put_number(1, next);
            fields.put_number(2, name);
            fields.put_number(3, name);
            fields.put_number(4, file);
            functions.put_message(5, &fields);
            next
        })
    }

    fn location(&mut self, address: u64, mappings: &[Mapping], places: &dyn Fn(u64) -> Vec<Place>) -> u64 {
        if let Some(id) = self.location_ids.get(&address) {
            return *id;
        }
        let id = self.location_ids.len() as u64 + 1;
        let mut fields = Message::default();
        fields.put_number(1, id);
        if let Some(at) = mappings.iter().position(|mapping| mapping.memory.contains(&address)) {
            fields.put_number(2, at as u64 + 1);
        }
        fields.put_number(3, address);
        for place in places(address) {
            self.is_named = true;
            let mut line = Message::default();
            line.put_number(1, self.function(&place));
            line.put_number(2, u64::from(place.line));
            fields.put_message(4, &line);
        }
        self.locations.put_message(4, &fields);
        self.location_ids.insert(address, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers and the messages of one field, as they stand in a message.
    fn fields(mut rest: &[u8], wanted: u64) -> (Vec<u64>, Vec<&[u8]>) {
        fn varint(rest: &mut &[u8]) -> u64 {
            let length = rest.iter().position(|octet| octet & 0x80 == 0).unwrap() + 1;
            let (octets, behind) = rest.split_at(length);
            *rest = behind;
            octets.iter().rev().fold(0, |sum, octet| sum << 7 | u64::from(octet & 0x7F))
        }
        let (mut numbers, mut messages) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            let key = varint(&mut rest);
            let value = varint(&mut rest);
            let (octets, behind) = rest.split_at(if key & 7 == 2 { value as usize } else { 0 });
            rest = behind;
            match (key >> 3 == wanted, key & 7) {
                (true, 0) => numbers.push(value),
                (true, _) => messages.push(octets),
                _ => {}
            }
        }
        (numbers, messages)
    }

    #[test]
    fn a_profile_names_each_thing_once() {
        let stack =
            |addresses: &[u64], count| Stack { addresses: addresses.to_vec(), thread: "worker-0".to_owned(), count };
        let profile = Profile {
            stacks: vec![stack(&[0x1000, 0x2001], 3), stack(&[0x1000, 0x2001, 0x9001], 1)],
            start: UNIX_EPOCH + Duration::from_secs(1),
            duration: Duration::from_secs(2),
            period: Duration::from_millis(10),
        };
        let mappings = [Mapping { memory: 0x1000..0x3000, offset: 0x40, file: "/seamark".to_owned() }];
        let places = |address| {
            let place = |function: &str| Place { function: function.to_owned(), file: "a.rs".to_owned(), line: 7 };
            match address {
                0x1000 => vec![place("inner"), place("outer")],
                0x2000 => vec![place("outer")],
                _ => Vec::new(),
            }
        };
        let octets = profile.encode_with(&mappings, &places);
        let texts = fields(&octets, 6).1;
        let text = |id: u64| std::str::from_utf8(texts[id as usize]).unwrap();
        assert_eq!(text(0), "");
        let samples: Vec<_> =
            fields(&octets, 2).1.iter().map(|sample| (fields(sample, 1).0, fields(sample, 2).0)).collect();
        assert_eq!(samples, [(vec![1, 2], vec![3, 30_000_000]), (vec![1, 2, 3], vec![1, 10_000_000])]);
        let functions = fields(&octets, 5).1;
        let names: Vec<&str> = functions.iter().map(|function| text(fields(function, 2).0[0])).collect();
        assert_eq!(names, ["inner", "outer"]);
        let locations: Vec<_> = fields(&octets, 4)
            .1
            .iter()
            .map(|location| {
                let lines = fields(location, 4).1.iter().map(|line| fields(line, 1).0[0]).collect::<Vec<_>>();
                (fields(location, 2).0, fields(location, 3).0[0], lines)
            })
            .collect();
        // A call is in front of where it returns to; the last one belongs to no file.
        assert_eq!(locations, [(vec![1], 0x1000, vec![1, 2]), (vec![1], 0x2000, vec![2]), (vec![], 0x9000, vec![])]);
        let mapping = fields(&octets, 3).1[0];
        assert_eq!([2, 3, 4].map(|field| fields(mapping, field).0[0]), [0x1000, 0x3000, 0x40]);
        assert_eq!(text(fields(mapping, 5).0[0]), "/seamark");
        assert_eq!([9, 10, 12].map(|field| fields(&octets, field).0[0]), [1_000_000_000, 2_000_000_000, 10_000_000]);
        let types = fields(&octets, 1).1.iter().map(|kind| text(fields(kind, 1).0[0])).collect::<Vec<_>>();
        assert_eq!(types, ["samples", "cpu"]);
    }

    #[test]
    fn an_address_of_this_program_has_a_name() {
        let found = places(an_address_of_this_program_has_a_name as *const () as u64);
        assert!(found.iter().any(|place| place.function.ends_with("an_address_of_this_program_has_a_name")));
    }
}
