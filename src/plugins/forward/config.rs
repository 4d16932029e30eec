use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use tokio::sync::Mutex;

use super::{
    members::Members,
    metrics::Metrics,
    proxy::Proxy,
    target::{To, server_name},
};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Instance, Line, Stanza, Token},
    upstream::{Connecting, ServerName, TlsFiles, Way},
    wire::{Name, Question, Rcode, RecordType},
};

/// Upstreams of one directive, a file counting as one.
const MOST_UPSTREAMS: usize = 15;
const PROPERTIES: [&str; 21] = [
    "except",
    "force_tcp",
    "prefer_udp",
    "expire",
    "max_age",
    "max_idle_conns",
    "max_fails",
    "max_connect_attempts",
    "read_timeout",
    "health_check",
    "policy",
    "max_concurrent",
    "tls",
    "tls_servername",
    "next",
    "next_on_nodata",
    "failover",
    "failfast_all_unhealthy_upstreams",
    "source_address",
    "resolver",
    "doh_method",
];

/// All `forward` lines of a server block.
pub(super) struct Config {
    pub(super) forwards: Vec<Forward>,
}

/// One `forward` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) from: Name,
    pub(super) to: Vec<To>,
    pub(super) except: Vec<String>,
    pub(super) options: Options,
}

/// The properties of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) force_tcp: bool,
    pub(super) prefer_udp: bool,
    pub(super) connecting: Connecting,
    pub(super) max_fails: u32,
    pub(super) max_attempts: Option<usize>,
    pub(super) read_timeout: Duration,
    pub(super) probe_every: Duration,
    pub(super) probe: Question,
    pub(super) probe_recursion: bool,
    pub(super) policy: Way,
    pub(super) max_concurrent: usize,
    pub(super) fail_fast: bool,
    pub(super) failover: Vec<Rcode>,
    pub(super) next: Vec<Rcode>,
    pub(super) next_on_nodata: bool,
    pub(super) tls: TlsFiles,
    pub(super) server_name: Option<ServerName<'static>>,
    /// DNS over HTTPS by GET instead of POST.
    pub(super) doh_get: bool,
    /// Who knows hosts; empty = whom the system asks.
    pub(super) resolver: Vec<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            force_tcp: false,
            prefer_udp: false,
            connecting: Connecting::default(),
            max_fails: 2,
            max_attempts: None,
            read_timeout: Duration::from_secs(2),
            probe_every: Duration::from_millis(500),
            probe: Question::new(Name::root(), RecordType::NS),
            probe_recursion: true,
            policy: Way::Random,
            max_concurrent: 0,
            fail_fast: false,
            failover: Vec::new(),
            next: Vec::new(),
            next_on_nodata: false,
            tls: TlsFiles::default(),
            server_name: None,
            doh_get: false,
            resolver: Vec::new(),
        }
    }
}

impl Options {
    /// What decides whether two lines may share what is known of an upstream's health.
    pub(super) fn probing(&self) -> impl std::fmt::Debug + '_ {
        (self.force_tcp, self.max_fails, self.probe_every, &self.probe, self.probe_recursion)
    }
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    let mut forwards = Vec::new();
    let mut errors = Vec::new();
    for instance in &stanza.instances {
        match Forward::read(instance) {
            Ok(forward) => forwards.push(forward),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(Box::new(Config { forwards })) } else { Err(Errors::new(errors)) }
}

impl Forward {
    pub(super) fn read(instance: &Instance) -> Result<Self, Error> {
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
        let mut to = Vec::new();
        for word in words {
            let target = To::read(word)?;
            if !to.contains(&target) {
                to.push(target);
            }
        }
        let mut forward = Self { from, to, except: Vec::new(), options: Options::default() };
        for line in &instance.lines {
            forward.property(line).map_err(|error| error.within(&line.word.text))?;
        }
        forward.check_ages(instance)?;
        forward.check_names(words)?;
        Ok(forward)
    }

