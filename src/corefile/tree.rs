use super::{Error, Line, Token, Warning, lexer::Word};

/// Lines of words with what stands in the braces behind them, before anything is imported.
pub(super) struct Tree {
    pub(super) lines: Vec<RawLine>,
    pub(super) errors: Vec<Error>,
    pub(super) warnings: Vec<Warning>,
}

/// A line of words.
#[derive(Debug, Clone)]
pub(super) struct RawLine {
    pub(super) words: Vec<Token>,
    /// The lines in the braces behind it; `None` without braces.
    pub(super) block: Option<Vec<Self>>,
}

impl RawLine {
    /// The line as plugins read it. `None` for a line without a word, which cannot be.
    pub(super) fn into_line(self) -> Option<Line> {
        let braces = self.block.is_some();
        let mut words = self.words.into_iter();
        let word = words.next()?;
        let lines = self.block.unwrap_or_default().into_iter().filter_map(Self::into_line).collect();
        Some(Line { word, args: words.collect(), lines, braces })
    }
}

/// Builds the tree of a file.
pub(super) fn build(words: Vec<Word>) -> Tree {
    let mut builder = Builder { words: words.into_iter().peekable(), errors: Vec::new(), warnings: Vec::new() };
    let mut lines = Vec::new();
    while builder.words.peek().is_some() {
        builder.lines(&mut lines, None);
    }
    Tree { lines, errors: builder.errors, warnings: builder.warnings }
}

struct Builder {
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
    errors: Vec<Error>,
    warnings: Vec<Warning>,
}

fn is(token: &Token, text: &str) -> bool {
    !token.quoted && token.text == text
}

impl Builder {
    /// Reads lines up to the closing brace of `opened`, or up to the end of the file if `opened` is `None`.
    fn lines(&mut self, lines: &mut Vec<RawLine>, opened: Option<&Token>) {
        while let Some(Word { token, .. }) = self.words.next() {
            if is(&token, "}") {
                if opened.is_none() {
                    self.errors.push(token.error("this closing brace closes nothing"));
                }
                self.nothing_behind();
                return;
            }
            if is(&token, "{") {
                self.lone_brace(&token, lines, opened.is_none());
                continue;
            }
            let line = self.line(token, opened.is_none());
            lines.push(line);
        }
        if let Some(brace) = opened {
            self.unclosed(brace, lines);
        }
    }

    /// A line that starts with `{`: fine behind the keys of a server block, an error behind a directive.
    fn lone_brace(&mut self, brace: &Token, lines: &mut [RawLine], top: bool) {
        let mut block = Vec::new();
        self.lines(&mut block, Some(brace));
        match lines.last_mut() {
            Some(line) if top && line.block.is_none() => line.block = Some(block),
            _ => self.errors.push(brace.error(if top {
                "this brace belongs to no server block: write the zones in front of it"
            } else {
                "an opening brace must stand on the line of its directive"
            })),
        }
    }

    fn line(&mut self, first: Token, top: bool) -> RawLine {
        let mut words = vec![first];
        let mut block = None;
        while let Some(next) = self.words.next_if(|next| !next.starts_line || (top && continues(&words))) {
            if is(&next.token, "{") {
                block = Some(self.block(&next.token, &words));
                break;
            }
            if is(&next.token, "}") {
                self.errors.push(next.token.error("a closing brace must stand on a line of its own"));
                continue;
            }
            words.push(next.token);
        }
        if block.is_none() && words.len() > 1 && words.last().is_some_and(|word| is(word, "{}")) {
            if let Some(braces) = words.pop() {
                self.warnings.push(Warning {
                    span: braces.span,
                    message: "CoreDNS takes `{}` for an argument; it is read as an empty block here".to_owned(),
                });
            }
            block = Some(Vec::new());
        }
        RawLine { words, block }
    }

    fn block(&mut self, brace: &Token, words: &[Token]) -> Vec<RawLine> {
        if words.last().is_some_and(|word| word.text.ends_with(',')) {
            self.errors.push(brace.error("a comma before the opening brace: one more key is expected"));
        }
        if let Some(behind) = self.words.next_if(|word| !word.starts_line) {
            let message = "an opening brace must be the last word of its line: put what follows on the next line";
            self.errors.push(behind.token.error(message));
            let mut closed = is(&behind.token, "}");
            while let Some(word) = self.words.next_if(|word| !word.starts_line) {
                closed |= is(&word.token, "}");
            }
            // A block on one line: one complaint is enough.
            if closed {
                return Vec::new();
            }
        }
        let mut lines = Vec::new();
        self.lines(&mut lines, Some(brace));
        lines
    }

    /// Nothing may follow a closing brace on its line: CoreDNS swallows it without a word.
    fn nothing_behind(&mut self) {
        let mut complained = false;
        while let Some(word) = self.words.next_if(|word| !word.starts_line) {
            if !complained {
                let message = format!("`{}` behind a closing brace: put it on a line of its own", word.token.text);
                self.errors.push(word.token.error(message));
                complained = true;
            }
        }
    }

    fn unclosed(&mut self, brace: &Token, lines: &[RawLine]) {
        // CoreDNS accepts one closing brace too few if the file ends with one.
        let ends_with_block = lines.last().is_some_and(|line| line.block.is_some());
        let first = self.errors.iter().all(|error| error.message() != UNCLOSED)
            && self.warnings.iter().all(|warning| warning.message != MISSING_LAST);
        if ends_with_block && first {
            self.warnings.push(Warning { span: brace.span.clone(), message: MISSING_LAST.to_owned() });
        } else {
            self.errors.push(brace.error(UNCLOSED));
        }
    }
}

const UNCLOSED: &str = "this brace is never closed";
const MISSING_LAST: &str = "the closing brace of this block is missing at the end of the file; taken as there";

/// A trailing comma lets the keys of a server block go on on the next line.
fn continues(words: &[Token]) -> bool {
    words.last().is_some_and(|word| !word.quoted && word.text.len() > 1 && word.text.ends_with(','))
}
