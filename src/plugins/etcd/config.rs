use std::{sync::Arc, time::Duration};

use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza, Token, duration},
    etcd::{Bounds, Endpoint, Etcd, Root, Source, answer::Policy},
    upstream::{Tls, TlsFiles},
    wire::Name,
};

const PROPERTIES: [&str; 8] =
    ["path", "endpoint", "credentials", "tls", "min-lease-ttl", "max-lease-ttl", "fallthrough", "no_apex_fallback"];

/// What CoreDNS takes and does nothing with.
const IGNORED: [&str; 3] = ["stubzones", "upstream", "debug"];

/// How long the server waits for the first copy.
const PATIENCE: Duration = Duration::from_secs(5);

/// The `etcd` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    zones: Vec<Name>,
    root: Root,
    endpoints: Vec<Endpoint>,
    credentials: Option<(String, String)>,
    tls: Option<TlsFiles>,
    policy: Policy,
    fallthrough: ZoneSet,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let zones = ZoneSet::read(&instance.args().zones_or(&keys.zones)?, &instance.name)?;
        let local = "http://localhost:2379".parse::<Endpoint>().map_err(|error| instance.error(error))?;
        let mut config = Self {
            zones: zones.iter().copied().collect(),
            root: Root::new("skydns"),
            endpoints: vec![local],
            credentials: None,
            tls: None,
            policy: Policy::default(),
            fallthrough: ZoneSet::default(),
        };
        for line in &instance.lines {
            config.property(line).map_err(|error| error.within(&line.word.text))?;
        }
        Ok(config)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        match line.word.text.as_str() {
            "path" => self.root = Root::new(&line.args().one("a path in etcd")?.text),
            "endpoint" => self.endpoints = endpoints(line)?,
            "credentials" => self.credentials = credentials(line)?,
            "tls" => self.tls = Some(TlsFiles::named(line.args().paths()?)),
            "min-lease-ttl" => {
                let least = seconds(line)?;
                self.policy.leases.least = if least == 0 { Bounds::default().least } else { least };
            }
            "max-lease-ttl" => {
                let most = seconds(line)?;
                self.policy.leases.most = if most == 0 { Bounds::default().most } else { most };
            }
            "fallthrough" => self.fallthrough = ZoneSet::read(&line.args().fallthrough()?, &line.word)?,
            "no_apex_fallback" => {
                line.no_args()?;
                self.policy.no_apex_fallback = true;
            }
            word if IGNORED.contains(&word) => line.no_block()?,
            _ => return Err(line.unknown(&PROPERTIES)),
        }
        Ok(())
    }
}

fn endpoints(line: &Line) -> Result<Vec<Endpoint>, Error> {
    let mut args = line.args();
    let mut endpoints = vec![endpoint(args.require("`http://HOST:PORT`")?)?];
    while let Some(word) = args.next() {
        endpoints.push(endpoint(word)?);
    }
    args.finish()?;
    Ok(endpoints)
}

fn endpoint(word: &Token) -> Result<Endpoint, Error> {
    word.text.parse().map_err(|error| word.error(format!("`{}`: {error}", word.text)))
}

/// Nobody logs in with an empty word.
fn credentials(line: &Line) -> Result<Option<(String, String)>, Error> {
    let mut args = line.args();
    let user = args.require("a user")?.text.clone();
    let password = args.require("the user's password")?.text.clone();
    args.finish()?;
    Ok((!user.is_empty() && !password.is_empty()).then_some((user, password)))
}

