use crate::template::{Function, Value};

/// What templates of a Corefile can call beside Go's own functions.
pub(super) const FUNCTIONS: &[Function] = &[Function::new("parseInt", parse_int)];

/// `parseInt TEXT BASE BITS`: a number from its digits, as Go's `strconv.ParseInt`.
fn parse_int<'a>(values: &[Value<'a>]) -> Result<Value<'a>, String> {
    let [Value::Text(text), Value::Integer(base), Value::Integer(bits)] = values else {
        return Err("wants a text, a base and a number of bits".to_owned());
    };
    let (negative, digits) =
        text.strip_prefix('-').map_or_else(|| (false, text.trim_start_matches('+')), |rest| (true, rest));
    let (base, digits) = match (u32::try_from(*base).unwrap_or(1), digits) {
        (0, digits) if digits.to_ascii_lowercase().starts_with("0x") => (16, &digits[2..]),
        (0, digits) if digits.to_ascii_lowercase().starts_with("0b") => (2, &digits[2..]),
        (0, digits) if digits.to_ascii_lowercase().starts_with("0o") => (8, &digits[2..]),
        (0, digits) if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        (0, digits) => (10, digits),
        (base @ 2..=36, digits) => (base, digits),
        (base, _) => return Err(format!("parsing {text:?}: invalid base {base}")),
    };
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base));
    if !is_number {
        return Err(format!("parsing {text:?}: invalid syntax"));
    }
    let bits = u32::try_from(*bits).ok().filter(|bits| *bits <= 64).map(|bits| if bits == 0 { 64 } else { bits });
    let limit = 1i128 << (bits.ok_or_else(|| format!("parsing {text:?}: invalid bit size {bits:?}"))? - 1);
    let number = i128::from_str_radix(digits, base).map(|number| if negative { -number } else { number });
    match number {
        Ok(number) if number >= -limit && number < limit => Ok(Value::Integer(number as i64)),
        _ => Err(format!("parsing {text:?}: value out of range")),
    }
}
