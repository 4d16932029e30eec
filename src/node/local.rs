use std::{fmt, net::IpAddr};

/// The addresses that the node cache listens on: at least one, each once, both families allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddresses(Vec<IpAddr>);

/// What is wrong with a list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// Nothing is there.
    #[error("no address: name those to listen on, such as `169.254.20.53,10.96.0.10`")]
    None,
    /// A word is no IP address.
    #[error("`{0}` is not an IP address")]
    NotAnAddress(String),
    /// No host can have this address for itself.
    #[error("`{0}` cannot be the address of a device")]
    NotOfADevice(IpAddr),
    /// It stands there twice.
    #[error("`{0}` stands there twice")]
    Twice(IpAddr),
}

impl LocalAddresses {
    /// Reads a list with commas. Blanks around an address do no harm.
    ///
    /// # Errors
    /// The first word that is no address which a device can have.
    pub fn parse(text: &str) -> Result<Self, LocalError> {
        let mut found = Vec::new();
        if text.trim().is_empty() {
            return Err(LocalError::None);
        }
        for word in text.split(',').map(str::trim) {
            let address: IpAddr = word.parse().map_err(|_| LocalError::NotAnAddress(word.to_owned()))?;
            let mapped = address.to_canonical() != address;
            if address.is_unspecified() || address.is_multicast() || mapped {
                return Err(LocalError::NotOfADevice(address));
            }
            if found.contains(&address) {
                return Err(LocalError::Twice(address));
            }
            found.push(address);
        }
        Ok(Self(found))
    }

    /// The addresses in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.0.iter().copied()
    }
}

/// Joined by blanks, as `bind` takes them.
impl fmt::Display for LocalAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.0.iter().enumerate() {
            write!(f, "{}{address}", if number > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_addresses() {
        for (text, expected) in [
            ("169.254.20.53", "169.254.20.53"),
            ("169.254.20.53,10.96.0.10", "169.254.20.53 10.96.0.10"),
            ("169.254.20.53, fd00::53", "169.254.20.53 fd00::53"),
        ] {
            assert_eq!(LocalAddresses::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for (text, error) in [
            ("", "no address: name those to listen on, such as `169.254.20.53,10.96.0.10`"),
            ("169.254.20.53,", "`` is not an IP address"),
            ("169.254.20.53:53", "`169.254.20.53:53` is not an IP address"),
            ("169.254.20.530", "`169.254.20.530` is not an IP address"),
            ("0.0.0.0", "`0.0.0.0` cannot be the address of a device"),
            ("224.0.0.1", "`224.0.0.1` cannot be the address of a device"),
            ("::ffff:10.0.0.1", "`::ffff:10.0.0.1` cannot be the address of a device"),
            ("10.0.0.1,10.0.0.1", "`10.0.0.1` stands there twice"),
        ] {
            assert_eq!(LocalAddresses::parse(text).unwrap_err().to_string(), error, "{text}");
        }
    }
}
