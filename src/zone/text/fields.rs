use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    Fault, location, parameters,
    scan::{Place, Word},
    types::{ALGORITHMS, CERTIFICATES, Field, fields},
};
use crate::wire::{Name, NameError, RData, RecordType, long_octets, octets, type_bitmap};

/// The words of an entry, read from left to right.
pub(super) struct Words<'w, 'a> {
    words: &'w [Word<'a>],
    /// The last word that was read: where something is missing.
    last: Place,
}

impl<'w, 'a> Words<'w, 'a> {
    pub(super) const fn new(words: &'w [Word<'a>], last: Place) -> Self {
        Self { words, last }
    }

    pub(super) const fn peek(&self) -> Option<&'w Word<'a>> {
        self.words.first()
    }

    pub(super) fn next(&mut self) -> Option<&'w Word<'a>> {
        let (first, rest) = self.words.split_first()?;
        self.last = first.place;
        self.words = rest;
        Some(first)
    }

    pub(super) fn require(&mut self, what: &str) -> Result<&'w Word<'a>, Fault> {
        let last = self.last;
        self.next().ok_or_else(|| last.fault(format!("expected {what} behind this")))
    }

    pub(super) fn rest(&mut self) -> impl Iterator<Item = &'w Word<'a>> + use<'w, 'a> {
        std::mem::take(&mut self.words).iter()
    }

    pub(super) fn finish(&self) -> Result<(), Fault> {
        self.peek().map_or(Ok(()), |word| Err(word.fault(format!("unexpected `{}`", word.shown()))))
    }
}

/// Reads the data of a record into its wire form.
pub(super) fn data(record_type: RecordType, words: &mut Words<'_, '_>, origin: &Name) -> Result<Vec<u8>, Fault> {
    if let Some(marker) = words.peek().filter(|word| word.plain() == "\\#") {
        words.next();
        let data = unknown(words)?;
        RData::from_wire(record_type, &data).map_err(|error| marker.fault(format!("{record_type}: {error}")))?;
        return Ok(data);
    }
    let Some(fields) = fields(record_type) else {
        let word = words.require("`\\#`, a length and hexadecimal digits")?;
        return Err(word.fault(format!("data of type {record_type} is written as `\\# length hex` (RFC 3597)")));
    };
    let mut out = Vec::new();
    for field in fields {
        read(*field, words, origin, &mut out)?;
    }
    words.finish()?;
    if out.len() > usize::from(u16::MAX) {
        return Err(words.last.fault("more than 65535 octets of data"));
    }
    Ok(out)
}