    fn check_names(&self, words: &[Token]) -> Result<(), Error> {
        let names_itself = |to: &To| to.server().is_some_and(|server| server.name.is_some());
        let twice = words.iter().find(|word| To::read(word).is_ok_and(|to| names_itself(&to)));
        match twice.filter(|_| self.options.server_name.is_some()) {
            Some(word) => Err(word.error("the server's name stands here and in `tls_servername`; one is enough")),
            None => Ok(()),
        }
    }

    fn check_ages(&self, instance: &Instance) -> Result<(), Error> {
        let Connecting { max_age, expire, .. } = self.options.connecting;
        let line = instance.lines.iter().find(|line| line.word.text == "max_age");
        match line.filter(|_| !max_age.is_zero() && max_age < expire) {
            Some(line) => Err(line.error("must not be shorter than `expire`").within("max_age")),
            None => Ok(()),
        }
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        let options = &mut self.options;
        match line.word.text.as_str() {
            "except" => {
                line.args().require("a zone")?;
                self.except.extend(line.args().zones()?);
            }
            "force_tcp" => options.force_tcp = on(line)?,
            "prefer_udp" => options.prefer_udp = on(line)?,
            "expire" => options.connecting.expire = line.args().one("a duration")?.duration()?,
            "max_age" => options.connecting.max_age = line.args().one("a duration")?.duration()?,
            "max_idle_conns" => options.connecting.max_idle = count(line)? as usize,
            "max_fails" => options.max_fails = count(line)?,
            "max_connect_attempts" => options.max_attempts = Some(count(line)? as usize),
            "read_timeout" => options.read_timeout = read_timeout(line)?,
            "health_check" => health_check(line, options)?,
            "policy" => options.policy = line.args().one("a policy")?.choose("policy", &Way::WORDS)?,
            "max_concurrent" => options.max_concurrent = count(line)? as usize,
            "next" => options.next = rcodes(line)?,
            "next_on_nodata" => options.next_on_nodata = on(line)?,
            "failover" => options.failover = failover(line)?,
            "failfast_all_unhealthy_upstreams" => options.fail_fast = on(line)?,
            "source_address" => options.connecting.source = Some(line.args().one("an address")?.ip()?),
            "tls" => options.tls = TlsFiles::named(line.args().paths()?),
            "tls_servername" => {
                let word = line.args().one("a name")?;
                options.server_name = Some(server_name(word, &word.text)?);
            }
            "resolver" => options.resolver = resolver(line)?,
            "doh_method" => options.doh_get = doh_method(line)? == "GET",
            _ => return Err(line.unknown(&PROPERTIES)),
        }
        Ok(())
    }
}

fn on(line: &Line) -> Result<bool, Error> {
    line.no_args()?;
    Ok(true)
}

fn count(line: &Line) -> Result<u32, Error> {
    Ok(line.args().one("a number")?.integer(&line.word.text, 0..=i64::from(u32::MAX))? as u32)
}

fn read_timeout(line: &Line) -> Result<Duration, Error> {
    let word = line.args().one("a duration")?;
    let time = word.duration()?;
    if time.is_zero() {
        return Err(word.error("the time must be longer than zero"));
    }
    Ok(time)
}

fn health_check(line: &Line, options: &mut Options) -> Result<(), Error> {
    let mut args = line.args();
    options.probe_every = args.duration("duration")?;
    while let Some(word) = args.next() {
        match word.text.as_str() {
            "no_rec" => options.probe_recursion = false,
            "domain" => {
                let word = args.require("a name")?;
                options.probe.name = Name::parse(&word.text).map_err(|error| word.error(error.to_string()))?;
            }
            _ => return Err(word.unknown("word", &["no_rec", "domain"])),
        }
    }
    args.finish()
}

fn rcode(word: &Token) -> Result<Rcode, Error> {
    let rcode = Rcode::from_mnemonic(&word.text.to_ascii_uppercase());
    rcode.ok_or_else(|| word.error(format!("`{}` is no response code", word.text)))
}

fn rcodes(line: &Line) -> Result<Vec<Rcode>, Error> {
    line.args().require("a response code")?;
    line.no_block()?;
    line.args.iter().map(rcode).collect()
}