/// Seconds, or a duration.
fn seconds(line: &Line) -> Result<u32, Error> {
    let word = line.args().one("seconds, or a duration such as `5m`")?;
    let text = word.text.trim();
    let time = text.parse().map(Duration::from_secs).ok().or_else(|| duration(text));
    time.and_then(|time| u32::try_from(time.as_secs()).ok()).ok_or_else(|| {
        word.error(format!("expected seconds, or a duration such as `30s` or `1h5m`, found `{}`", word.text))
    })
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers(
            "answers with services that are registered in etcd",
            ZoneSet::new(self.zones.clone()),
            self.fallthrough.clone(),
        )
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self { zones, root, endpoints, credentials, tls, policy, fallthrough } = *self;
        let is_needed = tls.is_some() || endpoints.iter().any(|endpoint| endpoint.is_encrypted == Some(true));
        let files = tls.unwrap_or_default().placed(|file| block.path(file));
        let tls = is_needed.then(|| Tls::load(&files)).transpose().map_err(|error| BuildError(error.to_string()))?;
        let source = Source { endpoints, credentials, tls: tls.map(Arc::new), root, zones: zones.clone() };
        let registry = Arc::clone(block.registry());
        let etcd = block.shared(&format!("{source:?}"), || Ok(Etcd::start(source, &registry)))?;
        let waiting = Arc::clone(&etcd);
        block.before_serving(async move { waiting.wait(PATIENCE).await });
        let server = block.server();
        block.link(super::Services { zones: ZoneSet::new(zones), fallthrough, policy, etcd, server });
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Config, String> {
        let stanza = corefile::stanza(text);
        let keys = Keys { zones: vec!["a.test.".to_owned()] };
        Config::read(&stanza, &keys).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn zones_and_properties() {
        let plain = read("etcd").unwrap();
        assert_eq!((plain.zones.len(), plain.zones[0].to_string().as_str()), (1, "a.test."));
        assert_eq!(
            (plain.root, plain.endpoints[0].to_string().as_str()),
            (Root::new("/skydns"), "http://localhost:2379")
        );
        assert_eq!(plain.policy, Policy { leases: Bounds { least: 30, most: 86_400 }, no_apex_fallback: false });
        let full = read(
            "etcd b.test 192.0.2.0/24 {\npath /dns\nendpoint http://a:1 b:2\ncredentials me secret\ntls c k ca\n\
             min-lease-ttl 60\nmax-lease-ttl 1h\nfallthrough x.b.test\nno_apex_fallback\nstubzones\nupstream 192.0.2.1\ndebug\n}",
        )
        .unwrap();
        assert_eq!((full.zones.len(), full.endpoints.len()), (2, 2));
        assert_eq!((full.root, full.credentials), (Root::new("dns"), Some(("me".to_owned(), "secret".to_owned()))));
        assert_eq!(full.policy, Policy { leases: Bounds { least: 60, most: 3600 }, no_apex_fallback: true });
        assert_eq!(
            full.tls,
            Some(TlsFiles { identity: Some(("c".into(), "k".into())), authorities: Some("ca".into()) })
        );
        assert!(full.fallthrough.contains(&Name::parse("y.x.b.test").unwrap()));
        assert_eq!(read("etcd {\nmin-lease-ttl 0\nmax-lease-ttl 0s\n}").unwrap().policy, Policy::default());
    }

    #[test]
    fn what_is_wrong() {
        let ttl = "expected seconds, or a duration such as `30s` or `1h5m`, found";
        for (text, message) in [
            ("etcd a..b", "`a..b` is not a domain name".to_owned()),
            ("etcd {\npath\n}", "path: expected a path in etcd".to_owned()),
            ("etcd {\nendpoint\n}", "endpoint: expected `http://HOST:PORT`".to_owned()),
            ("etcd {\nendpoint ftp://a\n}", "endpoint: `ftp://a`: the scheme must be `http` or `https`".to_owned()),
            ("etcd {\ncredentials me\n}", "credentials: expected the user's password".to_owned()),
            ("etcd {\ncredentials a b c\n}", "credentials: unexpected argument `c`".to_owned()),
            ("etcd {\ntls a b c d\n}", "tls: unexpected argument `d`".to_owned()),
            ("etcd {\nmin-lease-ttl -30s\n}", format!("min-lease-ttl: {ttl} `-30s`")),
            ("etcd {\nmax-lease-ttl 1y\n}", format!("max-lease-ttl: {ttl} `1y`")),
            ("etcd {\nmax-lease-ttl 4294967296\n}", format!("max-lease-ttl: {ttl} `4294967296`")),
            ("etcd {\nno_apex_fallback x\n}", "no_apex_fallback: unexpected argument `x`".to_owned()),
            ("etcd {\npaht x\n}", "unknown property `paht`; did you mean `path`?".to_owned()),
            ("etcd\netcd", "may stand only once in a server block".to_owned()),
        ] {
            assert_eq!(read(text).err(), Some(message), "{text}");
        }
    }
}
