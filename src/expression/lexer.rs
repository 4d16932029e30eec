use super::ExpressionError;

/// A token and where it begins, in octets.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) lexeme: Lexeme,
    pub(super) at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lexeme {
    Int(i64),
    Float(f64),
    Text(String),
    /// A name, or an operator that is a word.
    Word(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Longest first.
const SIGNS: [&str; 37] = [
    "**", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "?:", "..", "+", "-", "*", "/", "%", "^", "<", ">", "!", "?",
    ":", ".", ",", "(", ")", "[", "]", "{", "}", "|", "#", ";", "=", "&", "@", "~",
];

/// Cuts a text into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").ok_or_else(|| error("this comment does not end", at))?;
            at += end + 2;
        } else {
            let (lexeme, length) = match first {
                '"' | '\'' => quoted(rest, first).map_err(|(message, behind)| error(message, at + behind))?,
                '`' => raw(rest).ok_or_else(|| error("this string does not end", at))?,
                '0'..='9' => number(rest).ok_or_else(|| error("this is no number", at))?,
                _ if first.is_alphabetic() || matches!(first, '_' | '$') => word(rest),
                _ => sign(rest).ok_or_else(|| error(format!("`{first}` means nothing here"), at))?,
            };
            tokens.push(Token { lexeme, at });
            at += length;
        }
    }
    tokens.push(Token { lexeme: Lexeme::End, at });
    Ok(tokens)
}

fn error(message: impl Into<String>, at: usize) -> ExpressionError {
    ExpressionError { message: message.into(), at }
}

/// A string in quotes, with the escapes of Go.
fn quoted(text: &str, quote: char) -> Result<(Lexeme, usize), (&'static str, usize)> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((Lexeme::Text(value), at + 1)),
            '\\' => {
                let (_, escaped) = characters.next().ok_or(("this string does not end", 0))?;
                let digits = match escaped {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                value.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    '\\' | '\'' | '"' => escaped,
                    'x' | 'u' | 'U' => {
                        let hex: String = characters.by_ref().take(digits).map(|(_, digit)| digit).collect();
                        let code = (hex.len() == digits).then(|| u32::from_str_radix(&hex, 16).ok()).flatten();
                        code.and_then(char::from_u32).ok_or(("this is no character", at))?
                    }
                    _ => return Err(("unknown escape", at)),
                });
            }
            _ => value.push(character),
        }
    }
    Err(("this string does not end", 0))
}

/// A string in backquotes: nothing in it is special.
fn raw(text: &str) -> Option<(Lexeme, usize)> {
    let end = text[1..].find('`')? + 1;
    Some((Lexeme::Text(text[1..end].to_owned()), end + 1))
}

fn number(text: &str) -> Option<(Lexeme, usize)> {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let length = digits.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(digits.len());
            let value = i64::from_str_radix(&digits[..length].replace('_', ""), radix).ok()?;
            return Some((Lexeme::Int(value), prefix.len() + length));
        }
    }
    let digits = |from: usize| {
        let rest = &text[from..];
        from + rest.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(rest.len())
    };
    let mut end = digits(0);
    let mut whole = true;
    // Two points are a range.
    if text[end..].starts_with('.') && !text[end..].starts_with("..") {
        whole = false;
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let signed = text[end + 1..].starts_with(['+', '-']);
        whole = false;
        end = digits(end + 1 + usize::from(signed));
    }
    if text[end..].starts_with(|c: char| c.is_alphabetic()) {
        return None;
    }
    let plain = text[..end].replace('_', "");
    let lexeme = if whole { Lexeme::Int(plain.parse().ok()?) } else { Lexeme::Float(plain.parse().ok()?) };
    Some((lexeme, end))
}

fn word(text: &str) -> (Lexeme, usize) {
    let length = text.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$')).unwrap_or(text.len());
    (Lexeme::Word(text[..length].to_owned()), length)
}

fn sign(text: &str) -> Option<(Lexeme, usize)> {
    let found = SIGNS.iter().find(|sign| text.starts_with(**sign))?;
    Some((Lexeme::Sign(found), found.len()))
}
