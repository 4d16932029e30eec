//! Rules of `rewrite`.

use super::{Finding, Picture};
use crate::corefile::Token;

/// Rules behind one that is about every query, and rules that are about none.
pub(super) fn never_met(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut stopped: Option<u32> = None;
    for instance in picture.instances("rewrite") {
        let lines = instance.lines.iter().flat_map(|line| std::iter::once(&line.word).chain(&line.args));
        let mut words: Vec<&Token> = instance.args.iter().chain(lines).collect();
        if let Some(line) = stopped {
            let text = format!("this rule is never met: the one of line {line} is about every query and stops");
            findings.push(Finding::warning(&instance.name, text));
            continue;
        }
        let goes_on = words.first().is_some_and(|word| word.text.eq_ignore_ascii_case("continue"));
        if goes_on || words.first().is_some_and(|word| word.text.eq_ignore_ascii_case("stop")) {
            words.remove(0);
        }
        let texts: Vec<String> = words.iter().map(|word| word.text.to_ascii_lowercase()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if let ["cname", "suffix", from, _] = texts.as_slice()
            && !from.ends_with('.')
        {
            let text = format!("no alias ends like `{from}`: the last dot is missing");
            findings.push(Finding::warning(words[2], text));
        }
        if !goes_on && matches!(texts.as_slice(), ["cname", ..] | ["edns0", _, "set", ..]) {
            stopped = Some(instance.name.span.line);
        }
    }
    findings
}
