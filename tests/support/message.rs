//! Replies written as text, made into octets without the code that is tested.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The question of a query.
pub(crate) struct Asked {
    /// In small letters, with the final dot.
    pub(crate) name: String,
    pub(crate) kind: u16,
    /// Where the question ends.
    pub(crate) end: usize,
}

/// Reads the question of a query.
pub(crate) fn asked(query: &[u8]) -> Option<Asked> {
    let (mut at, mut name) = (12, String::new());
    while *query.get(at)? != 0 {
        let end = at + 1 + usize::from(query[at]);
        name.push_str(&String::from_utf8_lossy(query.get(at + 1..end)?).to_lowercase());
        name.push('.');
        at = end;
    }
    let end = at + 5;
    let kind = query.get(at + 1..end)?;
    let name = if name.is_empty() { ".".to_owned() } else { name };
    Some(Asked { name, kind: u16::from_be_bytes([kind[0], kind[1]]), end })
}

/// A query with RD for a name with a final dot.
pub(crate) fn query(id: u16, name: &str, kind: &str) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(name_octets(name));
    message.extend(kind_number(kind).to_be_bytes());
    message.extend([0, 1]);
    message
}

/// A reply: response code, flags, records, extended error.
#[derive(Clone, Default)]
pub(crate) struct Reply {
    status: String,
    flags: Vec<String>,
    sections: [Vec<String>; 3],
    ede: Option<(u16, String)>,
}

const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];
const STATUS: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

impl Reply {
    /// Reads lines such as `NOERROR aa`, `answer @ 60 A 192.0.2.1`, `ede 9 text`. `@` is the question's name.
    pub(crate) fn parse(text: &str) -> Self {
        let mut reply = Self { status: "NOERROR".to_owned(), ..Self::default() };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            if let Some(section) = SECTIONS.iter().position(|section| *section == word) {
                reply.sections[section].push(rest.to_owned());
            } else if word == "ede" {
                let (code, text) = rest.split_once(' ').unwrap_or((rest, ""));
                reply.ede = Some((code.parse().expect("a number"), text.to_owned()));
            } else {
                assert!(STATUS.contains(&word), "`{line}` is no part of a reply");
                word.clone_into(&mut reply.status);
                reply.flags = rest.split_whitespace().map(str::to_owned).collect();
            }
        }
        reply
    }

    /// The octets of the reply to a query.
    pub(crate) fn octets(&self, query: &[u8], asked: &Asked) -> Vec<u8> {
        let has = |flag: &str| self.flags.iter().any(|known| known == flag);
        let bit = |flag: &str, bit: u8| if has(flag) { bit } else { 0 };
        let rcode = STATUS.iter().position(|status| *status == self.status).expect("a response code") as u8;
        let mut message = query[..asked.end].to_vec();
        message[2] = 0x80 | query[2] & 0x79 | bit("aa", 4) | bit("tc", 2);
        message[3] = 0x80 ^ bit("-ra", 0x80) | bit("ad", 0x20) | query[3] & 0x10 | rcode;
        let class = [query[asked.end - 2], query[asked.end - 1]];
        let edns = query[11] > 0;
        for (section, records) in self.sections.iter().enumerate() {
            let count = records.len() + usize::from(section == 2 && edns);
            message[6 + 2 * section..8 + 2 * section].copy_from_slice(&(count as u16).to_be_bytes());
            records.iter().for_each(|record| add_record(&mut message, class, record));
        }
        if edns {
            let option = self.ede.as_ref().map_or_else(Vec::new, |(code, text)| {
                let mut option = vec![0, 15];
                option.extend((text.len() as u16 + 2).to_be_bytes());
                option.extend(code.to_be_bytes());
                option.extend(text.as_bytes());
                option
            });
            message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
            message.extend((option.len() as u16).to_be_bytes());
            message.extend(option);
        }
        message
    }
}

fn name_octets(name: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        octets.push(label.len() as u8);
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets
}

/// The number of a record type.
pub(crate) fn kind_number(kind: &str) -> u16 {
    match kind {
        "A" => 1,
        "NS" => 2,
        "CNAME" => 5,
        "SOA" => 6,
        "PTR" => 12,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "SRV" => 33,
        other => panic!("the scripted name server does not know the type {other}"),
    }
}

/// Adds `OWNER TTL TYPE DATA`, of the question's class.
fn add_record(message: &mut Vec<u8>, class: [u8; 2], record: &str) {
    let words: Vec<&str> = record.split_whitespace().collect();
    let [owner, ttl, kind, data @ ..] = words.as_slice() else { panic!("`{record}` is no record") };
    message.extend(if *owner == "@" { vec![0xC0, 12] } else { name_octets(owner) });
    message.extend(kind_number(kind).to_be_bytes());
    message.extend(class);
    message.extend(ttl.parse::<u32>().expect("a TTL").to_be_bytes());
    let data = match *kind {
        "A" => data[0].parse::<Ipv4Addr>().expect("an address").octets().to_vec(),
        "AAAA" => data[0].parse::<Ipv6Addr>().expect("an address").octets().to_vec(),
        "TXT" => [&[data[0].len() as u8], data[0].as_bytes()].concat(),
        "SOA" => {
            let mut octets = [name_octets(data[0]), name_octets(data[1])].concat();
            octets.extend(data[2..].iter().flat_map(|word| word.parse::<u32>().expect("a number").to_be_bytes()));
            octets
        }
        "MX" | "SRV" => {
            let (target, numbers) = data.split_last().expect("a target");
            let numbers = numbers.iter().flat_map(|word| word.parse::<u16>().expect("a number").to_be_bytes());
            numbers.chain(name_octets(target)).collect()
        }
        _ => name_octets(data[0]),
    };
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
}
