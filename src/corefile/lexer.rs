use std::sync::Arc;

use super::{Environment, Error, SourceFile, Span, Token};

/// How often a variable's value may bring in further variables before it counts as referring to itself.
const EXPANSIONS: usize = 100;

/// A word and whether it is the first of its line.
pub(super) struct Word {
    pub(super) token: Token,
    pub(super) starts_line: bool,
}

/// Cuts a file into words. Quotes, comments and blanks follow Caddy's rules; variables are put in, each value
/// staying one word.
pub(super) fn words(file: &Arc<SourceFile>, environment: Environment<'_>) -> Result<Vec<Word>, Vec<Error>> {
    let mut lexer = Lexer { file, line: 1, column: 0, words: Vec::new(), last_line: 0, errors: Vec::new() };
    lexer.run();
    let Lexer { mut words, mut errors, .. } = lexer;
    for word in &mut words {
        match expand(&word.token.text, environment) {
            Ok(None) => {}
            Ok(Some(text)) => word.token.text = text,
            Err(message) => errors.push(word.token.error(message)),
        }
    }
    if errors.is_empty() { Ok(words) } else { Err(errors) }
}

struct Lexer<'a> {
    file: &'a Arc<SourceFile>,
    line: u32,
    column: u32,
    words: Vec<Word>,
    /// The line on which the last word ended.
    last_line: u32,
    errors: Vec<Error>,
}

/// A word that is being read.
struct Open {
    text: String,
    line: u32,
    column: u32,
    quoted: bool,
}

impl Lexer<'_> {
    fn run(&mut self) {
        let text = self.file.text().to_owned();
        let mut characters = text.chars().peekable();
        let mut open: Option<Open> = None;
        let mut comment = false;
        while let Some(character) = characters.next() {
            self.column += 1;
            match character {
                // A carriage return vanishes without separating words.
                '\r' => {}
                _ if character.is_whitespace() => {
                    if let Some(word) = open.take() {
                        self.push(word);
                        comment = false;
                    }
                    if character == '\n' {
                        comment = false;
                        self.new_line();
                    }
                }
                '#' => comment = true,
                _ if comment => {}
                '"' if open.is_none() => self.quoted(&mut characters),
                _ => open.get_or_insert_with(|| self.open(false)).text.push(character),
            }
        }
        if let Some(word) = open {
            self.push(word);
        }
    }

    const fn open(&self, quoted: bool) -> Open {
        Open { text: String::new(), line: self.line, column: self.column, quoted }
    }

    fn new_line(&mut self) {
        self.line += 1;
        self.column = 0;
    }

    /// Reads to the closing quote. Only `\"` is an escape; any other backslash stays, as regular expressions need it.
    fn quoted(&mut self, characters: &mut impl Iterator<Item = char>) {
        let mut word = self.open(true);
        let mut escaped = false;
        for character in characters {
            self.column += 1;
            if escaped {
                if character != '"' {
                    word.text.push('\\');
                }
                escaped = false;
            } else if character == '\\' {
                escaped = true;
                continue;
            } else if character == '"' {
                return self.push(word);
            }
            if character == '\n' {
                self.new_line();
            }
            word.text.push(character);
        }
        let span = Span { file: Arc::clone(self.file), line: word.line, column: word.column, length: 1 };
        self.errors.push(Error::new(span, "this quote is never closed".to_owned()));
    }

    fn push(&mut self, word: Open) {
        // A value with line breaks inside shows its first line only.
        let width = word.text.chars().take_while(|&c| c != '\n').count() as u32 + if word.quoted { 2 } else { 0 };
        let span = Span { file: Arc::clone(self.file), line: word.line, column: word.column, length: width };
        let starts_line = word.line != self.last_line;
        self.last_line = self.line;
        self.words.push(Word { token: Token { text: word.text, quoted: word.quoted, span }, starts_line });
    }
}

/// The text with `{$NAME}` and `{%NAME%}` replaced; `None` if there is nothing to replace.
fn expand(text: &str, environment: Environment<'_>) -> Result<Option<String>, String> {
    let mut current = None;
    for _ in 0..EXPANSIONS {
        let source = current.as_deref().unwrap_or(text);
        let Some((start, end, name)) = reference(source) else { return Ok(current) };
        let value = environment(name).unwrap_or_default();
        current = Some(format!("{}{value}{}", &source[..start], &source[end..]));
    }
    Err("an environment variable in this word refers to itself".to_owned())
}

/// Finds the first reference: where it starts and ends, and the variable's name.
fn reference(text: &str) -> Option<(usize, usize, &str)> {
    [("{%", "%}"), ("{$", "}")].into_iter().find_map(|(open, close)| {
        let mut from = 0;
        loop {
            let start = from + text[from..].find(open)?;
            let name_at = start + open.len();
            let length = text[name_at..].find(close)?;
            if length > 0 {
                return Some((start, name_at + length + close.len(), &text[name_at..name_at + length]));
            }
            from = name_at;
        }
    })
}
