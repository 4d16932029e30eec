use super::{Fault, fields::Words, scan::Word};
use crate::wire::long_octets;

/// The equator and the prime meridian in the wire form of LOC, thousandths of a second of arc (RFC 1876 section 2).
const MIDDLE: u32 = 1 << 31;
/// Metres below the reference spheroid at which altitudes begin, in centimetres.
const DEEPEST: i64 = 10_000_000;

/// Reads `d1 [m1 [s1]] N d2 [m2 [s2]] E alt [size [horizontal [vertical]]]` (RFC 1876 section 3).
pub(super) fn read(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let latitude = angle(words, 90, "N", "S")?;
    let longitude = angle(words, 180, "E", "W")?;
    let altitude = words.require("an altitude")?;
    let height = centimetres(altitude)? + DEEPEST;
    let height = u32::try_from(height).map_err(|_| altitude.fault("an altitude out of range"))?;
    // Defaults: a size of 1 m, precisions of 10 km and 10 m.
    let mut sizes = [0x12, 0x16, 0x13];
    for size in &mut sizes {
        if let Some(word) = words.next() {
            *size = exponent(word)?;
        }
    }
    out.push(0);
    out.extend(sizes);
    [latitude, longitude, height].iter().for_each(|&value| out.extend(long_octets(value)));
    Ok(())
}

fn angle(words: &mut Words<'_, '_>, most: u32, plus: &str, minus: &str) -> Result<u32, Fault> {
    let mut thousandths = 0;
    for (scale, limit) in [(3_600_000, most), (60_000, 59), (1_000, 59), (0, 0)] {
        let word = words.require("degrees, minutes, seconds, and a direction")?;
        let text = word.plain();
        if text.eq_ignore_ascii_case(plus) {
            return Ok(MIDDLE + thousandths);
        }
        if text.eq_ignore_ascii_case(minus) {
            return Ok(MIDDLE - thousandths);
        }
        let wrong = || word.fault(format!("expected a number up to {limit}, or {plus} or {minus}, found `{text}`"));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if scale == 0 || (scale != 1_000 && !fraction.is_empty()) {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().ok().filter(|whole| *whole <= limit).ok_or_else(wrong)?;
        let parts: u32 = format!("{fraction:0<3}").get(..3).and_then(|parts| parts.parse().ok()).ok_or_else(wrong)?;
        thousandths += whole * scale + if scale == 1_000 { parts } else { 0 };
    }
    Ok(MIDDLE)
}

/// `-12.5m` in centimetres.
fn centimetres(word: &Word<'_>) -> Result<i64, Fault> {
    let text = word.plain();
    let wrong = || word.fault(format!("expected metres such as `10m`, found `{}`", word.shown()));
    let number = text.strip_suffix(['m', 'M']).unwrap_or(text);
    let (sign, number) = number.strip_prefix('-').map_or((1, number), |rest| (-1, rest));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let parts: i64 = format!("{fraction:0<2}").get(..2).and_then(|parts| parts.parse().ok()).ok_or_else(wrong)?;
    Ok(sign * (i64::from(whole) * 100 + parts))
}

/// Centimetres as a digit and a power of ten, in four bits each.
fn exponent(word: &Word<'_>) -> Result<u8, Fault> {
    let mut value = centimetres(word)?;
    let mut power = 0;
    while value >= 10 {
        value /= 10;
        power += 1;
    }
    if value < 0 || power > 9 {
        return Err(word.fault("a size out of range"));
    }
    Ok((value as u8) << 4 | power)
}
