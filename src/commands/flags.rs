use std::{collections::HashMap, process::ExitCode, str::FromStr};

/// A flag in Go's manner: `-name value`, `-name=value`, with one dash or two; a switch takes no value.
pub(super) struct Flag {
    /// Its name without the dash.
    pub(super) name: &'static str,
    /// What the value is, for the usage text; `None` for a switch.
    pub(super) value: Option<&'static str>,
    /// What it does.
    pub(super) help: &'static str,
}

/// What a command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed(HashMap<&'static str, String>);

impl Parsed {
    /// The value of a flag.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.value(name).is_some_and(is_true)
    }

    /// Whether a switch is on that is on unless it is said otherwise.
    pub(super) fn is_not_off(&self, name: &str) -> bool {
        self.value(name).is_none_or(is_true)
    }

    /// A whole number above zero.
    pub(super) fn number<T: FromStr + PartialEq + Default>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.value(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| *number != T::default());
        number.map(Some).ok_or_else(|| format!("flag `-{name}` needs a number, found `{text}`"))
    }

    /// `-dns.port`, which has a short form too: port of zones that name none.
    pub(super) fn port(&self) -> Result<u16, String> {
        let named = self.number("dns.port")?;
        Ok(match named {
            Some(port) => port,
            None => self.number("p")?.unwrap_or(53),
        })
    }

    /// `-workers`: as many as there are cores, but no more than `most`, unless it is said otherwise.
    pub(super) fn workers(&self, most: usize) -> Result<usize, String> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(self.number("workers")?.unwrap_or_else(|| cores().min(most)))
    }

    /// Whether `-log-format` says JSON.
    pub(super) fn json_log(&self) -> Result<bool, String> {
        match self.value("log-format") {
            None | Some("text") => Ok(false),
            Some("json") => Ok(true),
            Some(other) => Err(format!("flag `-log-format` takes `text` or `json`, found `{other}`")),
        }
    }
}

fn is_true(value: &str) -> bool {
    matches!(value, "true" | "1" | "t" | "T" | "TRUE" | "True")
}

/// Reads a command line.
///
/// # Errors
/// An unknown flag, a missing value, or an argument that is no flag.
pub(super) fn parse(flags: &'static [Flag], args: impl Iterator<Item = String>) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let Some(text) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).filter(|text| !text.is_empty())
        else {
            return Err(format!("unexpected argument `{arg}`"));
        };
        let (name, given) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let flag = flags.iter().find(|flag| flag.name == name).ok_or_else(|| format!("unknown flag `-{name}`"))?;
        let value = match (flag.value, given) {
            (_, Some(value)) => value,
            (None, None) => "true".to_owned(),
            (Some(what), None) => args.next().ok_or_else(|| format!("flag `-{name}` needs a value: {what}"))?,
        };
        parsed.0.insert(flag.name, value);
    }
    Ok(parsed)
}

/// Reads the arguments of a command. What is wrong is told, with the flags that there are, and ends with 2.
pub(super) fn read(flags: &'static [Flag], args: impl Iterator<Item = String>) -> Result<Parsed, ExitCode> {
    parse(flags, args).map_err(|error| {
        eprintln!("{error}\n{}", usage(flags));
        ExitCode::from(2)
    })
}

/// The flags with what they do, a line each.
pub(super) fn usage(flags: &[Flag]) -> String {
    flags
        .iter()
        .map(|flag| {
            let left = flag.value.map_or_else(|| format!("-{}", flag.name), |value| format!("-{} {value}", flag.name));
            let gap = if left.len() > 22 { "\n                         " } else { "" };
            format!("  {left:<22}{gap} {}\n", flag.help)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] =
        &[Flag { name: "conf", value: Some("FILE"), help: "" }, Flag { name: "quiet", value: None, help: "" }];

    #[test]
    fn one_dash_or_two_with_blank_or_equals_sign() {
        for (line, conf, quiet) in [
            ("-conf a -quiet", Some("a"), true),
            ("--conf=a --quiet=false", Some("a"), false),
            ("-quiet=true -conf=", Some(""), true),
            ("", None, false),
        ] {
            let parsed = parse(FLAGS, line.split_whitespace().map(str::to_owned)).unwrap();
            assert_eq!((parsed.value("conf"), parsed.is_on("quiet")), (conf, quiet), "{line}");
        }
        for (line, error) in [
            ("-nope", "unknown flag `-nope`"),
            ("-conf", "flag `-conf` needs a value: FILE"),
            ("stray", "unexpected argument `stray`"),
        ] {
            assert_eq!(parse(FLAGS, line.split_whitespace().map(str::to_owned)), Err(error.to_owned()));
        }
    }
}
