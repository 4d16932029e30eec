use std::collections::BTreeMap;

/// A label selector in Kubernetes' text form: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// What part of it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        parts(text).into_iter().map(requirement).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Missing(key) => !labels.contains_key(key),
        })
    }
}

/// Cuts at commas that are not in parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0i32);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let problem = || format!("`{part}` is no label selector");
    let key = |text: &str| {
        let text = text.trim();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        (!text.is_empty() && text.chars().all(fits)).then(|| text.to_owned()).ok_or_else(problem)
    };
    let value = |text: &str| Some(text.trim().to_owned()).filter(|text| is_value(text)).ok_or_else(problem);
    if let Some((left, right)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(key(left)?, vec![value(right)?]));
    }
    if let Some((left, right)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::In(key(left)?, vec![value(right)?]));
    }
    if let Some(missing) = part.strip_prefix('!') {
        return key(missing).map(Requirement::Missing);
    }
    if let Some((left, list)) = part.split_once('(') {
        let values = list.strip_suffix(')').ok_or_else(problem)?;
        let values = values.split(',').map(value).collect::<Result<_, _>>()?;
        let (name, operator) = left.trim().rsplit_once(char::is_whitespace).ok_or_else(problem)?;
        return match operator {
            "in" => Ok(Requirement::In(key(name)?, values)),
            "notin" => Ok(Requirement::NotIn(key(name)?, values)),
            _ => Err(problem()),
        };
    }
    key(part).map(Requirement::Exists)
}

/// Whether a label may have this value: up to 63 letters, digits, `-`, `_` and `.`, no sign at either end.
fn is_value(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    let fits = |c: char| ends(c) || matches!(c, '-' | '_' | '.');
    text.is_empty() || text.len() <= 63 && text.chars().all(fits) && text.starts_with(ends) && text.ends_with(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())]);
        for (text, matches) in [
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app != web", false),
            ("app in (db, web)", true),
            ("app notin (db, web)", false),
            ("other notin (x)", true),
            ("app", true),
            ("!app", false),
            ("!other,tier in (front)", true),
            ("", true),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(&labels), matches, "{text}");
        }
        for text in ["=x", "app in web", "a b", "app like (x)", "app in (x", "a=b=c", "a=-b", "a!=b c", "a in (b;c)"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
