use smallvec::SmallVec;

use super::{
    Body, Edns, Flags, Name, NameRef, Packet, Query, Question, RData, Record, RecordType, Rejected, Response, Section,
    packet::Entry,
};

/// The longest message there can be, in octets: TCP's length prefix has two (RFC 1035 section 4.2.2).
pub const MAX_MESSAGE: usize = 65_535;

pub(super) const HEADER: usize = 12;
/// Octets of an OPT record before its options: owner, type, size, flags, length.
const OPT_HEAD: usize = 11;
/// Code and length of an option.
const OPTION_HEAD: usize = 4;
/// The length of a padded answer is a multiple of this (RFC 8467 section 4.1).
const PADDED: usize = 468;
/// How many names are remembered for compression; more would cost more than they save.
const REMEMBERED: usize = 48;

/// Writes the answer to `query` into `out` and gives its length, at most `limit` octets.
///
/// If the records do not fit, whole records are left out from the end and TC is set (RFC 2181 section 9).
/// `limit` is taken as at least 512; `out` must be as long as `limit`. What the query wants free is left free.
pub fn encode(query: &Query, response: &Response, limit: usize, out: &mut [u8]) -> usize {
    let limit = limit.clamp(512, MAX_MESSAGE).min(out.len()).saturating_sub(usize::from(query.room));
    let mut opt = Opt::of(query, response);
    let mut writer = Writer::new(out, limit.saturating_sub(opt.bytes.len()));
    writer.question(&query.question);
    let (counts, complete) = match &response.body {
        Body::Records(records) => writer.records([&records.answer, &records.authority, &records.additional]),
        Body::Packet(packet) => writer.packet(packet, response.shuffle),
    };
    let mut at = writer.at;
    if query.pads {
        opt.pad(at, limit);
    }
    out[at..at + opt.bytes.len()].copy_from_slice(&opt.bytes);
    at += opt.bytes.len();
    let additional = counts[2] + u16::from(!opt.bytes.is_empty());
    let flags = response_flags(query, response, !complete);
    header(out, query.id, flags, [1, counts[0], counts[1], additional]);
    at
}

/// Writes a query to an upstream; gives its length.
pub fn encode_query(id: u16, flags: Flags, question: &Question, edns: Option<&Edns>, out: &mut [u8]) -> usize {
    let mut writer = Writer::new(out, MAX_MESSAGE);
    writer.question(question);
    let mut at = writer.at;
    if let Some(edns) = edns {
        let opt = opt_record(edns.udp_size, 0, edns.dnssec_ok, &edns.options);
        out[at..at + opt.len()].copy_from_slice(&opt);
        at += opt.len();
    }
    header(out, id, flags.0, [1, 0, 0, u16::from(edns.is_some())]);
    at
}

/// Writes the bare header with which a message that is no query is answered; gives its length.
pub fn encode_reject(rejected: Rejected, out: &mut [u8]) -> usize {
    let kept = rejected.flags.0 & (0x7800 | Flags::RD | Flags::CD);
    header(out, rejected.id, Flags::QR | kept | rejected.rcode.0 & 0xF, [0; 4]);
    HEADER
}

/// The two octets that stand before a message on a stream (RFC 1035 section 4.2.2).
pub const fn frame_length(message: &[u8]) -> [u8; 2] {
    (message.len() as u16).to_be_bytes()
}

/// How many octets of message follow such a length.
pub const fn framed_length(field: [u8; 2]) -> usize {
    u16::from_be_bytes(field) as usize
}

/// Takes the first message with its length off the front of what came on a stream; `None` if it is not complete yet.
pub fn take_frame(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = 2 + usize::from(u16::from_be_bytes(*received.first_chunk::<2>()?));
    if received.len() < end {
        return None;
    }
    Some(received.drain(..end).skip(2).collect())
}

/// A number of sixteen bits in network order.
pub const fn octets(value: u16) -> [u8; 2] {
    value.to_be_bytes()
}

/// A number of thirty-two bits in network order.
pub const fn long_octets(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}

/// The number that two octets in network order are.
pub const fn octets_of_short(octets: [u8; 2]) -> u16 {
    u16::from_be_bytes(octets)
}

/// The number that four octets in network order are.
pub const fn octets_of_long(octets: [u8; 4]) -> u32 {
    u32::from_be_bytes(octets)
}

