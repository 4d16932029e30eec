//! `--default-params`: one JSON object whose values become the data of a ConfigMap.

use std::collections::BTreeMap;

use super::{
    json::{self, Fault, Node, Value},
    params::{Data, Refusal},
};

/// Reads the flag. Each value is written out anew as Go does: compact, keys in order, numbers in their shortest form. A
/// value that is a string holds JSON itself and is taken as it is.
///
/// # Errors
/// No JSON, or no object.
pub fn read(flag: &str, text: &str) -> Result<Data, Refusal> {
    let refusal = |fault: Fault| Refusal::at(flag, text, &fault);
    let node = json::parse(text).map_err(refusal)?;
    let entries = match node.value {
        Value::Object(entries) => entries,
        Value::Null => Vec::new(),
        other => {
            let message = format!("expected an object such as {{\"linear\":{{...}}}}, found {}", other.describe());
            return Err(refusal(Fault::new(node.at, message)));
        }
    };
    let mut data = Data::new();
    for (key, node) in entries {
        let value = match node.value {
            Value::Text(text) => text,
            _ => {
                let mut written = String::new();
                write(&node, &mut written).map_err(refusal)?;
                written
            }
        };
        data.insert(key, value);
    }
    Ok(data)
}

fn write(node: &Node, to: &mut String) -> Result<(), Fault> {
    match &node.value {
        Value::Null => to.push_str("null"),
        Value::Bool(value) => to.push_str(if *value { "true" } else { "false" }),
        Value::Number(text) => {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            let number = number.ok_or_else(|| Fault::new(node.at, format!("{text} is too large")))?;
            to.push_str(&shortest(number));
        }
        Value::Text(text) => quote(text, to),
        Value::List(items) => {
            to.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    to.push(',');
                }
                write(item, to)?;
            }
            to.push(']');
        }
        Value::Object(entries) => {
            // The last of repeated keys.
            let sorted: BTreeMap<&String, &Node> = entries.iter().map(|(key, node)| (key, node)).collect();
            to.push('{');
            for (place, (key, node)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    to.push(',');
                }
                quote(key, to);
                to.push(':');
                write(node, to)?;
            }
            to.push('}');
        }
    }
    Ok(())
}

/// A number as Go writes it: an exponent only below 1e-6 and from 1e21 on.
fn shortest(number: f64) -> String {
    let size = number.abs();
    if size != 0. && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        return if size >= 1e21 { text.replace('e', "e+") } else { text };
    }
    number.to_string()
}

fn quote(text: &str, to: &mut String) {
    to.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => to.extend(['\\', character]),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            '\0'..='\u{1F}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                to.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => to.push(other),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_out_anew() {
        for (text, key, value) in [
            (
                r#"{"linear":{"nodesPerReplica":16, "min" : 1e2,"coresPerReplica":256.0,"preventSinglePointFailure":true}}"#,
                "linear",
                r#"{"coresPerReplica":256,"min":100,"nodesPerReplica":16,"preventSinglePointFailure":true}"#,
            ),
            (r#"{"ladder":{"nodesToReplicas":[[1, 1],[ 2,2]]}}"#, "ladder", r#"{"nodesToReplicas":[[1,1],[2,2]]}"#),
            (r#"{"linear":"{\"min\": 2.0}"}"#, "linear", r#"{"min": 2.0}"#),
            (r#"{"a":[1e21,1e-7,0.5,-0,"<é\u0001\"",null]}"#, "a", r#"[1e+21,1e-7,0.5,-0,"\u003cé\u0001\"",null]"#),
            (r#"{"a":{"b":1,"b":2}}"#, "a", r#"{"b":2}"#),
        ] {
            assert_eq!(read("--default-params", text).unwrap(), Data::from([(key.to_owned(), value.to_owned())]));
        }
    }

    #[test]
    fn no_entries_are_no_error_and_no_object_is_one() {
        assert_eq!(read("--params", "{}"), Ok(Data::new()));
        assert_eq!(read("--params", " null "), Ok(Data::new()));
        for (text, error) in [
            ("[]", "--params:1:1: expected an object such as {\"linear\":{...}}, found a list"),
            ("linear", "--params:1:1: expected a value, found `l`"),
            ("{\"linear\":{},}", "--params:1:14: expected a key in quotes, found `}`"),
            ("{\"linear\":[1e999]}", "--params:1:12: 1e999 is too large"),
        ] {
            assert_eq!(read("--params", text).unwrap_err().message, error);
        }
    }
}
