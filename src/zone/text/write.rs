use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    TextRecord,
    types::{Field, fields},
};
use crate::wire::{Name, RecordType, octets_of_long, octets_of_short};

/// A record as a line of a master file, without the end of the line.
pub fn line(record: &TextRecord) -> String {
    let TextRecord { owner, class, ttl, record_type, data } = record;
    let data = known(*record_type, data).unwrap_or_else(|| unknown(data));
    format!("{owner}\t{ttl}\t{class}\t{record_type}\t{data}")
}

/// RFC 3597 section 5: any data.
fn unknown(data: &[u8]) -> String {
    let mut out = format!("\\# {}", data.len());
    if !data.is_empty() {
        out.push(' ');
        hex(data, &mut out);
    }
    out
}

/// The data in the form of its type; `None` if that has a form that is not written here, or the data is none.
fn known(record_type: RecordType, data: &[u8]) -> Option<String> {
    let mut rest = Rest(data);
    let mut words = Vec::new();
    for field in fields(record_type)? {
        words.push(word(*field, &mut rest)?);
    }
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    rest.0.is_empty().then(|| words.join(" "))
}

fn word(field: Field, rest: &mut Rest<'_>) -> Option<String> {
    Some(match field {
        Field::Name => rest.name()?.to_string(),
        Field::Byte | Field::Algorithm => rest.byte()?.to_string(),
        Field::Short | Field::Certificate => rest.short()?.to_string(),
        Field::Long | Field::Period => rest.long()?.to_string(),
        Field::Ip4 => Ipv4Addr::from(rest.array::<4>()?).to_string(),
        Field::Ip6 => Ipv6Addr::from(rest.array::<16>()?).to_string(),
        Field::Text => {
            let text = rest.counted()?;
            // The tag of CAA must have no quotes, others need none.
            let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_alphanumeric);
            if is_plain { String::from_utf8_lossy(text).into_owned() } else { quoted(text) }
        }
        Field::Texts => {
            let mut texts = vec![quoted(rest.counted()?)];
            while !rest.0.is_empty() {
                texts.push(quoted(rest.counted()?));
            }
            texts.join(" ")
        }
        Field::Bare => quoted(rest.all()),
        Field::Hex => {
            let mut out = String::new();
            hex(rest.all(), &mut out);
            out
        }
        Field::Base64 => STANDARD.encode(rest.all()),
        Field::Salt => {
            let salt = rest.counted()?;
            let mut out = String::new();
            hex(salt, &mut out);
            if out.is_empty() { "-".to_owned() } else { out }
        }
        Field::Types => types(rest)?,
        Field::Type => RecordType(rest.short()?).to_string(),
        Field::Time => time(rest.long()?)?,
        Field::Hash | Field::Gateway | Field::Location | Field::Parameters | Field::Prefixes | Field::Groups(..) => {
            return None;
        }
    })
}

fn hex(data: &[u8], out: &mut String) {
    for octet in data {
        _ = write!(out, "{octet:02X}");
    }
}

fn quoted(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for &octet in text {
        match octet {
            b'"' | b'\\' => _ = write!(out, "\\{}", char::from(octet)),
            b' '..=b'~' => out.push(char::from(octet)),
            _ => _ = write!(out, "\\{octet:03}"),
        }
    }
    out.push('"');
    out
}

/// RFC 4034 section 3.2.
fn time(seconds: u32) -> Option<String> {
    let moment = jiff::Timestamp::from_second(i64::from(seconds)).ok()?;
    Some(moment.strftime("%Y%m%d%H%M%S").to_string())
}

/// RFC 4034 section 4.1.2.
fn types(rest: &mut Rest<'_>) -> Option<String> {
    let mut names = Vec::new();
    while !rest.0.is_empty() {
        let window = rest.byte()?;
        for (at, octet) in rest.counted()?.iter().enumerate() {
            let bits = (0..8).filter(|bit| octet & 0x80 >> bit != 0);
            names.extend(bits.map(|bit| RecordType(u16::from(window) << 8 | (at * 8 + bit) as u16).to_string()));
        }
    }
    Some(names.join(" "))
}

/// What is left of the data.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    const fn all(&mut self) -> &'a [u8] {
        let all = self.0;
        self.0 = &[];
        all
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[octet]| octet)
    }

    fn short(&mut self) -> Option<u16> {
        self.array().map(octets_of_short)
    }

    fn long(&mut self) -> Option<u32> {
        self.array().map(octets_of_long)
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(usize::from(length))
    }

    fn name(&mut self) -> Option<Name> {
        let mut at = 0;
        while let Some(&length) = self.0.get(at).filter(|length| **length > 0) {
            at += 1 + usize::from(length);
        }
        Name::from_wire(self.take(at + 1)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::zone::text::{Limits, MasterFile};

    fn read(text: &str) -> TextRecord {
        let limits = Limits { records: 9, default_ttl: Some(60), include: None };
        let mut found = None;
        MasterFile::new(Path::new("x"), Name::root(), &limits)
            .read(text.as_bytes(), &mut |record| {
                found = Some(record);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        found.unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "a.test. 60 IN A 192.0.2.1",
            "a.test. 60 IN AAAA 2001:db8::1",
            "a.test. 60 IN SOA ns.test. host.test. 1 2 3 4 5",
            "a.test. 60 IN MX 10 mail.test.",
            "a.test. 60 IN SRV 1 2 3 x.test.",
            "a.test. 60 IN TXT \"two words\" \"quote \\\" and \\\\ and \\200\" \"\"",
            "a.test. 60 IN CAA 0 issue \"ca.test; x=y\"",
            "a.test. 60 IN NAPTR 1 2 u sip \"!^.*$!x!\" .",
            "a.test. 60 IN RRSIG A 13 2 60 20270101000000 20261201123456 57613 test. AAECAw==",
            "a.test. 60 IN NSEC b.test. A NS CAA TYPE1234",
            "a.test. 60 IN DNSKEY 257 3 13 AAECAw==",
            "a.test. 60 IN DS 1 13 2 00FF",
            "a.test. 60 IN NSEC3PARAM 1 0 0 -",
            "\\000\\@.test. 60 IN CNAME x\\.y.test.",
        ] {
            let record = read(text);
            assert_eq!(line(&record).replace('\t', " "), text);
        }
        // Forms that are not written become `\#`, which says the same.
        for text in [
            "a.test. 60 IN LOC 52 14 05 N 00 08 50 E 10m",
            "a.test. 60 IN HTTPS 1 . alpn=h2,h3 port=8443",
            "a.test. 60 IN TYPE4711 \\# 3 010203",
            "a.test. 60 IN TYPE4711 \\# 0",
            "a.test. 60 IN APL 1:192.0.2.0/24",
        ] {
            let record = read(text);
            assert!(line(&record).contains("\\# "), "{text}");
            assert_eq!(read(&line(&record)), record, "{text}");
        }
    }
}
