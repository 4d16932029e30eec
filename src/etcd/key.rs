use std::fmt::Write as _;

use crate::wire::Name;

/// Labels that stand for any other.
const ANY: [&[u8]; 2] = [b"*", b"any"];

/// What all keys begin with: `/skydns`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Root(String);

/// Where the services of a name are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The key of the name, or of what stands above its first wildcard.
    pub(super) key: String,
    /// What keys must look like below it, if there is a wildcard: a label for each part, `None` for any.
    pub(super) pattern: Option<Vec<Option<String>>>,
}

impl Root {
    /// From the words of a Corefile, with or without a leading `/`.
    pub fn new(path: &str) -> Self {
        let parts = path.split('/').filter(|part| !part.is_empty());
        Self(parts.fold(String::new(), |root, part| root + "/" + part))
    }

    /// The key of a zone: `/skydns/local/skydns` for `skydns.local`.
    pub(super) fn of_zone(&self, zone: &Name) -> String {
        let labels: Vec<&[u8]> = zone.labels().collect();
        labels.iter().rev().fold(self.0.clone(), |key, label| key + "/" + &text(label))
    }

    /// The place of a name that is `above` labels below its zone. `None` if no key can belong to it: a label holds what parts
    /// keys.
    pub(super) fn place(&self, name: &Name, above: usize) -> Option<Place> {
        let labels: Vec<&[u8]> = name.labels().collect();
        if labels.iter().any(|label| label.contains(&b'/') || *label == b"." || *label == b"..") {
            return None;
        }
        let own = &labels[..above.min(labels.len())];
        let is_any = |label: &[u8]| ANY.iter().any(|any| any.eq_ignore_ascii_case(label));
        let wild = own.iter().rposition(|label| is_any(label));
        let fixed = wild.map_or(0, |wild| wild + 1);
        let key = labels[fixed..].iter().rev().fold(self.0.clone(), |key, label| key + "/" + &text(label));
        let pattern = wild.map(|wild| {
            let part = |label: &&[u8]| (!is_any(label)).then(|| text(label));
            labels[..=wild].iter().rev().map(part).collect()
        });
        Some(Place { key, pattern })
    }

    /// The name that a key stands for.
    pub(super) fn name(&self, key: &str) -> Option<Name> {
        let parts = key.strip_prefix(self.0.as_str())?.split('/').filter(|part| !part.is_empty());
        let mut labels: Vec<&str> = parts.collect();
        labels.reverse();
        if labels.is_empty() { Some(Name::root()) } else { Name::parse(&labels.join(".")).ok() }
    }
}

impl Place {
    /// Whether a key, which begins as the place's own, fits the wildcards.
    pub(super) fn fits(&self, key: &str) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let Some(below) = key.strip_prefix(self.key.as_str()) else { return false };
        let mut parts = below.split('/').skip(1);
        pattern
            .iter()
            .all(|wanted| parts.next().is_some_and(|part| wanted.as_deref().is_none_or(|wanted| wanted == part)))
    }
}

/// A label as keys have it: in small letters, with the escapes of presentation form.
fn text(label: &[u8]) -> String {
    let mut text = String::with_capacity(label.len());
    for octet in label.to_ascii_lowercase() {
        let character = char::from(octet);
        _ = match octet {
            b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => write!(text, "\\{character}"),
            b'!'..=b'~' => write!(text, "{character}"),
            _ => write!(text, "\\{octet:03}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, above: usize) -> Option<Place> {
        Root::new("skydns").place(&Name::parse(name).unwrap(), above)
    }

    #[test]
    fn names_and_keys() {
        for (path, zone, key) in [
            ("/skydns", "skydns.local", "/skydns/local/skydns"),
            ("skydns", "Skydns.LOCAL", "/skydns/local/skydns"),
            ("/a//b/", "test", "/a/b/test"),
            ("/", "test", "/test"),
            ("/skydns", ".", "/skydns"),
        ] {
            let (root, zone) = (Root::new(path), Name::parse(zone).unwrap());
            assert_eq!(root.of_zone(&zone), key);
            assert_eq!(root.name(key), Some(zone), "{key}");
        }
        let root = Root::new("/skydns");
        assert_eq!(root.name("/skydns/test/a.b/"), Name::parse("a.b.test").ok());
        assert_eq!(root.name(&format!("/skydns/{}", "x".repeat(64))), None);
    }

    #[test]
    fn places_of_names() {
        assert_eq!(place("A.skydns.test", 1), Some(Place { key: "/skydns/test/skydns/a".to_owned(), pattern: None }));
        assert_eq!(place(r"a\.b\032c.test", 1).unwrap().key, r"/skydns/test/a\.b\ c");
        assert_eq!(place("a/b.test", 1), None, "parts of keys are labels");
        assert_eq!(place(r"\.\..test", 1), None, "nobody climbs out of the root");
    }

    #[test]
    fn wildcards_stand_for_one_label_each() {
        let prod = place("prod.*.skydns.test", 2).unwrap();
        assert_eq!(prod.key, "/skydns/test/skydns");
        for (key, fits) in [
            ("/skydns/test/skydns/region1/prod", true),
            ("/skydns/test/skydns/region1/prod/a/b", true),
            ("/skydns/test/skydns/region1/dev/a", false),
            ("/skydns/test/skydns/region1", false),
            ("/skydns/test/skydns", false),
        ] {
            assert_eq!(prod.fits(key), fits, "{key}");
        }
        assert_eq!(place("prod.ANY.skydns.test", 2), Some(prod));
        assert_eq!(place("x.any.test", 1).unwrap().pattern, None, "a label of the zone is itself");
    }
}
