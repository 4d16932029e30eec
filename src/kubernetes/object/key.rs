use std::{fmt, sync::Arc};

/// Namespace and name of a service or pod, in lower case: one text, which all who name the object share. Its first octet
/// is the length of the namespace.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Arc<str>);

/// What the first octet can say: a character of one octet. The API allows 63 octets (RFC 1123 labels).
const LONGEST_NAMESPACE: usize = 127;

impl Key {
    /// Of a namespace and a name. A namespace that no API server would take counts as none.
    pub fn new(namespace: &str, name: &str) -> Self {
        let namespace = if namespace.len() > LONGEST_NAMESPACE { "" } else { namespace };
        let mut text = String::with_capacity(1 + namespace.len() + name.len());
        text.push(char::from(namespace.len() as u8));
        text.push_str(&namespace.to_ascii_lowercase());
        text.push_str(&name.to_ascii_lowercase());
        Self(text.into())
    }

    fn split(&self) -> usize {
        1 + usize::from(self.0.as_bytes()[0])
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.0[1..self.split()]
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0[self.split()..]
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_and_name_in_small_letters() {
        for (namespace, name) in [("one", "web"), ("", "web"), ("one", ""), ("ONE", "Web"), ("äö", "ß")] {
            let key = Key::new(namespace, name);
            assert_eq!(key.namespace(), namespace.to_ascii_lowercase());
            assert_eq!(key.name(), name.to_ascii_lowercase());
        }
        assert_eq!(Key::new(&"x".repeat(128), "web"), Key::new("", "web"));
    }
}
