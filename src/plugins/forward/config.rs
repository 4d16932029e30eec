use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use super::{metrics::Metrics, proxy::Proxy};
use crate::{
    chain::{Block, Build, BuildError, Keys, ZoneSet},
    corefile::{Error, Errors, Instance, Line, Stanza, Token},
    upstream::{Policy, Upstream, resolv_conf},
    wire::{Name, Question, Rcode, RecordType},
};

/// Upstreams of one directive, a file counting as one.
const MOST_UPSTREAMS: usize = 15;
const NOT_YET: [&str; 7] = ["max_age", "tls", "tls_servername", "next", "next_on_nodata", "resolver", "doh_method"];
const PROPERTIES: [&str; 13] = [
    "except",
    "force_tcp",
    "prefer_udp",
    "expire",
    "max_idle_conns",
    "max_fails",
    "max_connect_attempts",
    "read_timeout",
    "health_check",
    "policy",
    "max_concurrent",
    "failover",
    "source_address",
];

/// All `forward` lines of a server block.
pub(super) struct Config {
    pub(super) forwards: Vec<Forward>,
}

/// One `forward` line.
#[derive(Debug, Clone)]
pub(super) struct Forward {
    pub(super) from: Name,
    pub(super) to: Vec<To>,
    pub(super) except: Vec<String>,
    pub(super) options: Options,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    Address(SocketAddr),
    File(String),
}

/// The properties of one line.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) force_tcp: bool,
    pub(super) prefer_udp: bool,
    pub(super) expire: Duration,
    pub(super) max_idle: usize,
    pub(super) max_fails: u32,
    pub(super) max_attempts: Option<usize>,
    pub(super) read_timeout: Duration,
    pub(super) probe_every: Duration,
    pub(super) probe: Question,
    pub(super) probe_recursion: bool,
    pub(super) policy: PolicyName,
    pub(super) max_concurrent: usize,
    pub(super) fail_fast: bool,
    pub(super) failover: Vec<Rcode>,
    pub(super) source: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PolicyName {
    Random,
    RoundRobin,
    Sequential,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            force_tcp: false,
            prefer_udp: false,
            expire: Duration::from_secs(10),
            max_idle: 0,
            max_fails: 2,
            max_attempts: None,
            read_timeout: Duration::from_secs(2),
            probe_every: Duration::from_millis(500),
            probe: Question::new(Name::root(), RecordType::NS),
            probe_recursion: true,
            policy: PolicyName::Random,
            max_concurrent: 0,
            fail_fast: false,
            failover: Vec::new(),
            source: None,
        }
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
        let zones = word.zones()?;
        let from = Name::parse(&zones[0]).map_err(|error| word.error(error.to_string()))?;
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
        Ok(forward)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        let options = &mut self.options;
        let count = |least: i64| line.args().one("a number")?.integer("number", least..=i64::from(u32::MAX));
        match line.word.text.as_str() {
            "except" => {
                line.args().require("a zone")?;
                self.except.extend(line.args().zones()?);
            }
            "force_tcp" => options.force_tcp = on(line)?,
            "prefer_udp" => options.prefer_udp = on(line)?,
            "expire" => options.expire = line.args().one("a duration")?.duration()?,
            "max_idle_conns" => options.max_idle = count(0)? as usize,
            "max_fails" => options.max_fails = count(0)? as u32,
            "max_connect_attempts" => options.max_attempts = Some(count(0)? as usize),
            "read_timeout" => {
                let word = line.args().one("a duration")?;
                options.read_timeout = word.duration()?;
                if options.read_timeout.is_zero() {
                    return Err(word.error("the time must be longer than zero"));
                }
            }
            "health_check" => health_check(line, options)?,
            "policy" => {
                let word = line.args().one("a policy")?;
                options.policy = match word.text.as_str() {
                    "random" => PolicyName::Random,
                    "round_robin" => PolicyName::RoundRobin,
                    "sequential" => PolicyName::Sequential,
                    _ => return Err(word.unknown("policy", &["random", "round_robin", "sequential"])),
                };
            }
            "max_concurrent" => options.max_concurrent = count(0)? as usize,
            "failfast_all_unhealthy_upstreams" => options.fail_fast = on(line)?,
            "failover" => options.failover = failover(line)?,
            "source_address" => options.source = Some(line.args().one("an address")?.ip()?),
            word if NOT_YET.contains(&word) => {
                return Err(line.error("this property is not built into seamark yet"));
            }
            _ => return Err(line.unknown(&PROPERTIES)),
        }
        Ok(())
    }
}

