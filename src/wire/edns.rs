use std::{borrow::Cow, net::IpAddr};

use smallvec::SmallVec;

/// Option bytes of an OPT record, uninterpreted (RFC 6891 section 6.1.2). Short ones need no heap.
pub type Options = SmallVec<[u8; 32]>;

const EDE_OPTION: u16 = 15;

/// What the OPT record of a message says (RFC 6891).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns {
    /// The largest UDP message that the sender can take, in octets, as it was sent.
    pub udp_size: u16,
    /// EDNS version; only 0 exists.
    pub version: u8,
    /// DO: DNSSEC records are welcome (RFC 3225).
    pub dnssec_ok: bool,
    /// Upper eight bits of an extended response code.
    pub extended_rcode: u8,
    /// The options as they stood in the message.
    pub options: Options,
}

impl Edns {
    /// Code of the option that asks which server this is (RFC 5001).
    pub const NSID: u16 = 3;

    /// Code of the option that says on whose behalf somebody asks (RFC 7871).
    pub const CLIENT_SUBNET: u16 = 8;

    /// Code of the option that says how long a TCP connection may rest (RFC 7828).
    pub const TCP_KEEPALIVE: u16 = 11;
    /// Code of the option that hides how long a message is (RFC 7830).
    pub const PADDING: u16 = 12;

    /// An OPT record without options.
    pub fn new(udp_size: u16, dnssec_ok: bool) -> Self {
        Self { udp_size, version: 0, dnssec_ok, extended_rcode: 0, options: Options::new() }
    }

    pub(super) fn from_record(class: u16, ttl: u32, data: &[u8]) -> Self {
        let [extended_rcode, version, flags, _] = ttl.to_be_bytes();
        Self {
            udp_size: class,
            version,
            dnssec_ok: flags & 0x80 != 0,
            extended_rcode,
            options: Options::from_slice(data),
        }
    }

    pub(super) fn write_server_id(id: &[u8], out: &mut SmallVec<[u8; 64]>) {
        out.extend_from_slice(&Self::NSID.to_be_bytes());
        out.extend_from_slice(&(id.len() as u16).to_be_bytes());
        out.extend_from_slice(id);
    }

    /// The extended DNS error among the options, if there is one.
    pub fn extended_error(&self) -> Option<Ede> {
        let data = self.option(EDE_OPTION)?;
        let (code, text) = data.split_first_chunk::<2>()?;
        Some(Ede { code: u16::from_be_bytes(*code), text: String::from_utf8_lossy(text).into_owned().into() })
    }

    /// The data of the first option with this code.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.each_option().find(|(known, _)| *known == code).map(|(_, data)| data)
    }

    /// The address on whose behalf somebody asks, zeros in the place of what is not said of it (RFC 7871 section 6).
    pub fn client_subnet(&self) -> Option<IpAddr> {
        let (&[high, low, _, _], given) = self.option(Self::CLIENT_SUBNET)?.split_first_chunk::<4>()?;
        let octet = |at: usize| given.get(at).copied().unwrap_or_default();
        match (u16::from_be_bytes([high, low]), given.len()) {
            (1, 0..=4) => Some(std::array::from_fn::<u8, 4, _>(octet).into()),
            (2, 0..=16) => Some(std::array::from_fn::<u8, 16, _>(octet).into()),
            _ => None,
        }
    }

    /// Code and data of each option; ends at one that is cut off.
    pub fn each_option(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = self.options.as_slice();
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_first_chunk::<4>()?;
            let data = behind.get(..usize::from(u16::from_be_bytes([head[2], head[3]])))?;
            rest = &behind[data.len()..];
            Some((u16::from_be_bytes([head[0], head[1]]), data))
        })
    }

    /// Puts an option behind the others. Data longer than an option can be is cut.
    pub fn add_option(&mut self, code: u16, data: &[u8]) {
        write_option(&mut self.options, code, data);
    }

    /// Gives the first option with this code other data, in its place; says whether there is one.
    pub fn replace_option(&mut self, code: u16, data: &[u8]) -> bool {
        let mut options = Options::new();
        let mut found = false;
        for (known, old) in self.each_option() {
            let first = known == code && !found;
            found |= first;
            write_option(&mut options, known, if first { data } else { old });
        }
        self.options = options;
        found
    }

    /// Takes out all options with this code; says whether there was one.
    pub fn remove_option(&mut self, code: u16) -> bool {
        let mut options = Options::new();
        let mut found = false;
        for (known, data) in self.each_option() {
            if known == code {
                found = true;
            } else {
                write_option(&mut options, known, data);
            }
        }
        self.options = options;
        found
    }
}

fn write_option(options: &mut Options, code: u16, data: &[u8]) {
    let data = &data[..data.len().min(usize::from(u16::MAX))];
    options.extend_from_slice(&code.to_be_bytes());
    options.extend_from_slice(&(data.len() as u16).to_be_bytes());
    options.extend_from_slice(data);
}

/// Extended DNS error: why an answer is what it is (RFC 8914).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ede {
    /// INFO-CODE from the IANA registry.
    pub code: u16,
    /// EXTRA-TEXT for a person; may be empty.
    pub text: Cow<'static, str>,
}

impl Ede {
    /// The answer comes from an expired cache entry.
    pub const STALE_ANSWER: u16 = 3;
    /// The server does not answer such queries.
    pub const BLOCKED: u16 = 15;
    /// The answer was taken away, as the client, or who runs its network, wants it.
    pub const FILTERED: u16 = 17;
    /// The server is not able to answer yet.
    pub const NOT_READY: u16 = 14;
    /// No authority for the name could be reached.
    pub const NO_REACHABLE_AUTHORITY: u16 = 22;
    /// A network error towards whoever was asked.
    pub const NETWORK_ERROR: u16 = 23;

    /// An error with a text that is known when the program is written.
    pub const fn new(code: u16, text: &'static str) -> Self {
        Self { code, text: Cow::Borrowed(text) }
    }

    pub(super) fn write(&self, out: &mut SmallVec<[u8; 64]>) {
        let text = &self.text.as_bytes()[..self.text.len().min(200)];
        out.extend_from_slice(&EDE_OPTION.to_be_bytes());
        out.extend_from_slice(&(text.len() as u16 + 2).to_be_bytes());
        out.extend_from_slice(&self.code.to_be_bytes());
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_whose_behalf() {
        // Family, lengths of both prefixes, and the address as far as it is said (RFC 7871 section 6).
        for (data, found) in [
            (&[0, 1, 24, 0, 192, 0, 2][..], Some("192.0.2.0")),
            (&[0, 1, 32, 0, 192, 0, 2, 7], Some("192.0.2.7")),
            (&[0, 1, 0, 0], Some("0.0.0.0")),
            (&[0, 2, 32, 0, 0x20, 1, 0xD, 0xB8], Some("2001:db8::")),
            (&[0, 1, 32, 0, 192, 0, 2, 7, 1], None),
            (&[0, 3, 0, 0], None),
            (&[0, 1, 0], None),
            (&[], None),
        ] {
            let mut edns = Edns::new(1232, false);
            edns.add_option(Edns::CLIENT_SUBNET, data);
            assert_eq!(edns.client_subnet(), found.map(|address| address.parse().unwrap()), "{data:?}");
        }
        assert_eq!(Edns::new(1232, false).client_subnet(), None);
    }
}