/// The id of an encoded message.
pub fn message_id(message: &[u8]) -> Option<u16> {
    message.first_chunk::<2>().map(|field| u16::from_be_bytes(*field))
}

fn header(out: &mut [u8], id: u16, flags: u16, counts: [u16; 4]) {
    out[0..2].copy_from_slice(&id.to_be_bytes());
    out[2..4].copy_from_slice(&flags.to_be_bytes());
    for (slot, count) in out[4..HEADER].chunks_exact_mut(2).zip(counts) {
        slot.copy_from_slice(&count.to_be_bytes());
    }
}

fn response_flags(query: &Query, response: &Response, cut: bool) -> u16 {
    let kept = query.flags.0 & (0x7800 | Flags::RD | Flags::CD);
    let bit = |set: bool, bit: u16| if set { bit } else { 0 };
    // AD only for those who asked for it, by AD or DO (RFC 6840 section 5.8).
    let authentic = response.authentic && (query.flags.authentic() || query.dnssec_ok());
    Flags::QR
        | kept
        | bit(response.authoritative, Flags::AA)
        | bit(response.truncated || cut, Flags::TC)
        | bit(response.recursion_available, Flags::RA)
        | bit(authentic, Flags::AD)
        | response.rcode.0 & 0xF
}

/// The OPT record of the answer: there if the query had one (RFC 6891 section 7).
struct Opt {
    bytes: SmallVec<[u8; 64]>,
}

impl Opt {
    fn of(query: &Query, response: &Response) -> Self {
        let Some(edns) = &query.edns else { return Self { bytes: SmallVec::new() } };
        let mut options = SmallVec::<[u8; 64]>::new();
        if let Some(ede) = &response.ede {
            ede.write(&mut options);
        }
        if let Some(id) = &response.server_id {
            Edns::write_server_id(id, &mut options);
        }
        if let Some(more) = &response.options {
            options.extend_from_slice(more);
        }
        let extended = (response.rcode.0 >> 4) as u8;
        Self { bytes: opt_record(edns.udp_size, extended, edns.dnssec_ok, &options) }
    }

    /// Makes a message of which `before` octets stand before this record as long as a multiple of [`PADDED`].
    fn pad(&mut self, before: usize, limit: usize) {
        let length = before + self.bytes.len() + OPTION_HEAD;
        if self.bytes.is_empty() || length > limit {
            return;
        }
        let padding = (length.next_multiple_of(PADDED).min(limit) - length) as u16;
        self.bytes.extend_from_slice(&Edns::PADDING.to_be_bytes());
        self.bytes.extend_from_slice(&padding.to_be_bytes());
        self.bytes.resize(self.bytes.len() + usize::from(padding), 0);
        let data = (self.bytes.len() - OPT_HEAD) as u16;
        self.bytes[OPT_HEAD - 2..OPT_HEAD].copy_from_slice(&data.to_be_bytes());
    }
}

