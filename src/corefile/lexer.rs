use std::{str::Chars, sync::Arc};

use super::{Environment, Error, SourceFile, Span, Token};

/// How often a variable's value may bring in further variables before it counts as referring to itself.
const EXPANSIONS: usize = 100;

/// A word and whether it is the first of its line.
pub(super) struct Word {
    pub(super) token: Token,
    pub(super) starts_line: bool,
}

/// Cuts a file into words. Quotes, comments and blanks follow Caddy's rules; variables are put in, each value
/// staying one word. What is wrong stands beside the words, so that reading can go on.
pub(super) fn words(file: &Arc<SourceFile>, environment: Environment<'_>) -> (Vec<Word>, Vec<Error>) {
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
    (words, errors)
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
    /// What a quoted word takes of its first line in the file, with quotes and escapes.
    width: Option<u32>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        let file = Arc::clone(self.file);
        let mut characters = file.text().chars();
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
        Open { text: String::new(), line: self.line, column: self.column, quoted, width: None }
    }

    fn new_line(&mut self) {
        self.line += 1;
        self.column = 0;
    }

    /// Reads to the closing quote. Only `\"` is an escape; any other backslash stays, as regular expressions need it.
    fn quoted(&mut self, characters: &mut Chars<'_>) {
        let behind_quote = characters.clone();
        let mut word = self.open(true);
        let mut escaped = false;
        for character in characters.by_ref() {
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
                word.width.get_or_insert_with(|| self.column - word.column + 1);
                return self.push(word);
            }
            if character == '\n' {
                word.width.get_or_insert_with(|| self.column - word.column);
                self.new_line();
            }
            word.text.push(character);
        }
        let span = Span { file: Arc::clone(self.file), line: word.line, column: word.column, length: 1 };
        self.errors.push(Error::new(span, "this quote is never closed".to_owned()));
        // It swallowed the rest of the file. Take it to end with its line, so that what follows is checked too.
        (self.line, self.column) = (word.line, word.column);
        *characters = behind_quote;
        let rest = characters.as_str();
        *characters = rest[rest.find('\n').unwrap_or(rest.len())..].chars();
    }

    fn push(&mut self, word: Open) {
        let length = word.width.unwrap_or_else(|| word.text.chars().count() as u32);
        let span = Span { file: Arc::clone(self.file), line: word.line, column: word.column, length };
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
