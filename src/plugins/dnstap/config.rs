use std::{path::PathBuf, sync::Arc, time::Instant};

use super::{Dnstap, Tap, clock::Clock};
use crate::{
    chain::{Block, Build, BuildError, Format, Keys, Role},
    corefile::{Args, Error, Errors, Instance, Line, Stanza, Token},
    tap::{Outlet, Place, QUEUE, Way},
    tls::{ClientAuth, CredentialFiles},
};

/// All `dnstap` directives of a server block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config(Vec<One>);

/// A `dnstap` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct One {
    way: Way,
    full: bool,
    identity: Option<String>,
    version: Option<String>,
    extra: Option<Format>,
}

const PROPERTIES: [&str; 5] = ["identity", "version", "extra", "tls", "skipverify"];

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config(stanza.instances.iter().map(read).collect::<Result<_, _>>()?)))
}

fn read(instance: &Instance) -> Result<One, Error> {
    let mut args = instance.args();
    let mut socket = args.require("a socket such as `/run/dnstap.sock` or `tcp://127.0.0.1:6000`")?;
    let listen = socket.text == "listen";
    if listen {
        socket = args.require("a socket to listen at")?;
    }
    let place = place(socket)?;
    let full = args.peek().is_some_and(|word| word.text == "full");
    if full {
        args.next();
    }
    let buffer = number(&mut args, "the buffer in MiB", 1024)?.map(|number| number << 20);
    let queue = number(&mut args, "the queue in ten thousands", 4096)?.map_or(QUEUE, |number| number * QUEUE);
    args.finish()?;
    let way = Way { place, listen, queue, buffer, skip_verify: false, credentials: None };
    let mut one = One { way, full, identity: None, version: None, extra: None };
    for line in &instance.lines {
        property(&mut one, line).map_err(|error| error.within(&line.word.text))?;
    }
    let Way { place, skip_verify, credentials, .. } = &mut one.way;
    match credentials {
        // A collector must have a certificate of this authority; with `skipverify` it may come without one.
        Some(files) if files.authorities.is_some() => {
            files.clients = if *skip_verify { ClientAuth::VerifyIfGiven } else { ClientAuth::RequireAndVerify };
        }
        None if listen && matches!(place, Place::Tls(_)) => {
            return Err(socket.error("`tls://` needs a certificate: add `tls CERT KEY`"));
        }
        _ => {}
    }
    Ok(one)
}

fn number(args: &mut Args<'_>, what: &str, most: i64) -> Result<Option<usize>, Error> {
    if args.peek().is_none() {
        return Ok(None);
    }
    args.integer(what, 1..=most).map(|number| Some(number as usize))
}

fn place(word: &Token) -> Result<Place, Error> {
    let text = word.text.as_str();
    match text.split_once("://") {
        None => Ok(Place::Unix(PathBuf::from(text))),
        Some(("unix", path)) if path.starts_with('/') => Ok(Place::Unix(PathBuf::from(path))),
        Some((scheme @ ("tcp" | "tls"), address)) => {
            let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            let wrong = || word.error(format!("expected `{scheme}://HOST:PORT`, found `{text}`"));
            let place = if scheme == "tls" { Place::Tls } else { Place::Tcp };
            port.map(|_| place(address.to_owned())).ok_or_else(wrong)
        }
        Some((scheme, _)) => {
            Err(word.error(format!("unknown scheme `{scheme}://`; expected `unix:///PATH`, `tcp://` or `tls://`")))
        }
    }
}

/// `tls CERT KEY [CA]`.
fn credentials(line: &Line) -> Result<CredentialFiles, Error> {
    let mut args = line.args();
    let certificate = PathBuf::from(&args.require("the file of a certificate")?.text);
    let key = PathBuf::from(&args.require("the file of the certificate's key")?.text);
    let authorities = args.next().map(|word| PathBuf::from(&word.text));
    args.finish()?;
    Ok(CredentialFiles { certificate, key, authorities, clients: ClientAuth::None, key_log: None })
}