fn opt_record(udp_size: u16, extended_rcode: u8, dnssec_ok: bool, options: &[u8]) -> SmallVec<[u8; 64]> {
    let mut bytes = SmallVec::new();
    bytes.push(0);
    bytes.extend_from_slice(&RecordType::OPT.0.to_be_bytes());
    bytes.extend_from_slice(&udp_size.to_be_bytes());
    bytes.extend_from_slice(&[extended_rcode, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
    bytes.extend_from_slice(&(options.len() as u16).to_be_bytes());
    bytes.extend_from_slice(options);
    bytes
}

/// What could not be written because the message is full.
struct Full;

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    limit: usize,
    /// Where names start that later ones may point to.
    names: SmallVec<[u16; REMEMBERED]>,
    question: Name,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut [u8], limit: usize) -> Self {
        let limit = limit.min(out.len());
        Self { out, at: HEADER, limit, names: SmallVec::new(), question: Name::root() }
    }

    fn question(&mut self, question: &Question) {
        self.question = question.name;
        let wire = question.name.wire();
        self.out[self.at..self.at + wire.len()].copy_from_slice(wire);
        self.at += wire.len();
        for value in [question.record_type.0, question.class.0] {
            self.out[self.at..self.at + 2].copy_from_slice(&value.to_be_bytes());
            self.at += 2;
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at + bytes.len();
        if end > self.limit {
            return Err(Full);
        }
        self.out[self.at..end].copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    fn put_u16(&mut self, value: u16) -> Result<(), Full> {
        self.put(&value.to_be_bytes())
    }

    fn put_u32(&mut self, value: u32) -> Result<(), Full> {
        self.put(&value.to_be_bytes())
    }

    /// Writes sections until the message is full; gives what was written of each and whether that is all.
    fn records(&mut self, sections: [&Section; 3]) -> ([u16; 3], bool) {
        let mut counts = [0u16; 3];
        for (count, section) in counts.iter_mut().zip(sections) {
            for record in section {
                let before = (self.at, self.names.len());
                if self.record(record).is_err() {
                    self.at = before.0;
                    self.names.truncate(before.1);
                    return (counts, false);
                }
                *count += 1;
            }
        }
        (counts, true)
    }

    fn record(&mut self, record: &Record) -> Result<(), Full> {
        self.name(&record.owner)?;
        self.put_u16(record.data.record_type().0)?;
        self.put_u16(record.class.0)?;
        self.put_u32(record.ttl)?;
        let length_at = self.at;
        self.put_u16(0)?;
        self.rdata(&record.data)?;
        let length = (self.at - length_at - 2) as u16;
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn rdata(&mut self, data: &RData) -> Result<(), Full> {
        match data {
            RData::A(address) => self.put(&address.octets()),
            RData::Aaaa(address) => self.put(&address.octets()),
            RData::Cname(name) | RData::Ns(name) | RData::Ptr(name) => self.name(name),
            RData::Mx { preference, exchange } => {
                self.put_u16(*preference)?;
                self.name(exchange)
            }
            RData::Srv { priority, weight, port, target } => {
                for value in [priority, weight, port] {
                    self.put_u16(*value)?;
                }
                // RFC 2782: "name compression is not to be used for this field".
                let target = target.resolve(&self.question);
                self.put(target.wire())
            }
            RData::Soa(soa) => {
                self.name(&soa.mname)?;
                self.name(&soa.rname)?;
                for value in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
                    self.put_u32(value)?;
                }
                Ok(())
            }
            RData::Txt(strings) => {
                for text in strings.iter() {
                    self.put(&[text.len() as u8])?;
                    self.put(text)?;
                }
                Ok(())
            }
            RData::Other(_, data) => self.put(data),
        }
    }

    /// Writes a name, as short as the names before it allow. A tail of the question is a pointer into the question.
    fn name(&mut self, name: &NameRef) -> Result<(), Full> {
        match name {
            NameRef::Tail(skip) => self.tail(*skip),
            NameRef::Under(prefix, skip) => {
                let mut wire = prefix.wire();
                let tail = self.question.parent(usize::from(*skip));
                while let Some((&length, behind)) = wire.split_first() {
                    if let Some(offset) = self.seen(wire, tail.wire()) {
                        return self.put_u16(0xC000 | offset);
                    }
                    self.remember();
                    let (label, rest) = behind.split_at(usize::from(length));
                    self.put(&[length])?;
                    self.put(label)?;
                    wire = rest;
                }
                self.tail(*skip)
            }
            NameRef::Full(name) => self.full(name),
        }
    }

    fn tail(&mut self, skip: u8) -> Result<(), Full> {
        let question = self.question;
        let tail = question.tail(usize::from(skip));
        if tail.len() == 1 {
            return self.put(&[0]);
        }
        let offset = HEADER + question.wire().len() - tail.len();
        self.put_u16(0xC000 | offset as u16)
    }

    fn full(&mut self, name: &Name) -> Result<(), Full> {
        let question = self.question;
        let mut rest = name.wire();
        while rest.len() > 1 {
            // Equal to the letter, so that no spelling changes.
            if let Some(skip) = tail_of(&question, rest) {
                return self.put_u16(0xC000 | skip as u16);
            }
            if let Some(offset) = self.seen(rest, &[]) {
                return self.put_u16(0xC000 | offset);
            }
            self.remember();
            let length = 1 + usize::from(rest[0]);
            self.put(&rest[..length])?;
            rest = &rest[length..];
        }
        self.put(&[0])
    }

    fn remember(&mut self) {
        if self.names.len() < REMEMBERED && self.at < 0x3FFF {
            self.names.push(self.at as u16);
        }
    }

    /// Where the name `head` + `tail` has been written before.
    fn seen(&self, head: &[u8], tail: &[u8]) -> Option<u16> {
        self.names.iter().copied().find(|&start| self.stands_at(usize::from(start), head, tail))
    }

    fn stands_at(&self, start: usize, head: &[u8], tail: &[u8]) -> bool {
        let mut at = start;
        for mut wanted in [head, tail] {
            while let Some(&length) = wanted.first() {
                while self.out[at] >= 0xC0 {
                    at = usize::from(u16::from_be_bytes([self.out[at] & 0x3F, self.out[at + 1]]));
                }
                let size = 1 + usize::from(length);
                if self.out.get(at..at + size) != wanted.get(..size) {
                    return false;
                }
                at += size;
                wanted = &wanted[size..];
            }
        }
        true
    }

    /// Copies the sections of a stored packet, with its TTLs as they are now.
    fn packet(&mut self, packet: &Packet, shuffle: Option<u32>) -> ([u16; 3], bool) {
        let bytes = packet.bytes();
        let start = self.at;
        if packet.records_behind(&self.question) != Some(start) {
            // The stored question is another one (a CNAME target, say): offsets would not hold.
            return match super::Message::parse(bytes) {
                Ok(message) => {
                    let mut records = message.into_records();
                    packet.age_records(&mut records);
                    self.records([&records.answer, &records.authority, &records.additional])
                }
                Err(_) => ([0; 3], false),
            };
        }
        let mut counts = packet.counts();
        let mut end = bytes.len();
        let mut complete = true;
        if end > self.limit {
            complete = false;
            let kept = packet.entries().iter().take_while(|entry| usize::from(entry.end) <= self.limit).count();
            end = kept.checked_sub(1).map_or(start, |last| usize::from(packet.entries()[last].end));
            counts = [0; 3];
            packet.entries()[..kept].iter().for_each(|entry| counts[usize::from(entry.section)] += 1);
        }
        self.out[start..end].copy_from_slice(&bytes[start..end]);
        self.at = end;
        let written = &packet.entries()[..usize::from(counts.iter().sum::<u16>())];
        for entry in written {
            let at = usize::from(entry.ttl_at);
            self.out[at..at + 4].copy_from_slice(&packet.ttl_of(entry).to_be_bytes());
        }
        if let Some(seed) = shuffle {
            shuffle_addresses(self.out, written, seed);
        }
        (counts, complete)
    }
}

/// Exchanges the data of address records of one owner in an encoded answer, so that each may come first.
pub(super) fn shuffle_addresses(message: &mut [u8], entries: &[Entry], mut seed: u32) {
    let address = |kind| matches!(kind, RecordType::A | RecordType::AAAA);
    for high in 1..entries.len() {
        let entry = &entries[high];
        if entry.section != 0 || !address(entry.record_type) {
            continue;
        }
        let first = (0..high).find(|&low| same_set(message, &entries[low], entry)).unwrap_or(high);
        seed = next_random(seed);
        let low = first + seed as usize % (high - first + 1);
        if low != high && same_set(message, &entries[low], entry) {
            let (a, b) = (data_of(&entries[low]), data_of(entry));
            let length = a.len();
            let (left, right) = message.split_at_mut(b.start);
            left[a].swap_with_slice(&mut right[..length]);
        }
    }
}

fn same_set(message: &[u8], one: &Entry, other: &Entry) -> bool {
    let owner = |entry: &Entry| &message[usize::from(entry.start)..usize::from(entry.ttl_at)];
    one.section == other.section
        && one.record_type == other.record_type
        && data_of(one).len() == data_of(other).len()
        && owner(one) == owner(other)
}

/// Where the data of a record stands: behind TTL and RDLENGTH.
fn data_of(entry: &Entry) -> std::ops::Range<usize> {
    usize::from(entry.ttl_at) + 6..usize::from(entry.end)
}

/// xorshift: good enough for spreading load, and without state shared between cores.
pub(super) const fn next_random(seed: u32) -> u32 {
    let mut x = if seed == 0 { 0x9E37_79B9 } else { seed };
    x ^= x << 13;
    x ^= x >> 17;
    x ^ x << 5
}

/// Where in the message the question's tail stands that is `rest` to the letter.
fn tail_of(question: &Name, rest: &[u8]) -> Option<usize> {
    let wire = question.wire();
    let skip = wire.len().checked_sub(rest.len())?;
    if &wire[skip..] != rest {
        return None;
    }
    let mut at = 0;
    while at < skip {
        at += 1 + usize::from(wire[at]);
    }
    (at == skip).then_some(HEADER + skip)
}
