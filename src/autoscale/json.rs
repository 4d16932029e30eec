//! JSON with the place of every value, and with the habits of Go's decoder, which people's ConfigMaps rely on: keys in
//! any case, the last of repeated keys, nothing behind the end.

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Offset in the text, octets.
    pub(super) at: usize,
    pub(super) value: Value,
}

/// A JSON value. Numbers keep their text, because `2` and `2.0` are not the same to everybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Value {
    /// What it is, in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(text) => text.clone(),
            Self::Text(text) if text.chars().count() > 20 => "a string".to_owned(),
            Self::Text(text) => format!("the string {text:?}"),
            Self::List(_) => "a list".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        }
    }
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Offset in the text, octets.
    pub(super) at: usize,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// Line and column, both from 1; the column in characters.
    pub(super) fn place(&self, text: &str) -> (usize, usize) {
        let before = text.get(..self.at.min(text.len())).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// Deepest nesting. Go allows ten thousand; nobody's parameters have more than three.
const DEPTH: usize = 500;

/// Reads one value that fills the whole text.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let node = reader.value()?;
    match reader.peek() {
        None => Ok(node),
        Some(found) => Err(reader.fault(format!("expected the end, found `{found}`"))),
    }
}

/// Whether a key is meant to be this name: the case does not matter, nor do two letters that fold to `k` and `s`.
pub(super) fn is_key(found: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{212A}' => 'k',
        'ſ' => 's',
        c => c.to_ascii_lowercase(),
    };
    found.chars().map(fold).eq(name.chars().map(fold))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.at, message)
    }

    /// The next character that is no blank.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.text[self.at..].chars().next()
    }

    fn expected(&mut self, what: &str) -> Fault {
        match self.peek() {
            Some(found) => self.fault(format!("expected {what}, found `{found}`")),
            None => self.fault(format!("expected {what}, found the end")),
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn value(&mut self) -> Result<Node, Fault> {
        let first = self.peek();
        let at = self.at;
        let value = match first {
            Some('{') => self.nested(Self::object)?,
            Some('[') => self.nested(Self::list)?,
            Some('"') => Value::Text(self.string()?),
            Some('-' | '0'..='9') => Value::Number(self.number()?),
            _ => self.word()?,
        };
        Ok(Node { at, value })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Fault>) -> Result<Value, Fault> {
        if self.depth == DEPTH {
            return Err(self.fault(format!("nested deeper than {DEPTH}")));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, Fault> {
        let mut entries = Vec::new();
        if self.take('}') {
            return Ok(Value::Object(entries));
        }
        loop {
            if self.peek() != Some('"') {
                return Err(self.expected("a key in quotes"));
            }
            let key = self.string()?;
            if !self.take(':') {
                return Err(self.expected(&format!("`:` behind the key {key:?}")));
            }
            entries.push((key, self.value()?));
            if self.take('}') {
                return Ok(Value::Object(entries));
            }
            if !self.take(',') {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn list(&mut self) -> Result<Value, Fault> {
        let mut items = Vec::new();
        if self.take(']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.take(']') {
                return Ok(Value::List(items));
            }
            if !self.take(',') {
                return Err(self.expected("`,` or `]`"));
            }
        }
    }

    fn word(&mut self) -> Result<Value, Fault> {
        for (word, value) in [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.expected("a value"))
    }

    /// RFC 8259 section 6: no leading zeros, digits on both sides of the point.
    fn number(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let octets = self.text.as_bytes();
        let mut at = start;
        let digits = |from: usize| octets[from..].iter().take_while(|octet| octet.is_ascii_digit()).count();
        let mut missing = |at: usize| {
            self.at = at;
            Err(self.expected("a digit"))
        };
        if octets[at] == b'-' {
            at += 1;
        }
        match digits(at) {
            0 => return missing(at),
            _ if octets[at] == b'0' => at += 1,
            count => at += count,
        }
        if octets.get(at) == Some(&b'.') {
            at += 1;
            match digits(at) {
                0 => return missing(at),
                count => at += count,
            }
        }
        if matches!(octets.get(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(octets.get(at), Some(b'+' | b'-')) {
                at += 1;
            }
            match digits(at) {
                0 => return missing(at),
                count => at += count,
            }
        }
        self.at = at;
        Ok(self.text[start..at].to_owned())
    }

    /// RFC 8259 section 7.
    fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut found = String::new();
        loop {
            let Some(next) = self.text[self.at..].chars().next() else {
                return Err(self.fault("a string without an end"));
            };
            match next {
                '"' => {
                    self.at += 1;
                    return Ok(found);
                }
                '\\' => found.push(self.escape()?),
                '\0'..='\u{1F}' => return Err(self.fault("a control character in a string")),
                other => {
                    found.push(other);
                    self.at += other.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let plain = match self.text.as_bytes().get(self.at + 1) {
            Some(b'u') => return self.unicode(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(&octet @ (b'"' | b'\\' | b'/')) => char::from(octet),
            _ => return Err(self.fault("an unknown escape in a string")),
        };
        self.at += 2;
        Ok(plain)
    }

    /// `\uXXXX`, two of them for what lies beyond the first plane; half a pair stands for U+FFFD, as in Go.
    fn unicode(&mut self) -> Result<char, Fault> {
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
            digits.bytes().all(|octet| octet.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
        };
        let Some(first) = unit(self.at) else {
            return Err(self.fault("expected four hexadecimal digits behind `\\u`"));
        };
        let second = unit(self.at + 6).filter(|unit| (0xDC00..0xE000).contains(unit));
        self.at += 6;
        match (first, second) {
            (0xD800..0xDC00, Some(second)) => {
                self.at += 6;
                Ok(char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).unwrap_or('\u{FFFD}'))
            }
            _ => Ok(char::from_u32(first).unwrap_or('\u{FFFD}')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> String {
        match parse(text) {
            Ok(node) => panic!("{text} is read as {node:?}"),
            Err(fault) => {
                let (line, column) = fault.place(text);
                format!("{line}:{column}: {}", fault.message)
            }
        }
    }

    #[test]
    fn what_is_no_json_is_refused_at_its_place() {
        for (text, error) in [
            ("", "1:1: expected a value, found the end"),
            ("{", "1:2: expected a key in quotes, found the end"),
            ("{\"a\"}", "1:5: expected `:` behind the key \"a\", found `}`"),
            ("{\"a\":1,}", "1:8: expected a key in quotes, found `}`"),
            ("[1,]", "1:4: expected a value, found `]`"),
            ("{\n  \"a\": 01\n}", "2:9: expected `,` or `}`, found `1`"),
            ("1.", "1:3: expected a digit, found the end"),
            ("-", "1:2: expected a digit, found the end"),
            ("1e+", "1:4: expected a digit, found the end"),
            ("{} {}", "1:4: expected the end, found `{`"),
            ("nul", "1:1: expected a value, found `n`"),
            ("\"a", "1:3: a string without an end"),
            ("\"\\x\"", "1:2: an unknown escape in a string"),
            ("\"\\u12\"", "1:2: expected four hexadecimal digits behind `\\u`"),
            ("\"a\nb\"", "1:3: a control character in a string"),
            ("{'a':1}", "1:2: expected a key in quotes, found `'`"),
            ("\u{FEFF}{}", "1:1: expected a value, found `\u{FEFF}`"),
        ] {
            assert_eq!(place(text), error, "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_ends_with_an_error_and_not_with_the_stack() {
        assert!(place(&"[".repeat(100_000)).contains("nested deeper"));
    }

    #[test]
    fn strings_and_numbers_are_read() {
        let Ok(Node { value: Value::List(items), .. }) = parse(r#" ["\u00e9\ud83d\ude00\ud800\n", -0, 1.5e+3, true] "#)
        else {
            panic!("a list");
        };
        let values: Vec<_> = items.into_iter().map(|item| item.value).collect();
        let text = Value::Text("é😀\u{FFFD}\n".to_owned());
        let number = |text: &str| Value::Number(text.to_owned());
        assert_eq!(values, [text, number("-0"), number("1.5e+3"), Value::Bool(true)]);
    }

    #[test]
    fn keys_are_blind_to_case() {
        assert!(is_key("CORESPERREPLICA", "coresPerReplica"));
        assert!(is_key("nodeſPerReplica", "nodesPerReplica"));
        assert!(!is_key("cores_per_replica", "coresPerReplica"));
    }
}
