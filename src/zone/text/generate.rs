use super::{
    Fault,
    scan::{Place, Word},
};

/// The numbers that `$GENERATE` counts through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) step: u32,
}

/// More than that at once is a slip of the pen.
const MOST: u32 = 1 << 20;

impl Range {
    /// `1-10` or `1-10/2`.
    pub(super) fn read(word: &Word<'_>) -> Result<Self, Fault> {
        let wrong = || word.fault(format!("expected a range such as `1-10` or `0-100/5`, found `{}`", word.shown()));
        let text = word.plain();
        let (range, step) = text.split_once('/').unwrap_or((text, "1"));
        let (first, last) = range.split_once('-').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let range = Self { first: number(first)?, last: number(last)?, step: number(step)? };
        if range.step == 0 || range.last < range.first {
            return Err(wrong());
        }
        if (range.last - range.first) / range.step >= MOST {
            return Err(word.fault(format!("more than {MOST} records from one line")));
        }
        Ok(range)
    }

    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        (self.first..=self.last).step_by(self.step as usize)
    }
}

/// Puts a number into a word: `$` is the number, `${offset,width,base}` the number in that form, `$$` and `\$` a
/// dollar sign.
pub(super) fn filled_in(text: &[u8], number: u32, place: Place) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(text.len() + 4);
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        at += 1;
        match (octet, text.get(at)) {
            (b'\\', Some(b'$')) | (b'$', Some(b'$')) => {
                out.push(b'$');
                at += 1;
            }
            (b'\\', Some(&next)) => {
                out.extend([octet, next]);
                at += 1;
            }
            (b'$', Some(b'{')) => {
                let length = text[at..].iter().position(|&octet| octet == b'}');
                let end = at + length.ok_or_else(|| place.fault("`${` without its `}`"))?;
                let form = std::str::from_utf8(&text[at + 1..end]).unwrap_or_default();
                let shown = formed(form, number).ok_or_else(|| {
                    place.fault(format!(
                        "expected `${{offset,width,base}}` with base d, o, x, X, n or N, found `${{{form}}}`"
                    ))
                })?;
                out.extend_from_slice(shown.as_bytes());
                at = end + 1;
            }
            (b'$', _) => out.extend_from_slice(number.to_string().as_bytes()),
            _ => out.push(octet),
        }
    }
    Ok(out)
}

/// The widest number that is written.
const WIDEST: usize = 255;

fn formed(form: &str, number: u32) -> Option<String> {
    let mut parts = form.split(',');
    let offset: i64 = parts.next()?.parse().ok()?;
    let width: usize = parts.next().unwrap_or("0").parse().ok().filter(|width| *width <= WIDEST)?;
    let base = parts.next().unwrap_or("d");
    let value = i64::from(number) + offset;
    if parts.next().is_some() || value < 0 {
        return None;
    }
    Some(match base {
        "d" => format!("{value:0width$}"),
        "o" => format!("{value:0width$o}"),
        "x" => format!("{value:0width$x}"),
        "X" => format!("{value:0width$X}"),
        "n" => nibbles(&format!("{value:x}"), width),
        "N" => nibbles(&format!("{value:X}"), width),
        _ => return None,
    })
}

/// Hexadecimal digits with the lowest first and dots between them, as ip6.arpa has them; the width counts the dots.
fn nibbles(digits: &str, width: usize) -> String {
    let zeros = std::iter::repeat_n('0', width.div_ceil(2).saturating_sub(digits.len()));
    let reversed: Vec<String> = digits.chars().rev().chain(zeros).map(String::from).collect();
    reversed.join(".")
}
