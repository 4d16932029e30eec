use std::{collections::HashMap, net::IpAddr, path::Path};

use crate::wire::Name;

/// Weights of addresses by name, from a file:
///
/// ```text
/// www.example.org
///   192.0.2.1 3
///   192.0.2.2        # weight 1
/// ```
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Weights(HashMap<Name, Vec<(IpAddr, u32)>>);

impl Weights {
    /// Reads the file.
    ///
    /// # Errors
    /// File and line of what is wrong.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|(line, error)| format!("{}:{line}: {error}", path.display()))
    }

    /// Reads the text of a file; an error comes with its line.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut weights = Self::default();
        let mut name = None;
        for (number, line) in text.lines().enumerate() {
            let problem = |text: String| (number + 1, text);
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            match (words.as_slice(), words.first().and_then(|word| word.parse::<IpAddr>().ok())) {
                ([], _) => {}
                ([_, rest @ ..], Some(address)) => {
                    let weight = weight(rest).map_err(problem)?;
                    let name = name.ok_or_else(|| problem("an address stands before any name".to_owned()))?;
                    weights.0.entry(name).or_default().push((address, weight));
                }
                ([word], None) => {
                    let parsed = Name::parse(word).map_err(|error| problem(format!("`{word}`: {error}")))?;
                    if weights.0.insert(parsed, Vec::new()).is_some() {
                        return Err(problem(format!("`{word}` stands here a second time")));
                    }
                    name = Some(parsed);
                }
                ([word, ..], None) => return Err(problem(format!("`{word}` is no address"))),
            }
        }
        Ok(weights)
    }

    /// Which of these addresses comes first: each with the chance of its weight; one that is not listed counts 1.
    /// `None` if the name is not listed.
    pub(super) fn choose(&self, name: &Name, addresses: &[IpAddr], random: u32) -> Option<usize> {
        let listed = self.0.get(name)?;
        let weight =
            |address: &IpAddr| listed.iter().find(|(known, _)| known == address).map_or(1, |(_, weight)| *weight);
        let total: u32 = addresses.iter().map(weight).sum();
        let mut left = random.checked_rem(total)?;
        addresses.iter().position(|address| {
            let weight = weight(address);
            let chosen = left < weight;
            left = left.saturating_sub(weight);
            chosen
        })
    }
}

fn weight(words: &[&str]) -> Result<u32, String> {
    match words {
        [] => Ok(1),
        [word] => {
            let weight = word.parse().ok().filter(|weight| (1..=255).contains(weight));
            weight.ok_or_else(|| format!("expected a weight between 1 and 255, found `{word}`"))
        }
        [_, surplus, ..] => Err(format!("unexpected word `{surplus}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_first_by_their_weights() {
        let weights =
            Weights::parse("# two\nwww.example.org\n 192.0.2.1 3\n 192.0.2.2 # one\nother.example.org\n").unwrap();
        let addresses: Vec<IpAddr> = ["192.0.2.2", "192.0.2.1", "192.0.2.9"].map(|a| a.parse().unwrap()).to_vec();
        let name = Name::parse("WWW.example.org").unwrap();
        let chosen: Vec<_> = (0..5).map(|random| weights.choose(&name, &addresses, random)).collect();
        assert_eq!(chosen, [Some(0), Some(1), Some(1), Some(1), Some(2)]);
        assert_eq!(weights.choose(&Name::parse("x.org").unwrap(), &addresses, 0), None);
        assert_eq!(weights.choose(&name, &[], 0), None);
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, line, part) in [
            (" 192.0.2.1\n", 1, "before any name"),
            ("a\n 192.0.2.1 0\n", 2, "between 1 and 255"),
            ("a\n 192.0.2.1 1 2\n", 2, "unexpected word"),
            ("a\n\n192.0.2 1\n", 3, "no address"),
            ("a..b\n", 1, "empty label"),
            ("a\na\n", 2, "second time"),
        ] {
            let (found, error) = Weights::parse(text).unwrap_err();
            assert!(found == line && error.contains(part), "{text:?}: {found}: {error}");
        }
    }
}
