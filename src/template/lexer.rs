use super::TemplateError;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Text outside of actions.
    Text(String),
    /// `{{` and `}}`.
    Open,
    Close,
    /// A keyword or the name of a function.
    Word(String),
    /// `.name`, directly behind something (`chained`) or not.
    Field {
        name: String,
        chained: bool,
    },
    /// `.` alone.
    Dot,
    /// `$` or `$name`.
    Variable(String),
    String(String),
    Integer(i64),
    Float(f64),
    /// `|`, `(`, `)`, `,`, `=`, and `:=` as `:`.
    Mark(char),
}

/// Tokens with the place where each begins, in characters from 1.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, TemplateError> {
    let mut lexer = Lexer { text: text.chars().collect(), at: 0, tokens: Vec::new() };
    lexer.all()?;
    Ok(lexer.tokens)
}

struct Lexer {
    text: Vec<char>,
    at: usize,
    tokens: Vec<(usize, Token)>,
}

impl Lexer {
    fn all(&mut self) -> Result<(), TemplateError> {
        let mut trim = false;
        while self.at < self.text.len() {
            let start = self.at;
            while self.at < self.text.len() && !self.starts("{{") {
                self.at += 1;
            }
            let mut text: String = self.text[start..self.at].iter().collect();
            if trim {
                text = text.trim_start().to_owned();
            }
            if self.at == self.text.len() {
                self.text_token(start, text);
                break;
            }
            // `{{- ` cuts blanks off the text in front of it.
            let cuts = self.starts("{{-") && self.text.get(self.at + 3).is_some_and(|next| next.is_whitespace());
            if cuts {
                text = text.trim_end().to_owned();
            }
            self.text_token(start, text);
            let open = self.at;
            self.at += if cuts { 3 } else { 2 };
            trim = self.action(open)?;
        }
        Ok(())
    }

    fn text_token(&mut self, start: usize, text: String) {
        if !text.is_empty() {
            self.tokens.push((start + 1, Token::Text(text)));
        }
    }

    fn starts(&self, mark: &str) -> bool {
        mark.chars().enumerate().all(|(place, wanted)| self.text.get(self.at + place) == Some(&wanted))
    }

    /// Reads up to `}}`; gives whether the text behind it is to be trimmed.
    fn action(&mut self, open: usize) -> Result<bool, TemplateError> {
        self.blanks();
        if self.starts("/*") {
            return self.comment(open);
        }
        self.tokens.push((open + 1, Token::Open));
        loop {
            let blank = self.blanks();
            for (mark, trims) in [("-}}", true), ("}}", false)] {
                if self.starts(mark) && (!trims || blank) {
                    self.tokens.push((self.at + 1, Token::Close));
                    self.at += mark.len();
                    return Ok(trims);
                }
            }
            let Some(&first) = self.text.get(self.at) else {
                return Err(error(open, "`{{` is never closed"));
            };
            let start = self.at;
            let token = self.token(first, blank)?;
            self.tokens.push((start + 1, token));
        }
    }

    fn comment(&mut self, open: usize) -> Result<bool, TemplateError> {
        while self.at < self.text.len() && !self.starts("*/") {
            self.at += 1;
        }
        self.at += 2;
        let blank = self.blanks();
        for (mark, trims) in [("-}}", true), ("}}", false)] {
            if self.starts(mark) && (!trims || blank) {
                self.at += mark.len();
                return Ok(trims);
            }
        }
        Err(error(open, "a comment is closed by `*/}}`"))
    }

