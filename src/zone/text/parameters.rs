use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;

use super::{
    Fault,
    fields::{Words, unescaped},
    scan::Word,
};
use crate::wire::octets;

/// Names of service parameters; their places are their numbers (RFC 9460 section 14.3.2, RFC 9461, RFC 9540).
const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

/// Reads `key=value` pairs; the wire has them by number (RFC 9460 section 2.2).
pub(super) fn read(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut pairs: Vec<(u16, Vec<u8>)> = Vec::new();
    for word in words.rest() {
        let split = word.text.iter().position(|&octet| octet == b'=');
        let (key, value) = word.text.split_at(split.unwrap_or(word.text.len()));
        let key = key_of(word, key)?;
        let value = value.get(1..).map(|value| Word { text: value.into(), ..word.clone() });
        if pairs.iter().any(|(known, _)| *known == key) {
            return Err(word.fault(format!("`{}` stands twice", word.shown())));
        }
        pairs.push((key, data(key, word, value)?));
    }
    pairs.sort();
    for (key, value) in pairs {
        out.extend(octets(key));
        out.extend(octets(value.len() as u16));
        out.extend(value);
    }
    Ok(())
}

fn key_of(word: &Word<'_>, text: &[u8]) -> Result<u16, Fault> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let known = KEYS.iter().position(|key| key.eq_ignore_ascii_case(text)).map(|place| place as u16);
    let number = || text.strip_prefix("key").and_then(|number| number.parse().ok());
    known.or_else(number).ok_or_else(|| word.fault(format!("unknown service parameter `{text}`")))
}

fn data(key: u16, word: &Word<'_>, value: Option<Word<'_>>) -> Result<Vec<u8>, Fault> {
    let name = KEYS.get(usize::from(key)).copied().unwrap_or_default();
    let Some(value) = value else {
        return if matches!(name, "no-default-alpn" | "ohttp" | "") {
            Ok(Vec::new())
        } else {
            Err(word.fault(format!("`{name}` needs a value")))
        };
    };
    let bytes = unescaped(&value)?;
    let wrong = || word.fault(format!("bad value of `{name}` in `{}`", word.shown()));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut out = Vec::new();
    match name {
        "mandatory" => {
            let mut keys = text.split(',').map(|key| key_of(word, key.as_bytes())).collect::<Result<Vec<_>, _>>()?;
            keys.sort_unstable();
            keys.iter().for_each(|&key| out.extend(octets(key)));
        }
        "alpn" => {
            // The list has its own escapes inside those of the string (RFC 9460 appendix A.1): `\,` is no separator.
            let mut id = Vec::new();
            let mut rest = bytes.iter().copied().chain([b',']);
            while let Some(octet) = rest.next() {
                match octet {
                    b'\\' => id.push(rest.next().ok_or_else(wrong)?),
                    b',' => {
                        let length = u8::try_from(id.len()).ok().filter(|length| *length > 0).ok_or_else(wrong)?;
                        out.push(length);
                        out.append(&mut id);
                    }
                    other => id.push(other),
                }
            }
        }
        "no-default-alpn" | "ohttp" => return Err(word.fault(format!("`{name}` takes no value"))),
        "port" => out.extend(octets(text.parse().map_err(|_| wrong())?)),
        "ipv4hint" => {
            for address in text.split(',') {
                out.extend(address.parse::<Ipv4Addr>().map_err(|_| wrong())?.octets());
            }
        }
        "ipv6hint" => {
            for address in text.split(',') {
                out.extend(address.parse::<Ipv6Addr>().map_err(|_| wrong())?.octets());
            }
        }
        "ech" => out = base64::engine::general_purpose::STANDARD.decode(&bytes).map_err(|_| wrong())?,
        _ => out = bytes,
    }
    Ok(out)
}
