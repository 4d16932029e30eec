use std::collections::BTreeSet;

use regex::bytes::Captures;

use crate::corefile::{Error, Token};

/// The name that takes the place of what a regular expression has matched: `{1}.service.{2}.consul`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// What a group has matched; 0 is the whole match.
    Group(usize),
    /// What another plugin knows of the query: `{kubernetes/client-namespace}`.
    Label(String),
}

impl Template {
    /// Reads the text for an expression with this many groups. A number that no group has is text, as in CoreDNS.
    pub(super) fn read(word: &Token, groups: usize, labels: bool) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut used = BTreeSet::new();
        let mut rest = word.text.as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((inside, next)) = behind.split_once('}') else { break };
            pieces.push(Piece::Text(before.to_ascii_lowercase()));
            let number = inside.parse::<usize>().ok().filter(|_| inside.bytes().all(|octet| octet.is_ascii_digit()));
            used.extend(number.filter(|&number| number > 0));
            pieces.push(match number {
                Some(number) if number <= groups => Piece::Group(number),
                None if labels && inside.contains('/') => Piece::Label(inside.to_owned()),
                _ => Piece::Text(format!("{{{inside}}}").to_ascii_lowercase()),
            });
            rest = next;
        }
        if used.len() > groups {
            let many = used.len();
            return Err(word.error(format!("asks for more groups ({many}) than the regular expression has ({groups})")));
        }
        pieces.push(Piece::Text(rest.to_ascii_lowercase()));
        if !word.text.ends_with('.') {
            pieces.push(Piece::Text(".".to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The text; `None` if a label is not there, or is empty.
    pub(super) fn fill(&self, groups: &Captures<'_>, label: impl Fn(&str) -> Option<String>) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(64);
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.extend_from_slice(piece.as_bytes()),
                Piece::Group(number) => {
                    text.extend_from_slice(groups.get(*number).map_or(b"".as_slice(), |group| group.as_bytes()));
                }
                Piece::Label(name) => {
                    let value = label(name).filter(|value| !value.is_empty())?;
                    text.extend_from_slice(value.to_ascii_lowercase().as_bytes());
                }
            }
        }
        Some(text)
    }
}