fn failover(line: &Line) -> Result<Vec<Rcode>, Error> {
    let codes = rcodes(line)?;
    match codes.iter().position(|&code| code == Rcode::NOERROR) {
        Some(at) => Err(line.args[at].error("NOERROR is an answer, no reason to ask somebody else")),
        None => Ok(codes),
    }
}

fn resolver(line: &Line) -> Result<Vec<SocketAddr>, Error> {
    line.args().require("an address")?;
    line.no_block()?;
    line.args().rest().iter().map(|word| word.socket_address(53)).collect()
}

fn doh_method(line: &Line) -> Result<&str, Error> {
    let word = line.args().one("`GET` or `POST`")?;
    let known = ["GET", "POST"];
    if known.contains(&word.text.as_str()) { Ok(&word.text) } else { Err(word.unknown("method", &known)) }
}

impl Build for Config {
    fn role(&self) -> Role {
        // Behind `next` the query goes on to another line, and no further.
        let beyond = self.forwards.iter().flat_map(|forward| &forward.except).filter_map(|zone| Name::parse(zone).ok());
        let zones = self.forwards.iter().map(|forward| forward.from).collect();
        Role::answers("asks other name servers", zones, beyond.collect())
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let departures = Members::departures(block)?;
        let lines = self.forwards.into_iter().map(|forward| forward.start(block)).collect::<Result<Vec<_>, _>>()?;
        block.label_source(super::UpstreamLabel);
        block.link(super::Forwarding { lines: lines.into(), departures, watchers: block.watchers() });
        Ok(())
    }
}

impl Forward {
    fn start(self, block: &mut Block<'_>) -> Result<super::Forward, BuildError> {
        let Self { from, to, except, mut options } = self;
        options.tls = options.tls.placed(|file| block.path(file));
        let members = Members::new(to, &options, block)?;
        let departures = Members::departures(block)?;
        let now = members.now();
        if now.is_empty() && !members.has_hosts() {
            return Err(BuildError("no upstream is left to forward to".to_owned()));
        }
        let proxy = Arc::new(Proxy::new(now, options, Metrics::register(block.registry()), (from, departures)));
        follow(members, &proxy, block);
        let watched = Arc::clone(&proxy);
        block.after_start(move |started| async move { super::round_trips::watch(&watched, &started).await });
        let except = ZoneSet::parse(&except).map_err(|error| BuildError(error.to_string()))?;
        Ok(super::Forward { from, except, proxy, under_way: Arc::new(AtomicUsize::new(0)) })
    }
}