    fn blanks(&mut self) -> bool {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|character| character.is_whitespace()) {
            self.at += 1;
        }
        self.at > start
    }

    fn token(&mut self, first: char, blank: bool) -> Result<Token, TemplateError> {
        let start = self.at;
        let next = self.text.get(start + 1).copied();
        match first {
            '"' => self.quoted('"').map(Token::String),
            '`' => self.raw(),
            '\'' => {
                let text = self.quoted('\'')?;
                let mut characters = text.chars();
                match (characters.next(), characters.next()) {
                    (Some(one), None) => Ok(Token::Integer(i64::from(u32::from(one)))),
                    _ => Err(error(start, "one character stands between two `'`")),
                }
            }
            ':' if next == Some('=') => {
                self.at += 2;
                Ok(Token::Mark(':'))
            }
            '|' | '(' | ')' | ',' | '=' => {
                self.at += 1;
                Ok(Token::Mark(first))
            }
            '$' => {
                self.at += 1;
                Ok(Token::Variable(self.name()))
            }
            '.' if next.is_some_and(is_letter) => {
                self.at += 1;
                let chained = !blank
                    && matches!(
                        self.tokens.last(),
                        Some((_, Token::Field { .. } | Token::Variable(_) | Token::Mark(')')))
                    );
                Ok(Token::Field { name: self.name(), chained })
            }
            '.' if !next.is_some_and(|next| next.is_ascii_digit()) => {
                self.at += 1;
                Ok(Token::Dot)
            }
            _ if is_letter(first) => Ok(Token::Word(self.name())),
            _ if first.is_ascii_digit() || matches!(first, '+' | '-' | '.') => self.number(),
            _ => Err(error(start, format!("unexpected `{first}`"))),
        }
    }

    fn name(&mut self) -> String {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|&next| is_letter(next) || next.is_numeric()) {
            self.at += 1;
        }
        self.text[start..self.at].iter().collect()
    }

    fn number(&mut self) -> Result<Token, TemplateError> {
        let start = self.at;
        self.at += 1;
        let in_number = |c: char, before: char| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || matches!(c, '+' | '-') && matches!(before, 'e' | 'E')
        };
        while self.text.get(self.at).is_some_and(|&next| in_number(next, self.text[self.at - 1])) {
            self.at += 1;
        }
        let text: String = self.text[start..self.at].iter().filter(|c| **c != '_').collect();
        let (sign, digits) =
            text.strip_prefix('-').map_or_else(|| (1, text.trim_start_matches('+')), |digits| (-1, digits));
        let lower = digits.to_ascii_lowercase();
        let bases = [("0x", 16), ("0b", 2), ("0o", 8)];
        let integer = match bases.iter().find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, *base))) {
            Some((digits, base)) => i64::from_str_radix(digits, base).ok(),
            None if lower.len() > 1 && lower.starts_with('0') => i64::from_str_radix(&lower, 8).ok(),
            None => lower.parse().ok(),
        };
        if let Some(integer) = integer {
            return Ok(Token::Integer(sign * integer));
        }
        let float = lower.parse::<f64>().ok().filter(|number| number.is_finite() && lower.contains(['.', 'e']));
        float.map(|float| Token::Float(sign as f64 * float)).ok_or_else(|| error(start, format!("bad number `{text}`")))
    }

    fn raw(&mut self) -> Result<Token, TemplateError> {
        let start = self.at + 1;
        let length = self.text[start..].iter().position(|&next| next == '`');
        let end = start + length.ok_or_else(|| error(start - 1, "a text that is never closed"))?;
        self.at = end + 1;
        Ok(Token::String(self.text[start..end].iter().collect()))
    }

    fn quoted(&mut self, mark: char) -> Result<String, TemplateError> {
        let start = self.at;
        let mut out = String::new();
        self.at += 1;
        while let Some(&next) = self.text.get(self.at) {
            self.at += 1;
            match next {
                '\n' => break,
                '\\' => out.push(self.escape(start)?),
                _ if next == mark => return Ok(out),
                _ => out.push(next),
            }
        }
        Err(error(start, "a text that is never closed"))
    }

    fn escape(&mut self, start: usize) -> Result<char, TemplateError> {
        let wrong = || error(start, "bad escape in a text");
        let &kind = self.text.get(self.at).ok_or_else(wrong)?;
        self.at += 1;
        let (base, length) = match kind {
            'n' => return Ok('\n'),
            't' => return Ok('\t'),
            'r' => return Ok('\r'),
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'v' => return Ok('\u{b}'),
            '\\' | '"' | '\'' => return Ok(kind),
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            '0'..='7' => {
                self.at -= 1;
                (8, 3)
            }
            _ => return Err(wrong()),
        };
        let digits: String = self.text.get(self.at..self.at + length).ok_or_else(wrong)?.iter().collect();
        self.at += length;
        u32::from_str_radix(&digits, base).ok().and_then(char::from_u32).ok_or_else(wrong)
    }
}

fn is_letter(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

/// An error at a place counted from 0.
fn error(at: usize, message: impl Into<String>) -> TemplateError {
    TemplateError { at: at + 1, message: message.into() }
}
