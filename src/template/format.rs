use super::value::Value;

/// The widest field and the longest fraction.
const WIDEST: usize = 4096;

/// A verb with what stands between `%` and it.
#[derive(Default)]
struct Form {
    minus: bool,
    plus: bool,
    sharp: bool,
    blank: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Go's `fmt.Sprintf`, its notes on wrong arguments included: `%!d(string=x)`.
pub(super) fn sprintf(form: &str, values: &[Value<'_>]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = form.chars().peekable();
    while let Some(next) = rest.next() {
        if next != '%' {
            out.push(next);
            continue;
        }
        let mut form = Form::default();
        while let Some(&flag) = rest.peek() {
            match flag {
                '-' => form.minus = true,
                '+' => form.plus = true,
                '#' => form.sharp = true,
                ' ' => form.blank = true,
                '0' => form.zero = true,
                _ => break,
            }
            rest.next();
        }
        form.width = number(&mut rest, &mut values);
        if rest.next_if_eq(&'.').is_some() {
            form.precision = Some(number(&mut rest, &mut values).unwrap_or(0));
        }
        match rest.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match values.next() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => out.push_str(&form.padded(verb, value)),
            },
        }
    }
    let extra: Vec<String> = values.map(|value| format!("{}={value}", value.type_name())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

/// A width or a precision: digits, or `*` for the next argument.
fn number<'v, 'a: 'v>(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    values: &mut impl Iterator<Item = &'v Value<'a>>,
) -> Option<usize> {
    if rest.next_if_eq(&'*').is_some() {
        return values
            .next()
            .and_then(Value::integer)
            .and_then(|number| usize::try_from(number).ok())
            .map(|n| n.min(WIDEST));
    }
    let mut found = None;
    while let Some(digit) = rest.peek().and_then(|next| next.to_digit(10)) {
        found = Some((found.unwrap_or(0) * 10 + digit as usize).min(WIDEST));
        rest.next();
    }
    found
}

impl Form {
    fn padded(&self, verb: char, value: &Value<'_>) -> String {
        let text = self.shown(verb, value);
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.minus {
            return text + &" ".repeat(missing);
        }
        let is_number = matches!(value, Value::Integer(_) | Value::Unsigned(_) | Value::Float(_));
        if self.zero && is_number && self.precision.is_none_or(|_| matches!(value, Value::Float(_))) {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+', ' '])));
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        let filler = if self.zero && !is_number { "0" } else { " " };
        filler.repeat(missing) + &text
    }

    fn shown(&self, verb: char, value: &Value<'_>) -> String {
        let wrong = || match value {
            Value::None => format!("%!{verb}(<nil>)"),
            _ => format!("%!{verb}({}={value})", value.type_name()),
        };
        match (verb, value) {
            ('T', _) => value.type_name().to_owned(),
            ('v', Value::None) => "<nil>".to_owned(),
            ('v', Value::Text(text)) if self.sharp => quoted(text),
            ('v' | 'd' | 'b' | 'o' | 'x' | 'X' | 'c' | 'q' | 'U', Value::Integer(_) | Value::Unsigned(_)) => {
                value.integer().and_then(|number| self.integer(verb, number)).unwrap_or_else(wrong)
            }
            ('v', Value::Float(number)) => float(*number),
            ('f' | 'F' | 'e' | 'E' | 'g' | 'G', Value::Float(number)) => self.float(verb, *number),
            ('v' | 't', Value::Bool(value)) => value.to_string(),
            ('s' | 'v', Value::Text(text)) => self.cut(text),
            ('q', Value::Text(text)) => quoted(&self.cut(text)),
            ('x', Value::Text(text)) => text.bytes().map(|octet| format!("{octet:02x}")).collect(),
            ('X', Value::Text(text)) => text.bytes().map(|octet| format!("{octet:02X}")).collect(),
            (_, Value::List(list)) => {
                let items: Vec<String> = list.iter().map(|item| self.shown(verb, item)).collect();
                format!("[{}]", items.join(" "))
            }
            ('v' | 's', Value::Map(_) | Value::Object(_)) => value.to_string(),
            _ => wrong(),
        }
    }

    fn cut(&self, text: &str) -> String {
        self.precision.map_or_else(|| text.to_owned(), |most| text.chars().take(most).collect())
    }

    fn integer(&self, verb: char, number: i64) -> Option<String> {
        let size = number.unsigned_abs();
        let digits = match verb {
            'v' | 'd' => size.to_string(),
            'b' => format!("{size:b}"),
            'o' => format!("{}{size:o}", if self.sharp { "0" } else { "" }),
            'x' => format!("{}{size:x}", if self.sharp { "0x" } else { "" }),
            'X' => format!("{}{size:X}", if self.sharp { "0X" } else { "" }),
            'U' => format!("U+{size:04X}"),
            _ => {
                let character = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                return Some(if verb == 'c' { character.to_string() } else { format!("{character:?}") });
            }
        };
        let digits = "0".repeat(self.precision.unwrap_or(0).saturating_sub(digits.len())) + &digits;
        Some(self.signed(number < 0, digits))
    }

    fn float(&self, verb: char, number: f64) -> String {
        let size = number.abs();
        let digits = match verb {
            'f' | 'F' => format!("{size:.*}", self.precision.unwrap_or(6)),
            'e' | 'E' => exponent(&format!("{size:.*e}", self.precision.unwrap_or(6))),
            _ => float(size),
        };
        let digits = if verb.is_ascii_uppercase() { digits.to_uppercase() } else { digits };
        self.signed(number.is_sign_negative(), digits)
    }

    fn signed(&self, negative: bool, digits: String) -> String {
        match (negative, self.plus, self.blank) {
            (true, ..) => format!("-{digits}"),
            (_, true, _) => format!("+{digits}"),
            (_, _, true) => format!(" {digits}"),
            _ => digits,
        }
    }
}

/// A number with a fraction as Go's `%v` writes it.
pub(super) fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) { exponent(&format!("{number:e}")) } else { number.to_string() }
}

/// `1.5e7` with a sign and two digits behind the e, as Go has it.
fn exponent(text: &str) -> String {
    let (head, power) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = power.strip_prefix('-').map_or(('+', power), |digits| ('-', digits));
    format!("{head}e{sign}{digits:0>2}")
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            control if control.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
