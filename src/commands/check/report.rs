use std::fmt::Write as _;

use serde_json::json;

use crate::corefile::{Errors, Span, Token, Warning};

/// Something to tell of a Corefile.
pub(super) struct Finding {
    pub(super) is_error: bool,
    file: String,
    /// Line and column from 1.
    pub(super) place: Option<(u32, u32)>,
    message: String,
    /// As people read it.
    shown: String,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    /// Commands that GitHub's runners show at the line.
    Github,
}

impl Form {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "github" => Ok(Self::Github),
            _ => Err(format!("flag `-format` takes `text`, `json` or `github`, found `{text}`")),
        }
    }
}

impl Finding {
    /// An error about a file as a whole.
    pub(super) fn of_file(file: &str, message: String) -> Self {
        let shown = format!("{file}: {message}");
        Self { is_error: true, file: file.to_owned(), place: None, message, shown }
    }

    /// An error of a start that shows at this word.
    pub(super) fn error(word: &Token, message: String) -> Self {
        let error = word.error(message);
        Self::at(true, error.span(), error.message().to_owned(), error.to_string())
    }

    /// Something that loads and may surprise.
    pub(super) fn warning(word: &Token, message: String) -> Self {
        Self::from(Warning { span: word.span.clone(), message })
    }

    fn at(is_error: bool, span: &Span, message: String, shown: String) -> Self {
        Self { is_error, file: span.file_name().to_owned(), place: Some((span.line, span.column)), message, shown }
    }
}

impl From<Warning> for Finding {
    fn from(Warning { span, message }: Warning) -> Self {
        let shown = format!("{}:{}:{}: warning: {message}", span.file_name(), span.line, span.column);
        Self::at(false, &span, message, shown)
    }
}

/// All that is wrong with a file.
pub(super) fn of_errors(file: &str, errors: &Errors) -> Vec<Finding> {
    if errors.all.is_empty() {
        return vec![Finding::of_file(file, errors.to_string())];
    }
    let finding =
        |error: &crate::corefile::Error| Finding::at(true, error.span(), error.message().to_owned(), error.to_string());
    errors.all.iter().map(finding).collect()
}

/// The findings in the form that is asked for.
pub(super) fn text(findings: &[Finding], form: Form) -> String {
    match form {
        Form::Text => plain(findings),
        Form::Json => format!("{}\n", json!(findings.iter().map(object).collect::<Vec<_>>())),
        Form::Github => findings.iter().map(command).collect(),
    }
}

fn plain(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let gap = if finding.is_error { "\n" } else { "" };
        _ = writeln!(text, "{}{gap}", finding.shown);
    }
    let errors = findings.iter().filter(|finding| finding.is_error).count();
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    _ = writeln!(text, "{}, {}", count(errors, "error"), count(findings.len() - errors, "warning"));
    text
}

const fn level(finding: &Finding) -> &'static str {
    if finding.is_error { "error" } else { "warning" }
}

fn object(finding: &Finding) -> serde_json::Value {
    let (line, column) = finding.place.unzip();
    let Finding { file, message, .. } = finding;
    json!({"level": level(finding), "file": file, "line": line, "column": column, "message": message})
}

fn command(finding: &Finding) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let place = finding.place.map_or(String::new(), |(line, column)| format!(",line={line},col={column}"));
    format!("::{} file={}{place}::{}\n", level(finding), property(&finding.file), data(&finding.message))
}
