use std::{sync::Arc, time::Duration};

use super::metrics::Metrics;
use crate::{
    cache::{AnswerCache, Limits},
    chain::{Block, Build, BuildError, Keys, ZoneSet},
    corefile::{Error, Errors, Instance, Line, Stanza},
};

const PROPERTIES: [&str; 9] =
    ["success", "denial", "servfail", "disable", "keepttl", "prefetch", "serve_stale", "serve_stale_policy", "verify"];
/// Answers of one half unless the Corefile says otherwise: CoreDNS rounds its 10,000 down to this.
const CAPACITY: u64 = 9984;
/// CoreDNS never goes below this, whatever is written.
const LEAST_CAPACITY: u64 = 1024;

/// The `cache` directive.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) zones: Vec<String>,
    pub(super) limits: Limits,
    pub(super) capacity: (u64, u64),
    pub(super) disabled: [Option<Vec<String>>; 2],
    pub(super) keep_ttl: bool,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let mut config = Self {
            zones: Vec::new(),
            limits: Limits {
                success: (Duration::from_secs(5), Duration::from_secs(3600)),
                denial: (Duration::from_secs(5), Duration::from_secs(1800)),
                failure: Duration::from_secs(5),
            },
            capacity: (CAPACITY, CAPACITY),
            disabled: [None, None],
            keep_ttl: false,
        };
        config.arguments(instance, keys)?;
        for line in &instance.lines {
            config.property(line).map_err(|error| error.within(&line.word.text))?;
        }
        Ok(config)
    }

    /// A first word that is a number is the TTL; everything else is a zone.
    fn arguments(&mut self, instance: &Instance, keys: &Keys) -> Result<(), Error> {
        let mut args = instance.args();
        if let Some(word) = args.peek().filter(|word| word.text.parse::<i64>().is_ok()) {
            let most = Duration::from_secs(word.integer("TTL", 1..=i64::from(u32::MAX))? as u64);
            self.limits.success.1 = most;
            self.limits.denial.1 = most;
            args.next();
        }
        self.zones = args.zones_or(&keys.zones)?;
        Ok(())
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        match line.word.text.as_str() {
            "success" => half(line, &mut self.capacity.0, &mut self.limits.success),
            "denial" => half(line, &mut self.capacity.1, &mut self.limits.denial),
            "servfail" => {
                let word = line.args().one("a duration")?;
                self.limits.failure = word.duration()?;
                if self.limits.failure > Duration::from_secs(300) {
                    return Err(word.error("failures may be kept for 5m at most"));
                }
                Ok(())
            }
            "disable" => self.disable(line),
            "keepttl" => {
                self.keep_ttl = true;
                line.no_args()
            }
            "prefetch" | "serve_stale" | "serve_stale_policy" => {
                Err(line.error("this property is not built into seamark yet"))
            }
            _ => Err(line.unknown(&PROPERTIES)),
        }
    }

    fn disable(&mut self, line: &Line) -> Result<(), Error> {
        let mut args = line.args();
        let word = args.require("`success` or `denial`")?;
        let half = match word.text.as_str() {
            "success" => 0,
            "denial" => 1,
            _ => return Err(word.unknown("class", &["success", "denial"])),
        };
        self.disabled[half] = Some(args.zones_or(&[".".to_owned()])?);
        Ok(())
    }
}

fn half(line: &Line, capacity: &mut u64, limits: &mut (Duration, Duration)) -> Result<(), Error> {
    let mut args = line.args();
    *capacity = (args.integer("capacity", 0..=i64::from(u32::MAX))? as u64).max(LEAST_CAPACITY);
    if args.peek().is_some() {
        limits.1 = Duration::from_secs(args.integer("TTL", 1..=i64::from(u32::MAX))? as u64);
    }
    if args.peek().is_some() {
        limits.0 = Duration::from_secs(args.integer("least TTL", 0..=i64::from(u32::MAX))? as u64);
    }
    args.finish()
}

impl Build for Config {
    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let zone_set = |zones: &[String]| ZoneSet::parse(zones).map_err(|error| BuildError(error.to_string()));
        let disabled = |half: &Option<Vec<String>>| zone_set(half.as_deref().unwrap_or_default());
        let key = format!("{:?} {self:?}", block.servers());
        let store = block.shared::<AnswerCache>(&key, || Ok(AnswerCache::new(self.capacity.0, self.capacity.1)))?;
        let zones = self.zones.join(",");
        let metrics =
            block.servers().iter().map(|server| Metrics::register(block.registry(), server, &zones)).collect();
        if let Some(server) = block.servers().first() {
            super::metrics::sample(block.registry(), &Arc::downgrade(&store), server, &zones);
        }
        block.link(super::CachePlugin {
            zones: zone_set(&self.zones)?,
            limits: self.limits,
            disabled: [disabled(&self.disabled[0])?, disabled(&self.disabled[1])?],
            keep_ttl: self.keep_ttl,
            store,
            metrics,
        });
        Ok(())
    }
}