fn property(one: &mut One, line: &Line) -> Result<(), Error> {
    let word = line.word.text.as_str();
    let text = || line.args().one("a text").map(|word| word.text.clone());
    match word {
        "identity" => one.identity = Some(text()?),
        "version" => one.version = Some(text()?),
        "extra" => one.extra = Some(Format::parse(&text()?)),
        "tls" if !one.way.listen => return Err(line.error("this is for `listen`: it says who we are to collectors")),
        "tls" => one.way.credentials = Some(credentials(line)?),
        "skipverify" => {
            line.no_args()?;
            one.way.skip_verify = true;
        }
        _ => return Err(line.unknown(&PROPERTIES)),
    }
    Ok(())
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("sends copies of messages to a collector")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let mut taps = Vec::new();
        for one in self.0 {
            let failed = |error: std::io::Error| BuildError(format!("{}: listen: {error}", one.way.place));
            // The connection outlives a reload that leaves it as it is.
            let key = format!("dnstap {:?}", one.way);
            let outlet = block.shared(&key, || Outlet::open(&one.way, block.registry()).map_err(failed))?;
            let last = Arc::clone(&outlet);
            block.at_last(async move { last.close().await });
            let version = concat!("CoreDNS-1.15.0 (seamark-", env!("CARGO_PKG_VERSION"), ")");
            taps.push(Tap {
                outlet,
                full: one.full,
                identity: one.identity.unwrap_or_else(|| block.host_name()).into_bytes(),
                version: one.version.unwrap_or_else(|| version.to_owned()).into_bytes(),
                extra: one.extra,
            });
        }
        let taps = Arc::new(super::Taps { taps, labels: block.labels(), clock: Clock::new(Instant::now()) });
        block.task(super::watch(Arc::clone(&taps)));
        block.watch_upstreams(Arc::clone(&taps) as Arc<_>);
        block.link(Dnstap(taps));
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    fn one(text: &str) -> Result<One, String> {
        let stanza = corefile::stanza(&format!("dnstap {text}"));
        read(&stanza.instances[0]).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn sockets_and_sizes() {
        let way = |text: &str| one(text).unwrap().way;
        let unix = Place::Unix("/run/a.sock".into());
        let plain =
            Way { place: unix, listen: false, queue: 10_000, buffer: None, skip_verify: false, credentials: None };
        assert_eq!(way("/run/a.sock"), plain);
        assert_eq!(way("unix:///run/a.sock full"), plain);
        assert_eq!(way("listen /run/a.sock"), Way { listen: true, ..plain.clone() });
        let tcp = Place::Tcp("collector.test:6000".to_owned());
        assert_eq!(
            way("tcp://collector.test:6000 full 2 3"),
            Way { place: tcp, queue: 30_000, buffer: Some(2 << 20), ..plain.clone() }
        );
        let tls = || Place::Tls("collector.test:6000".to_owned());
        let anybody = Way { place: tls(), skip_verify: true, ..plain.clone() };
        assert_eq!(way("tls://collector.test:6000"), Way { place: tls(), ..plain.clone() });
        assert_eq!(way("tls://collector.test:6000 {\nskipverify\n}"), anybody);
        for (text, authorities, clients) in [
            ("tls a.pem a.key", None, ClientAuth::None),
            ("tls a.pem a.key ca.pem", Some("ca.pem".into()), ClientAuth::RequireAndVerify),
            ("skipverify\ntls a.pem a.key ca.pem", Some("ca.pem".into()), ClientAuth::VerifyIfGiven),
        ] {
            let found = way(&format!("listen tls://collector.test:6000 {{\n{text}\n}}")).credentials;
            let (certificate, key) = ("a.pem".into(), "a.key".into());
            assert_eq!(
                found,
                Some(CredentialFiles { certificate, key, authorities, clients, key_log: None }),
                "{text}"
            );
        }
        let full = one("/a full {\nidentity me\nversion \"a b\"\nextra {name}\n}").unwrap();
        assert!(full.full && full.extra.is_some());
        assert_eq!((full.identity.as_deref(), full.version.as_deref()), (Some("me"), Some("a b")));
    }

    #[test]
    fn what_is_refused() {
        for (text, message) in [
            ("", "expected a socket such as `/run/dnstap.sock` or `tcp://127.0.0.1:6000`"),
            ("listen", "expected a socket to listen at"),
            ("tcp://host", "expected `tcp://HOST:PORT`, found `tcp://host`"),
            ("tls://host", "expected `tls://HOST:PORT`, found `tls://host`"),
            ("udp://host:1", "unknown scheme `udp://`; expected `unix:///PATH`, `tcp://` or `tls://`"),
            ("listen tls://host:1", "`tls://` needs a certificate: add `tls CERT KEY`"),
            ("tls://host:1 {\ntls a b\n}", "tls: this is for `listen`: it says who we are to collectors"),
            ("listen tls://host:1 {\ntls a\n}", "tls: expected the file of the certificate's key"),
            ("listen tls://host:1 {\ntls a b c d\n}", "tls: unexpected argument `d`"),
            ("/a fall", "the buffer in MiB: expected a number between 1 and 1024, found `fall`"),
            ("/a full 0", "the buffer in MiB: expected a number between 1 and 1024, found `0`"),
            ("/a full 1 5000", "the queue in ten thousands: expected a number between 1 and 4096, found `5000`"),
            ("/a full 1 2 3", "unexpected argument `3`"),
            ("/a {\nidentity\n}", "identity: expected a text"),
            ("/a {\nidentity a b\n}", "identity: unexpected argument `b`"),
            ("/a {\nskipverify a\n}", "skipverify: unexpected argument `a`"),
            ("/a {\nidentiti a\n}", "unknown property `identiti`; did you mean `identity`?"),
        ] {
            assert_eq!(one(text).err().as_deref(), Some(message), "{text}");
        }
    }
}
