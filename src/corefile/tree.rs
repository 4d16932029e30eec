use super::{Error, Line, Token, Warning, lexer::Word};

/// How deep braces may stand inside each other. Real files need three.
const NESTING: usize = 32;

const GLUED: &str = "a brace must be a word of its own: put a blank in front of it";
const LAST_ON_LINE: &str = "an opening brace must be the last word of its line: put what follows on the next line";
const MISSING_LAST: &str = "the closing brace of this block is missing at the end of the file; taken as there";
/// Said of a brace below its directive.
pub(super) const BELOW: &str = "an opening brace must stand on the line of its directive";

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
    /// The opening brace if it stands on the next line: fine behind keys, an error behind a directive.
    pub(super) brace_below: Option<Token>,
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

    /// Whether it is an import.
    pub(super) fn is_import(&self) -> bool {
        self.words.first().is_some_and(|word| word.text == "import" && !word.quoted)
    }

    /// This line and all that stand in its braces.
    pub(super) fn count(&self) -> usize {
        1 + self.block.iter().flatten().map(Self::count).sum::<usize>()
    }
}

/// Builds the tree of a file.
pub(super) fn build(words: Vec<Word>) -> Tree {
    let mut builder = Builder {
        words: words.into_iter(),
        depth: 0,
        bare: 0,
        closed_early: false,
        complete: true,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    let mut lines = Vec::new();
    while !builder.words.as_slice().is_empty() {
        builder.lines(&mut lines, None);
    }
    Tree { lines, errors: builder.errors, warnings: builder.warnings }
}

struct Builder {
    words: std::vec::IntoIter<Word>,
    /// How many braces are open.
    depth: usize,
    /// How many lines outside of braces have no block. With the second one, braces are left out in this file.
    bare: usize,
    /// A closing brace stood at the end of the line just read.
    closed_early: bool,
    /// No closing brace was missed yet.
    complete: bool,
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
                self.lone_brace(token, lines, opened.is_none());
                continue;
            }
            let line = self.line(token, opened.is_none());
            self.bare += usize::from(opened.is_none() && line.block.is_none() && !line.is_import());
            lines.push(line);
            if std::mem::take(&mut self.closed_early) && opened.is_some() {
                return;
            }
        }
        if let Some(brace) = opened {
            self.unclosed(brace, lines);
        }
    }

    /// A line that starts with `{`: fine behind the keys of a server block, an error behind a directive.
    fn lone_brace(&mut self, brace: Token, lines: &mut [RawLine], top: bool) {
        let block = self.block(&brace, &[]);
        match lines.last_mut() {
            Some(line) if top && self.bare == 1 && line.block.is_none() => {
                self.bare = 0;
                line.block = Some(block);
                line.brace_below = Some(brace);
            }
            _ if top && self.bare == 0 => {
                let message = "this brace belongs to no server block: write the zones in front of it";
                self.errors.push(brace.error(message));
            }
            _ => self.errors.push(brace.error(BELOW)),
        }
    }

    fn line(&mut self, first: Token, top: bool) -> RawLine {
        let keys = top && self.bare == 0;
        let mut words = Vec::new();
        let mut block = None;
        let mut next = Some(first);
        while let Some(mut word) = next {
            if is(&word, "{") {
                block = Some(self.block(&word, &words));
                break;
            }
            if is(&word, "}") {
                self.errors.push(word.error("a closing brace must stand on a line of its own"));
                self.nothing_behind();
                self.closed_early = true;
                break;
            }
            if self.is_glued(&word) {
                self.errors.push(word.error(GLUED));
                word.text.pop();
                words.push(word.clone());
                block = Some(self.block(&word, &words));
                break;
            }
            words.push(word);
            next = self.next_on_line(keys && continues(&words));
        }
        let block = block.or_else(|| self.empty_braces(&mut words));
        RawLine { words, block, brace_below: None }
    }

    /// The next word if it stands on the same line, or wherever it stands if the line goes on.
    fn next_on_line(&mut self, goes_on: bool) -> Option<Token> {
        let next = self.words.as_slice().first()?;
        if next.starts_line && !goes_on { None } else { self.words.next().map(|word| word.token) }
    }

    /// `.:53{` at the end of a line. A word of braces only, such as `{{`, may mean something to a plugin.
    fn is_glued(&self, word: &Token) -> bool {
        let ends_line = self.words.as_slice().first().is_none_or(|next| next.starts_line);
        ends_line && !word.quoted && word.text.ends_with('{') && word.text.contains(|c| c != '{' && c != '}')
    }

    /// `cache {}`: what CoreDNS takes for an argument is meant as an empty block.
    fn empty_braces(&mut self, words: &mut Vec<Token>) -> Option<Vec<RawLine>> {
        let braces = words.pop_if(|word| is(word, "{}"))?;
        if words.is_empty() {
            words.push(braces);
            return None;
        }
        let message = "CoreDNS takes `{}` for an argument; it is read as an empty block here".to_owned();
        self.warnings.push(Warning { span: braces.span, message });
        Some(Vec::new())
    }

    /// What stands behind an opening brace, up to its closing brace.
    fn block(&mut self, brace: &Token, words: &[Token]) -> Vec<RawLine> {
        if words.last().is_some_and(|word| word.text.ends_with(',')) {
            self.errors.push(brace.error("a comma before the opening brace: one more key is expected"));
        }
        if self.depth == NESTING {
            self.errors.push(brace.error(format!("braces stand more than {NESTING} deep inside each other")));
            self.skip_block();
            return Vec::new();
        }
        if self.ends_on_its_line() {
            return Vec::new();
        }
        self.depth += 1;
        let mut lines = Vec::new();
        self.lines(&mut lines, Some(brace));
        self.depth -= 1;
        lines
    }

    /// A block that is closed on the line of its opening brace: `{ }` is empty, anything between is an error.
    fn ends_on_its_line(&mut self) -> bool {
        let line = self.words.as_slice().iter().take_while(|word| !word.starts_line);
        if !line.clone().any(|word| is(&word.token, "}")) {
            return false;
        }
        let Some(first) = self.next_on_line(false) else { return false };
        if is(&first, "}") {
            self.nothing_behind();
        } else {
            // One complaint is enough.
            self.errors.push(first.error(LAST_ON_LINE));
            while self.next_on_line(false).is_some() {}
        }
        true
    }

    /// Passes over a block without reading it.
    fn skip_block(&mut self) {
        let mut open = 1;
        while open > 0
            && let Some(Word { token, .. }) = self.words.next()
        {
            open += usize::from(is(&token, "{"));
            open -= usize::from(is(&token, "}"));
        }
    }

    /// Nothing may follow a closing brace on its line: CoreDNS swallows it without a word.
    fn nothing_behind(&mut self) {
        let Some(behind) = self.next_on_line(false) else { return };
        let message = format!("`{}` behind a closing brace: put it on a line of its own", behind.text);
        self.errors.push(behind.error(message));
        while self.next_on_line(false).is_some() {}
    }

    /// CoreDNS accepts one closing brace too few if the file ends with one.
    fn unclosed(&mut self, brace: &Token, lines: &[RawLine]) {
        let ends_with_block = lines.last().is_some_and(|line| line.block.is_some());
        if std::mem::take(&mut self.complete) && ends_with_block {
            self.warnings.push(Warning { span: brace.span.clone(), message: MISSING_LAST.to_owned() });
        } else {
            self.errors.push(brace.error("this brace is never closed"));
        }
    }
}

/// A trailing comma lets the keys of a server block go on on the next line.
fn continues(words: &[Token]) -> bool {
    words.last().is_some_and(|word| !word.quoted && word.text.len() > 1 && word.text.ends_with(','))
}
