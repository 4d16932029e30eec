use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file that words were read from.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    name: String,
    directory: PathBuf,
    text: String,
}

impl SourceFile {
    pub(super) fn new(name: &str, directory: &Path, text: &str) -> Arc<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        Arc::new(Self { name: name.to_owned(), directory: directory.to_owned(), text })
    }

    /// The name that messages give it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its relative imports start.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn line(&self, number: u32) -> &str {
        self.text.split('\n').nth(number.saturating_sub(1) as usize).unwrap_or("").trim_end_matches('\r')
    }
}

/// A place in a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    pub(super) file: Arc<SourceFile>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How many characters.
    pub length: u32,
}

impl Span {
    /// Name of the file.
    pub fn file_name(&self) -> &str {
        self.file.name()
    }

    /// The place right behind this one.
    pub(super) fn behind(&self) -> Self {
        Self { column: self.column + self.length + 1, length: 1, ..self.clone() }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}+{}", self.file.name, self.line, self.column, self.length)
    }
}

/// What is wrong with a Corefile, and where. Only things that have a place can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    span: Span,
    message: String,
}

impl Error {
    pub(super) const fn new(span: Span, message: String) -> Self {
        Self { span, message }
    }

    /// The same error, said by a directive or a property of it, unless it says so itself.
    #[must_use]
    pub fn within(mut self, word: &str) -> Self {
        let is_said = self.message.strip_prefix(word).is_some_and(|rest| rest.starts_with(": "));
        if !is_said && !self.message.starts_with(&format!("unknown property `{word}`")) {
            self.message = format!("{word}: {}", self.message);
        }
        self
    }

    /// Where it is.
    pub const fn span(&self) -> &Span {
        &self.span
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { file, line, column, length } = &self.span;
        let name = file.name();
        let source = file.line(*line);
        let gutter = " ".repeat(line.to_string().len());
        // Tabs stay tabs, so that the caret stands under its word however wide they are shown.
        let lead: String = source
            .chars()
            .chain(std::iter::repeat(' '))
            .take(column.saturating_sub(1) as usize)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let carets = "^".repeat((*length).max(1) as usize);
        writeln!(f, "{name}:{line} - Error during parsing: {}", self.message)?;
        writeln!(f, "{gutter}--> {name}:{line}:{column}")?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{line} | {source}")?;
        write!(f, "{gutter} | {lead}{carets}")
    }
}

impl std::error::Error for Error {}

/// All that is wrong with a Corefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    /// The errors in the order in which they were found.
    pub all: Vec<Error>,
    unreadable: Option<String>,
}

impl Errors {
    /// These errors.
    pub const fn new(all: Vec<Error>) -> Self {
        Self { all, unreadable: None }
    }

    pub(super) fn unreadable(name: &str, error: &std::io::Error) -> Self {
        Self { all: Vec::new(), unreadable: Some(format!("{name}: cannot be read: {error}")) }
    }

    /// The same errors, said by a directive.
    #[must_use]
    pub fn within(self, word: &str) -> Self {
        Self { all: self.all.into_iter().map(|error| error.within(word)).collect(), ..self }
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self::new(vec![error])
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.unreadable {
            f.write_str(text)?;
        }
        for (index, error) in self.all.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            fmt::Display::fmt(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Something that loads and yet may surprise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it is.
    pub span: Span,
    /// What may surprise.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.span.file_name(), self.span.line, self.span.column, self.message)
    }
}