/// RFC 3597 section 5: the length and the octets in hexadecimal.
fn unknown(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Fault> {
    let length = words.require("a length")?;
    let wanted: u16 = number(length, "a length")?;
    let data = digits(words)?;
    if data.len() == usize::from(wanted) {
        return Ok(data);
    }
    Err(length.fault(format!("the length is {wanted}, and {} octets follow", data.len())))
}

fn read(field: Field, words: &mut Words<'_, '_>, origin: &Name, out: &mut Vec<u8>) -> Result<(), Fault> {
    match field {
        Field::Name => out.extend_from_slice(name(words.require("a name")?, origin)?.wire()),
        Field::Byte => out.push(number(words.require("a number")?, "a number up to 255")?),
        Field::Short => out.extend(octets(number(words.require("a number")?, "a number up to 65535")?)),
        Field::Long => out.extend(long_octets(number(words.require("a number")?, "a number up to 4294967295")?)),
        Field::Period => out.extend(long_octets(period_of(words.require("a time")?)?)),
        Field::Ip4 => out.extend(parsed::<Ipv4Addr>(words.require("an IPv4 address")?, "an IPv4 address")?.octets()),
        Field::Ip6 => out.extend(parsed::<Ipv6Addr>(words.require("an IPv6 address")?, "an IPv6 address")?.octets()),
        Field::Text => text(words.require("a text")?, out)?,
        Field::Texts => {
            text(words.require("a text")?, out)?;
            for word in words.rest() {
                text(word, out)?;
            }
        }
        Field::Bare => out.extend(unescaped(words.require("a text")?)?),
        Field::Hex => out.extend(digits(words)?),
        Field::Base64 => out.extend(base64(words)?),
        Field::Salt => {
            let word = words.require("a salt or `-`")?;
            let salt = if word.plain() == "-" { Vec::new() } else { hex(word, &word.text)? };
            counted(word, &salt, out)?;
        }
        Field::Hash => {
            let word = words.require("a hash")?;
            counted(word, &base32(word)?, out)?;
        }
        Field::Types => types(words, out)?,
        Field::Type => out.extend(octets(type_of(words.require("a type")?)?.0)),
        Field::Time => out.extend(long_octets(time(words.require("a time")?)?)),
        Field::Algorithm => out.push(mnemonic(words.require("an algorithm")?, "an algorithm", ALGORITHMS)? as u8),
        Field::Certificate => {
            out.extend(octets(mnemonic(words.require("a kind of certificate")?, "a certificate", CERTIFICATES)?));
        }
        Field::Gateway => gateway(words.require("a gateway")?, origin, out)?,
        Field::Location => location::read(words, out)?,
        Field::Parameters => parameters::read(words, out)?,
        Field::Prefixes => {
            for word in words.rest() {
                prefix(word, out)?;
            }
        }
        Field::Groups(count, separator) => groups(words.require("hexadecimal digits")?, count, separator, out)?,
    }
    Ok(())
}

/// A name, below `origin` if it does not end with a dot.
pub(super) fn name(word: &Word<'_>, origin: &Name) -> Result<Name, Fault> {
    if word.plain() == "@" {
        return Ok(*origin);
    }
    let wrong = |error: NameError| word.fault(format!("`{}`: {error}", word.shown()));
    let text = std::str::from_utf8(&word.text).map_err(|_| word.fault("a name that is not UTF-8; write `\\DDD`"))?;
    let name = Name::parse(text).map_err(wrong)?;
    let slashes = text.strip_suffix('.').map(|rest| rest.bytes().rev().take_while(|&octet| octet == b'\\').count());
    match slashes {
        Some(count) if count % 2 == 0 => Ok(name),
        _ => Name::under(name.labels(), origin).map_err(wrong),
    }
}

pub(super) fn type_of(word: &Word<'_>) -> Result<RecordType, Fault> {
    let known = RecordType::from_mnemonic(&word.plain().to_ascii_uppercase());
    known.ok_or_else(|| word.fault(format!("unknown type `{}`", word.shown())))
}

fn parsed<T: FromStr>(word: &Word<'_>, what: &str) -> Result<T, Fault> {
    word.plain().parse().map_err(|_| word.fault(format!("expected {what}, found `{}`", word.shown())))
}

fn number<T: FromStr>(word: &Word<'_>, what: &str) -> Result<T, Fault> {
    let is_number = !word.text.is_empty() && word.text.iter().all(u8::is_ascii_digit);
    if is_number { parsed(word, what) } else { Err(word.fault(format!("expected {what}, found `{}`", word.shown()))) }
}

/// Seconds with or without units: `3600`, `1h`, `2w3d`; `None` if it is none.
pub(super) fn period(text: &str) -> Option<u32> {
    let mut total = 0u32;
    let mut rest = text;
    while !rest.is_empty() {
        let (amount, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let unit = match behind.chars().next() {
            None | Some('s' | 'S') => 1,
            Some('m' | 'M') => 60,
            Some('h' | 'H') => 3600,
            Some('d' | 'D') => 86_400,
            Some('w' | 'W') => 604_800,
            _ => return None,
        };
        total = total.checked_add(amount.parse::<u32>().ok()?.checked_mul(unit)?)?;
        rest = behind.get(1..).unwrap_or_default();
    }
    (!text.is_empty()).then_some(total)
}

fn period_of(word: &Word<'_>) -> Result<u32, Fault> {
    period(word.plain())
        .ok_or_else(|| word.fault(format!("expected seconds such as `300` or `5m`, found `{}`", word.shown())))
}

/// The octets of a word, `\X` and `\DDD` resolved.
pub(super) fn unescaped(word: &Word<'_>) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(word.text.len());
    let mut rest = word.text.iter().copied();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            out.push(octet);
            continue;
        }
        let bad = || word.fault("a backslash needs a character or three digits up to 255 behind it");
        let first = rest.next().ok_or_else(bad)?;
        if !first.is_ascii_digit() {
            out.push(first);
            continue;
        }
        let digits = [Some(first), rest.next(), rest.next()];
        let value = digits.iter().try_fold(0u32, |value, digit| {
            let digit = digit.filter(u8::is_ascii_digit)?;
            Some(value * 10 + u32::from(digit - b'0'))
        });
        out.push(value.and_then(|value| u8::try_from(value).ok()).ok_or_else(bad)?);
    }
    Ok(out)
}

fn text(word: &Word<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = unescaped(word)?;
    counted(word, &text, out)
}

fn counted(word: &Word<'_>, data: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let length = u8::try_from(data.len());
    out.push(length.map_err(|_| word.fault(format!("a text of {} octets; 255 is the most", data.len())))?);
    out.extend_from_slice(data);
    Ok(())
}

pub(super) fn hex(word: &Word<'_>, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let digit = |octet: u8| char::from(octet).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    let octets: Option<Vec<u8>> = text.chunks(2).map(pair).collect();
    octets.ok_or_else(|| word.fault(format!("expected pairs of hexadecimal digits, found `{}`", word.shown())))
}