impl To {
    fn read(word: &Token) -> Result<Self, Error> {
        let text = word.text.strip_prefix("dns://").unwrap_or(&word.text);
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(word.error(match scheme {
                "tls" | "https" | "quic" => format!("`{scheme}://` upstreams are not built into seamark yet"),
                _ => format!("unknown scheme `{scheme}://`"),
            }));
        }
        let plain = Token { text: text.to_owned(), ..word.clone() };
        if let Ok(address) = plain.socket_address(53) {
            return Ok(Self::Address(address));
        }
        if Path::new(text).is_file() || text.starts_with('/') {
            return Ok(Self::File(text.to_owned()));
        }
        Err(word.error(format!("`{text}` is neither an address nor a file; host names are not built into seamark yet")))
    }
}

fn on(line: &Line) -> Result<bool, Error> {
    line.no_args()?;
    Ok(true)
}

fn health_check(line: &Line, options: &mut Options) -> Result<(), Error> {
    let mut args = line.args();
    options.probe_every = args.duration("health_check")?;
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
    Ok(())
}

fn failover(line: &Line) -> Result<Vec<Rcode>, Error> {
    line.args().require("a response code")?;
    let code = |word: &Token| {
        let rcode = Rcode::from_mnemonic(&word.text.to_ascii_uppercase());
        match rcode {
            Some(Rcode::NOERROR) => Err(word.error("NOERROR is an answer, no reason to ask somebody else")),
            Some(rcode) => Ok(rcode),
            None => Err(word.error(format!("`{}` is no response code", word.text))),
        }
    };
    line.args.iter().map(code).collect()
}

impl Build for Config {
    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        for forward in self.forwards {
            let metrics = Arc::new(Metrics::register(block.registry()));
            let addresses = addresses(&forward.to)?;
            let options = forward.options;
            let upstreams = addresses
                .into_iter()
                .map(|address| Arc::new(Upstream::new(address, options.source, options.expire, options.max_idle)));
            let policy = match options.policy {
                PolicyName::Random => Policy::Random,
                PolicyName::RoundRobin => Policy::RoundRobin(AtomicUsize::new(0)),
                PolicyName::Sequential => Policy::Sequential,
            };
            let except = ZoneSet::parse(&forward.except).map_err(|error| BuildError(error.to_string()))?;
            let runtime = tokio::runtime::Handle::current();
            let proxy = Proxy { upstreams: upstreams.collect(), policy, options, metrics, runtime };
            block.link(super::Forwarding {
                from: forward.from,
                except,
                proxy: Arc::new(proxy),
                concurrent: Arc::new(AtomicUsize::new(0)),
            });
        }
        Ok(())
    }
}

/// The addresses of all targets, each once.
fn addresses(to: &[To]) -> Result<Vec<SocketAddr>, BuildError> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for target in to {
        let found = match target {
            To::Address(address) => vec![*address],
            To::File(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| BuildError(format!("{file}: cannot be read: {error}")))?;
                let found = resolv_conf::nameservers(&text);
                if found.is_empty() {
                    tracing::warn!(target: "plugin/forward", "{file} names no nameserver");
                }
                found
            }
        };
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    if addresses.is_empty() {
        return Err(BuildError("no upstream is left to forward to".to_owned()));
    }
    Ok(addresses)
}
