use std::{sync::Arc, time::Duration};

use super::{Trace, Tracer, reporter::Reporter};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Error, Errors, Line, Stanza, Token},
    http::Target,
};

/// The `trace` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) target: Target,
    pub(super) is_encrypted: bool,
    pub(super) every: u64,
    pub(super) service: String,
    pub(super) backlog: usize,
    pub(super) batch: usize,
    pub(super) interval: Duration,
}

const PROPERTIES: [&str; 7] = [
    "every",
    "service",
    "client_server",
    "datadog_analytics_rate",
    "zipkin_max_backlog_size",
    "zipkin_max_batch_size",
    "zipkin_max_batch_interval",
];
const PATH: &str = "/api/v2/spans";
const INSTEAD: &str = "is not built into seamark: send Zipkin's spans to a collector that hands them on";

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let mut config = Self {
            target: Target { authority: "localhost:9411".to_owned(), path: PATH.to_owned() },
            is_encrypted: false,
            every: 1,
            service: "coredns".to_owned(),
            backlog: 1000,
            batch: 100,
            interval: Duration::from_secs(1),
        };
        let mut args = instance.args();
        let first = args.next();
        let second = args.next();
        args.finish()?;
        let (kind, endpoint) = match (first, second) {
            (Some(word), None) if matches!(word.text.as_str(), "zipkin" | "datadog") => (Some(word), None),
            (endpoint, None) => (None, endpoint),
            both => both,
        };
        match kind.map(|word| (word, word.text.as_str())) {
            None | Some((_, "zipkin")) => {}
            Some((word, "datadog")) => return Err(word.error(format!("`datadog` {INSTEAD}"))),
            Some((word, _)) => return Err(word.unknown("kind of endpoint", &["zipkin"])),
        }
        if let Some(endpoint) = endpoint {
            (config.target, config.is_encrypted) = target(endpoint)?;
        }
        for line in &instance.lines {
            config.property(line).map_err(|error| error.within(&line.word.text))?;
        }
        Ok(config)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        let mut args = line.args();
        let word = line.word.text.as_str();
        match word {
            "every" => self.every = args.integer(word, 0..=i64::MAX)? as u64,
            "service" => self.service.clone_from(&args.require("a name")?.text),
            "client_server" => {
                if let Some(word) = args.next() {
                    let known = ["1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"];
                    if !known.contains(&word.text.as_str()) {
                        return Err(word.error(format!("expected `true` or `false`, found `{}`", word.text)));
                    }
                }
            }
            "datadog_analytics_rate" => return Err(line.error(INSTEAD)),
            "zipkin_max_backlog_size" => self.backlog = args.integer(word, 1..=1_000_000)? as usize,
            "zipkin_max_batch_size" => self.batch = args.integer(word, 1..=100_000)? as usize,
            "zipkin_max_batch_interval" => self.interval = args.duration(word)?,
            _ => return Err(line.unknown(&PROPERTIES)),
        }
        args.finish()
    }
}

/// An address taken apart, and whether it is `https://`.
fn target(word: &Token) -> Result<(Target, bool), Error> {
    let text = word.text.as_str();
    let lower = text.to_ascii_lowercase();
    let scheme = ["http://", "https://"].into_iter().find(|scheme| lower.starts_with(scheme));
    let is_encrypted = scheme == Some("https://");
    let (authority, path) = match scheme {
        Some(scheme) => {
            let rest = &text[scheme.len()..];
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (authority, if path.is_empty() { "/" } else { path })
        }
        None => (text, PATH),
    };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let is_host = !authority.is_empty() && !authority.contains(|c: char| c == '/' || c == '@' || c.is_whitespace());
    if !is_host || !path.is_ascii() {
        return Err(word.error(format!(
            "expected `HOST:PORT`, `http://HOST:PORT/PATH` or `https://HOST:PORT/PATH`, found `{text}`"
        )));
    }
    let authority =
        if has_port { authority.to_owned() } else { format!("{authority}:{}", if is_encrypted { 443 } else { 80 }) };
    Ok((Target { authority, path: path.to_owned() }, is_encrypted))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("tells a collector how long queries take")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        // What waits outlives a reload that leaves the directive as it is.
        let reporter = block.shared(&format!("trace {self:?}"), || Ok(Reporter::start(&self, block.registry())))?;
        let tracer = Arc::new(Tracer::new(self.service, self.every, reporter));
        block.watch_upstreams(Arc::clone(&tracer) as Arc<_>);
        block.link(Trace(tracer));
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
    fn endpoints() {
        for (text, authority, path) in [
            ("trace", "localhost:9411", "/api/v2/spans"),
            ("trace zipkin", "localhost:9411", "/api/v2/spans"),
            ("trace tracing:9253", "tracing:9253", "/api/v2/spans"),
            ("trace zipkin [2001:db8::1]:1", "[2001:db8::1]:1", "/api/v2/spans"),
            ("trace HTTP://tracing/zipkin/api/v2/spans", "tracing:80", "/zipkin/api/v2/spans"),
            ("trace http://tracing:1", "tracing:1", "/"),
            ("trace https://tracing/spans", "tracing:443", "/spans"),
            ("trace https://[2001:db8::1]:1/spans", "[2001:db8::1]:1", "/spans"),
        ] {
            let Config { target, is_encrypted, .. } = read(text).unwrap();
            assert_eq!(is_encrypted, text.contains("https"), "{text}");
            assert_eq!((target.authority.as_str(), target.path.as_str()), (authority, path), "{text}");
        }
    }

    #[test]
    fn properties() {
        let text = "trace {\nevery 10\nservice dns\nclient_server\nzipkin_max_backlog_size 5\nzipkin_max_batch_size 2\n\
                    zipkin_max_batch_interval 3s\n}";
        let config = read(text).unwrap();
        assert_eq!((config.every, config.service.as_str(), config.backlog, config.batch), (10, "dns", 5, 2));
        assert_eq!(config.interval, Duration::from_secs(3));
        let instead = "is not built into seamark: send Zipkin's spans to a collector that hands them on";
        for (text, message) in [
            ("trace datadog localhost:8126", format!("`datadog` {instead}")),
            ("trace jaeger localhost:1", "unknown kind of endpoint `jaeger`; expected one of: zipkin".to_owned()),
            ("trace zipkin a:1 b", "unexpected argument `b`".to_owned()),
            (
                "trace http:///a",
                "expected `HOST:PORT`, `http://HOST:PORT/PATH` or `https://HOST:PORT/PATH`, found `http:///a`"
                    .to_owned(),
            ),
            ("trace {\nevery x\n}", "every: expected a number of at least 0, found `x`".to_owned()),
            ("trace {\nevery 1 2\n}", "every: unexpected argument `2`".to_owned()),
            ("trace {\nclient_server maybe\n}", "client_server: expected `true` or `false`, found `maybe`".to_owned()),
            ("trace {\ndatadog_analytics_rate 1\n}", format!("datadog_analytics_rate: {instead}")),
            (
                "trace {\nzipkin_max_batch_interval 5\n}",
                "zipkin_max_batch_interval: expected a duration such as `30s` or `1h5m`, found `5`".to_owned(),
            ),
            ("trace\ntrace", "may stand only once in a server block".to_owned()),
        ] {
            assert_eq!(read(text).err(), Some(message), "{text}");
        }
    }
}
