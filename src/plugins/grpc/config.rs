use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::runtime::Handle;

use super::{
    metrics::Metrics,
    proxy::{Member, Proxy},
};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza, Token},
    upstream::{Connecting, Policy, ServerName, Tls, TlsFiles, Upstream, Way, resolv_conf},
    wire::Name,
};

/// Upstreams of the directive, those of files included.
const MOST_UPSTREAMS: usize = 15;
/// The port where none is written, as CoreDNS has it.
const PORT: u16 = 53;
const PROPERTIES: [&str; 5] = ["except", "tls", "tls_servername", "policy", "fallthrough"];

/// The `grpc` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    from: Name,
    to: Vec<To>,
    except: Vec<String>,
    /// Encrypted with this; `None` = not encrypted.
    tls: Option<TlsFiles>,
    server_name: Option<ServerName<'static>>,
    policy: Way,
    fallthrough: ZoneSet,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    Address(SocketAddr),
    /// A file in the format of resolv.conf.
    File(PathBuf),
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let mut args = instance.args();
        let word = args.require("a zone")?;
        // A network that is no whole reverse zone is several; CoreDNS takes the first as well.
        let zone = word.zones()?.into_iter().next().unwrap_or_else(|| ".".to_owned());
        let from = Name::parse(&zone).map_err(|error| word.error(error.to_string()))?;
        args.clone().require("an address or a file to forward to")?;
        let words = args.rest();
        if let Some(surplus) = words.get(MOST_UPSTREAMS) {
            return Err(surplus.error(format!("{MOST_UPSTREAMS} upstreams are the most")));
        }
        let to = words.iter().map(To::read).collect::<Result<_, _>>()?;
        let mut config = Self {
            from,
            to,
            except: Vec::new(),
            tls: None,
            server_name: None,
            policy: Way::Random,
            fallthrough: ZoneSet::default(),
        };
        for line in &instance.lines {
            config.property(line).map_err(|error| error.within(&line.word.text))?;
        }
        Ok(config)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        match line.word.text.as_str() {
            "except" => {
                line.args().require("a zone")?;
                self.except.extend(line.args().zones()?);
            }
            "tls" => self.tls = Some(TlsFiles::named(line.args().paths()?)),
            "tls_servername" => {
                let word = line.args().one("a name")?;
                let name = ServerName::try_from(word.text.clone());
                let name = name.map_err(|_| word.error(format!("`{}` is no host name", word.text)))?;
                self.server_name = Some(name);
                self.tls.get_or_insert_default();
            }
            "policy" => self.policy = line.args().one("a policy")?.choose("policy", &Way::WORDS)?,
            "fallthrough" => self.fallthrough = ZoneSet::read(&line.args().fallthrough()?, &line.word)?,
            _ => return Err(line.unknown(&PROPERTIES)),
        }
        Ok(())
    }

    /// The addresses, each once.
    fn addresses(&self) -> Result<Vec<SocketAddr>, BuildError> {
        let mut found = Vec::new();
        for to in &self.to {
            let addresses = match to {
                To::Address(address) => vec![*address],
                To::File(file) => named_by(file)?,
            };
            for address in addresses {
                if !found.contains(&address) {
                    found.push(address);
                }
            }
        }
        match found.len() {
            0 => Err(BuildError("no upstream is left to forward to".to_owned())),
            1..=MOST_UPSTREAMS => Ok(found),
            count => Err(BuildError(format!("{MOST_UPSTREAMS} upstreams are the most, these are {count}"))),
        }
    }
}

impl To {
    fn read(word: &Token) -> Result<Self, Error> {
        if let Some((scheme, _)) = word.text.split_once("://") {
            return Err(word.error(match scheme {
                "unix" => "sockets of files are not built into seamark".to_owned(),
                _ => format!("`{scheme}://` does not belong here: `tls` in the block encrypts"),
            }));
        }
        match word.socket_address(PORT) {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => Ok(Self::File(PathBuf::from(&word.text))),
        }
    }
}

fn named_by(file: &Path) -> Result<Vec<SocketAddr>, BuildError> {
    let text = std::fs::read(file).map_err(|error| {
        BuildError(format!("`{}` is neither an address nor a file that can be read: {error}", file.display()))
    })?;
    Ok(resolv_conf::nameservers(&String::from_utf8_lossy(&text)))
}

