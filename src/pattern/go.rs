//! Go's syntax in the words of the `regex` crate, which reads some of it in another way.

use super::PatternError;

/// Names of classes in `[[:alpha:]]`.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// What `\d` and the like mean to Go: ASCII.
const PERL: [(char, &str); 6] = [
    ('d', "[0-9]"),
    ('D', "[^0-9]"),
    ('s', r"[\t\n\x0C\r ]"),
    ('S', r"[^\t\n\x0C\r ]"),
    ('w', "[0-9A-Za-z_]"),
    ('W', "[^0-9A-Za-z_]"),
];

/// The same pattern for the `regex` crate. What means nothing to either is left as it is, for the crate to refuse.
pub(super) fn translated(pattern: &str) -> Result<String, PatternError> {
    let mut reader = Reader { rest: pattern, made: String::with_capacity(pattern.len() + 16) };
    while let Some(character) = reader.next() {
        match character {
            '\\' => reader.escape(false)?,
            '[' => reader.class()?,
            // Braces that count nothing are themselves.
            '{' if !is_count(reader.rest) => reader.made.push_str(r"\{"),
            other => reader.made.push(other),
        }
    }
    Ok(reader.made)
}

struct Reader<'a> {
    rest: &'a str,
    made: String,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut rest = self.rest.chars();
        let character = rest.next();
        self.rest = rest.as_str();
        character
    }

    /// What stands behind a backslash. `in_class`: between brackets.
    fn escape(&mut self, in_class: bool) -> Result<(), PatternError> {
        let Some(character) = self.next() else {
            self.made.push('\\');
            return Ok(());
        };
        match character {
            'C' => return Err(PatternError::Absent(r"\C")),
            'Q' if !in_class => {
                let (literal, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.made.push_str(&regex::escape(literal));
                self.rest = rest;
            }
            // A boundary between words of ASCII.
            'b' if !in_class => self.made.push_str(r"(?-u:\b)"),
            'p' | 'P' | 'x' if self.rest.starts_with('{') => {
                let end = self.rest.find('}').map_or(self.rest.len(), |at| at + 1);
                let (name, rest) = self.rest.split_at(end);
                self.made.extend(['\\', character]);
                self.made.push_str(name);
                self.rest = rest;
            }
            '0'..='7' => self.octal(character)?,
            // The crate takes these for the ends of a word.
            '<' | '>' => self.made.push(character),
            _ => match PERL.iter().find(|(name, _)| *name == character) {
                Some((_, class)) => self.made.push_str(class),
                None => self.made.extend(['\\', character]),
            },
        }
        Ok(())
    }

    /// Up to three octal digits; one alone would be a reference to a group, but for zero.
    fn octal(&mut self, first: char) -> Result<(), PatternError> {
        let is_octal = |rest: &str| rest.starts_with(|digit: char| ('0'..='7').contains(&digit));
        if first != '0' && !is_octal(self.rest) {
            return Err(PatternError::Syntax(format!(r"`\{first}`: groups cannot be referred to in the pattern")));
        }
        let mut code = first.to_digit(8).unwrap_or_default();
        for _ in 0..2 {
            if is_octal(self.rest) {
                code = code * 8 + self.next().and_then(|digit| digit.to_digit(8)).unwrap_or_default();
            }
        }
        self.made.push_str(&format!(r"\x{{{code:X}}}"));
        Ok(())
    }

    /// A class such as `[^a-z[:digit:]\d]`. A bracket, `&&`, `--` and `~~` have no meaning of their own in it.
    fn class(&mut self) -> Result<(), PatternError> {
        self.made.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.made.push('^');
            self.rest = rest;
        }
        let mut is_first = true;
        loop {
            if !is_first && self.rest.starts_with(']') || self.rest.is_empty() {
                let end = self.next();
                self.made.extend(end);
                return Ok(());
            }
            is_first = false;
            if let Some((name, rest)) = self.rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
                let known = CLASSES.contains(&name.strip_prefix('^').unwrap_or(name));
                if !known {
                    return Err(PatternError::Syntax(format!("unknown class `[:{name}:]`")));
                }
                self.made.push_str(&format!("[:{name}:]"));
                self.rest = rest;
                continue;
            }
            self.member()?;
            // `a-z`, but not the hyphen in front of the end.
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1 {
                self.next();
                self.made.push('-');
                self.member()?;
            }
        }
    }

    /// A character of a class.
    fn member(&mut self) -> Result<(), PatternError> {
        match self.next() {
            Some('\\') => return self.escape(true),
            Some(sign @ ('[' | ']' | '^' | '-' | '&' | '~')) => self.made.extend(['\\', sign]),
            other => self.made.extend(other),
        }
        Ok(())
    }
}

/// Whether `n}`, `n,}` or `n,m}` follows.
fn is_count(rest: &str) -> bool {
    let Some((count, _)) = rest.split_once('}') else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    match count.split_once(',') {
        None => is_number(count),
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
    }
}