/// Looks hosts up before the site serves, and again later.
fn follow(members: Members, proxy: &Arc<Proxy>, block: &mut Block<'_>) {
    if !members.are_followed() {
        return;
    }
    let must_look = members.has_hosts();
    let members = Arc::new(Mutex::new(members));
    if must_look {
        let (members, proxy) = (Arc::clone(&members), Arc::clone(proxy));
        block.condition(async move {
            let mut members = members.lock().await;
            members.resolve().await?;
            proxy.replace(members.now());
            Ok(())
        });
    }
    let proxy = Arc::clone(proxy);
    block.task(async move { members.lock().await.follow(&proxy).await });
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Forward, String> {
        let stanza = corefile::stanza(text);
        Forward::read(&stanza.instances[0]).map_err(|error| error.message().to_owned())
    }

    fn options(line: &str) -> Result<Options, String> {
        read(&format!("forward . 192.0.2.1 {{\n{line}\n}}")).map(|forward| forward.options)
    }

    #[test]
    fn upstreams_count_once() {
        for (words, count) in [
            ("192.0.2.1 192.0.2.2", 2),
            ("192.0.2.1 dns://192.0.2.1:53", 1),
            ("192.0.2.1 tls://192.0.2.1 https://192.0.2.1 quic://192.0.2.1", 4),
            ("tls://192.0.2.1%a.example.org tls://192.0.2.1%b.example.org", 2),
        ] {
            assert_eq!(read(&format!("forward . {words}")).map(|forward| forward.to.len()), Ok(count), "{words}");
        }
    }

    #[test]
    fn zones() {
        let forward = read("forward Example.ORG. 192.0.2.1 {\nexcept a.example.org b.example.org\n}").unwrap();
        assert_eq!(forward.from, Name::parse("example.org.").unwrap());
        assert_eq!(forward.except, ["a.example.org.", "b.example.org."]);
        assert_eq!(read("forward 10.0.0.0/8 192.0.2.1").unwrap().from, Name::parse("10.in-addr.arpa.").unwrap());
    }

    #[test]
    fn properties() {
        assert_eq!(options("max_concurrent 1000").unwrap().max_concurrent, 1000);
        assert_eq!(options("max_connect_attempts 0").unwrap().max_attempts, Some(0));
        assert_eq!(options("next NXDOMAIN refused").unwrap().next, [Rcode::NXDOMAIN, Rcode::REFUSED]);
        assert_eq!(options("policy sequential").unwrap().policy, Way::Sequential);
        assert_eq!(options("expire 20s\nmax_age 1m").unwrap().connecting.max_age, Duration::from_secs(60));
        let probing = options("health_check 1s no_rec domain example.org").unwrap();
        assert_eq!((probing.probe_every, probing.probe_recursion), (Duration::from_secs(1), false));
        assert_eq!(probing.probe.name, Name::parse("example.org.").unwrap());
    }

    #[test]
    fn properties_of_encrypted_upstreams() {
        let files = |identity: Option<[&str; 2]>, authorities: Option<&str>| TlsFiles {
            identity: identity.map(|[certificate, key]| (certificate.into(), key.into())),
            authorities: authorities.map(Into::into),
        };
        for (line, expected) in [
            ("tls", files(None, None)),
            ("tls ca.pem", files(None, Some("ca.pem"))),
            ("tls cert.pem key.pem", files(Some(["cert.pem", "key.pem"]), None)),
            ("tls cert.pem key.pem ca.pem", files(Some(["cert.pem", "key.pem"]), Some("ca.pem"))),
        ] {
            assert_eq!(options(line).map(|options| options.tls), Ok(expected), "{line}");
        }
        assert_eq!(options("tls_servername dns.quad9.net").unwrap().server_name.unwrap().to_str(), "dns.quad9.net");
        assert!(options("doh_method GET").unwrap().doh_get);
        assert!(!options("doh_method POST").unwrap().doh_get);
        let resolver = options("resolver 192.0.2.1 192.0.2.2:5300").unwrap().resolver;
        assert_eq!(resolver, ["192.0.2.1:53".parse().unwrap(), "192.0.2.2:5300".parse().unwrap()]);
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (line, message) in [
            ("read_timeout 0s", "read_timeout: the time must be longer than zero"),
            ("max_age 5s", "max_age: must not be shorter than `expire`"),
            ("failover NOERROR", "failover: NOERROR is an answer, no reason to ask somebody else"),
            ("next OOPS", "next: `OOPS` is no response code"),
            ("policy fastest", "policy: unknown policy `fastest`; expected one of: random, round_robin, sequential"),
            ("max_fail 3", "unknown property `max_fail`; did you mean `max_fails`?"),
            ("force_tcp yes", "force_tcp: unexpected argument `yes`"),
            ("tls a b c d", "tls: unexpected argument `d`"),
            ("tls_servername a..b", "tls_servername: expected the name in a server's certificate, found `a..b`"),
            ("doh_method get", "doh_method: unknown method `get`; expected one of: GET, POST"),
            (
                "resolver dns.example.org",
                "resolver: expected an IP address with or without a port, found `dns.example.org`",
            ),
            ("source_address eth0", "source_address: expected an IP address, found `eth0`"),
        ] {
            assert_eq!(options(line), Err(message.to_owned()), "{line}");
        }
        let twice = "forward . 192.0.2.1 tls://192.0.2.1%a.example.org {\ntls_servername b.example.org\n}";
        let message = "the server's name stands here and in `tls_servername`; one is enough";
        assert_eq!(read(twice), Err(message.to_owned()));
        assert!(read("forward .").is_err());
        assert!(read(&format!("forward . {}", "192.0.2.1 ".repeat(16))).is_err());
    }
}