impl Build for Config {
    fn role(&self) -> Role {
        let beyond = self.except.iter().filter_map(|zone| Name::parse(zone).ok());
        let beyond = beyond.chain(self.fallthrough.iter().copied()).collect();
        Role::answers("asks other name servers in calls of gRPC", ZoneSet::new(vec![self.from]), beyond)
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let addresses = self.addresses()?;
        let Self { from, except, tls, server_name, policy, fallthrough, .. } = *self;
        let tls = tls
            .map(|files| Tls::load(&files.placed(|file| block.path(file))))
            .transpose()
            .map_err(|error| BuildError(error.to_string()))?;
        let registry = Arc::clone(block.registry());
        let member = |address: SocketAddr| {
            let name = server_name.clone().unwrap_or_else(|| ServerName::from(address.ip()));
            let key = format!("grpc {address} {tls:?} {name:?}");
            // Connections outlive a reload.
            block.shared(&key, || {
                let secure = tls.as_ref().map(|tls| (tls, name));
                let upstream = Upstream::grpc(address, secure, &Connecting::default(), Handle::current(), &registry);
                Ok(Member { upstream, metrics: Metrics::register(&registry, address) })
            })
        };
        let members = addresses.into_iter().map(member).collect::<Result<_, _>>()?;
        let except = ZoneSet::parse(&except).map_err(|error| BuildError(error.to_string()))?;
        let (proxy, watchers) = (Arc::new(Proxy { members, policy: Policy::new(policy) }), block.watchers());
        block.link(super::Grpc { from, except, fallthrough, proxy, watchers });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Config, String> {
        let stanza = corefile::stanza(text);
        Config::read(&stanza).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn upstreams_and_properties() {
        let plain = read("grpc Example.ORG 192.0.2.1 [2001:db8::1]:9005 /etc/resolv.conf").unwrap();
        let address = |text: &str| To::Address(text.parse().unwrap());
        assert_eq!(plain.from.to_string(), "example.org.");
        let file = To::File("/etc/resolv.conf".into());
        assert_eq!(plain.to, [address("192.0.2.1:53"), address("[2001:db8::1]:9005"), file]);
        assert_eq!((plain.tls, plain.policy), (None, Way::Random));
        let full = read(
            "grpc . 192.0.2.1 {\nexcept a.test b.test\ntls c k ca\ntls_servername dns.test\npolicy sequential\n\
             fallthrough c.test\n}",
        )
        .unwrap();
        assert_eq!((full.except, full.policy), (vec!["a.test.".to_owned(), "b.test.".to_owned()], Way::Sequential));
        assert_eq!(
            full.tls,
            Some(TlsFiles { identity: Some(("c".into(), "k".into())), authorities: Some("ca".into()) })
        );
        assert!(full.server_name.is_some() && full.fallthrough.contains(&Name::parse("x.c.test").unwrap()));
        for line in ["tls", "tls_servername dns.test"] {
            let config = read(&format!("grpc . 192.0.2.1 {{\n{line}\n}}")).unwrap();
            assert_eq!(config.tls, Some(TlsFiles::default()), "{line}");
        }
    }

    #[test]
    fn what_is_wrong() {
        let many: Vec<String> = (1..=16).map(|number| format!("192.0.2.{number}")).collect();
        for (text, message) in [
            ("grpc", "expected a zone"),
            ("grpc .", "expected an address or a file to forward to"),
            ("grpc . unix:///run/grpc.sock", "sockets of files are not built into seamark"),
            ("grpc . tls://192.0.2.1", "`tls://` does not belong here: `tls` in the block encrypts"),
            (&format!("grpc . {}", many.join(" ")), "15 upstreams are the most"),
            ("grpc . ::1 {\nexcept\n}", "except: expected a zone"),
            ("grpc . ::1 {\ntls a b c d\n}", "tls: unexpected argument `d`"),
            ("grpc . ::1 {\ntls_servername a..b\n}", "tls_servername: `a..b` is no host name"),
            (
                "grpc . ::1 {\npolicy least\n}",
                "policy: unknown policy `least`; expected one of: random, round_robin, sequential",
            ),
            ("grpc . ::1 {\nexpect a.test\n}", "unknown property `expect`; did you mean `except`?"),
            ("grpc . ::1\ngrpc a.test ::2", "may stand only once in a server block"),
        ] {
            assert_eq!(read(text).err().as_deref(), Some(message), "{text}");
        }
    }
}