/// All words that are left as hexadecimal digits; pairs may be torn apart.
fn digits(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Fault> {
    let Some(first) = words.peek() else { return Ok(Vec::new()) };
    let text: Vec<u8> = words.rest().flat_map(|word| word.text.iter().copied()).collect();
    hex(first, &text)
}

/// Base64 whose last bits may be any, as keys in zone files have it.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

fn base64(words: &mut Words<'_, '_>) -> Result<Vec<u8>, Fault> {
    let Some(first) = words.peek() else { return Ok(Vec::new()) };
    let text: Vec<u8> = words.rest().flat_map(|word| word.text.iter().copied()).collect();
    let decoded = LENIENT.decode(&text);
    decoded.map_err(|_| first.fault("expected base64"))
}

/// base32hex without padding (RFC 4648 section 7).
fn base32(word: &Word<'_>) -> Result<Vec<u8>, Fault> {
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for octet in word.text.iter() {
        let digit = char::from(*octet).to_digit(32);
        bits = bits << 5 | digit.ok_or_else(|| word.fault(format!("expected base32hex, found `{}`", word.shown())))?;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Ok(out)
}

fn types(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut types = words.rest().map(type_of).collect::<Result<Vec<_>, _>>()?;
    type_bitmap(&mut types, out);
    Ok(())
}

fn time(word: &Word<'_>) -> Result<u32, Fault> {
    let text = word.plain();
    let wrong = || word.fault(format!("expected `YYYYMMDDHHmmSS` or seconds since 1970, found `{}`", word.shown()));
    if text.len() != 14 {
        return text.parse().map_err(|_| wrong());
    }
    let moment = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).map_err(|_| wrong())?;
    let seconds = jiff::tz::TimeZone::UTC.to_timestamp(moment).map_err(|_| wrong())?.as_second();
    // RFC 4034 section 3.1.5: serial number arithmetic; only the lower bits are kept.
    Ok(seconds as u32)
}

fn mnemonic(word: &Word<'_>, what: &str, known: &[(&str, u16)]) -> Result<u16, Fault> {
    let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(word.plain()));
    let limit = if known.len() == ALGORITHMS.len() { 255 } else { u16::MAX };
    let value = found.map(|(_, value)| *value).or_else(|| word.plain().parse().ok());
    value
        .filter(|value| *value <= limit)
        .ok_or_else(|| word.fault(format!("expected {what}, found `{}`", word.shown())))
}

fn gateway(word: &Word<'_>, origin: &Name, out: &mut Vec<u8>) -> Result<(), Fault> {
    match out.get(1) {
        Some(0) if word.plain() == "." => {}
        Some(1) => out.extend(parsed::<Ipv4Addr>(word, "an IPv4 address")?.octets()),
        Some(2) => out.extend(parsed::<Ipv6Addr>(word, "an IPv6 address")?.octets()),
        Some(3) => out.extend_from_slice(name(word, origin)?.wire()),
        _ => return Err(word.fault("no such kind of gateway")),
    }
    Ok(())
}

fn prefix(word: &Word<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let wrong = || word.fault(format!("expected a prefix such as `1:192.0.2.0/24`, found `{}`", word.shown()));
    let text = word.plain();
    let (negated, text) = text.strip_prefix('!').map_or((0, text), |rest| (0x80, rest));
    let (family, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (address, length) = rest.split_once('/').ok_or_else(wrong)?;
    let (address, length) = (address.parse().map_err(|_| wrong())?, length.parse::<u8>().map_err(|_| wrong())?);
    let (wanted, whole, width) = match address {
        IpAddr::V4(v4) => ("1", v4.octets().to_vec(), 32),
        IpAddr::V6(v6) => ("2", v6.octets().to_vec(), 128),
    };
    if family != wanted || length > width {
        return Err(wrong());
    }
    // RFC 3123 section 4: trailing zero octets are left out.
    let kept = whole.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1);
    out.extend([0, wanted.as_bytes()[0] - b'0', length, negated | kept as u8]);
    out.extend_from_slice(&whole[..kept]);
    Ok(())
}

fn groups(word: &Word<'_>, count: usize, separator: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let size = if separator == b'-' { 2 } else { 4 };
    let mut found = Vec::new();
    for group in word.text.split(|&octet| octet == separator) {
        let padded: Vec<u8> =
            std::iter::repeat_n(b'0', size - group.len().min(size)).chain(group.iter().copied()).collect();
        found.extend(hex(word, &padded)?);
    }
    if found.len() != count {
        return Err(word.fault(format!("expected {count} octets in groups, found `{}`", word.shown())));
    }
    out.extend(found);
    Ok(())
}
