use std::{sync::Arc, time::Duration};

use super::{CachePlugin, keeper::Keeper, metrics::Metrics};
use crate::{
    cache::{AnswerCache, Bounds, Limits},
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Args, Error, Errors, Instance, Line, Stanza, Token},
};

const PROPERTIES: [&str; 8] =
    ["success", "denial", "prefetch", "serve_stale", "serve_stale_policy", "servfail", "disable", "keepttl"];
/// Answers of one half unless the Corefile says otherwise: CoreDNS rounds its 10,000 down to this.
const CAPACITY: u64 = 9984;
/// CoreDNS never goes below this, whatever is written.
const LEAST_CAPACITY: u64 = 1024;
const FIVE_MINUTES: Duration = Duration::from_secs(300);
/// How often what has ended is taken out of the store.
const SWEEP: Duration = Duration::from_secs(30);

/// The `cache` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) zones: Vec<String>,
    pub(super) limits: Limits,
    pub(super) capacity: (u64, u64),
    pub(super) prefetch: Option<Prefetch>,
    pub(super) stale: Option<Stale>,
    pub(super) prefer_positive: bool,
    /// Zones whose answers are not kept: with data, and denials.
    pub(super) disabled: [Vec<String>; 2],
    pub(super) keep_ttl: bool,
}

/// When an answer is fetched again before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefetch {
    /// After so many hits,
    pub(super) amount: u32,
    /// with no gap between them of this,
    pub(super) gap: Duration,
    /// once this part of the life is left, in percent.
    pub(super) percentage: u32,
}

/// How answers that have ended are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stale {
    /// So long behind their end.
    pub(super) window: Duration,
    /// The source is asked first.
    pub(super) verify: bool,
    /// How long the source may take then; zero = as long as it does.
    pub(super) patience: Duration,
    /// The TTL that they are given with.
    pub(super) ttl: Duration,
    /// How long the source is left alone after a failure.
    pub(super) recheck: Duration,
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
            prefetch: None,
            stale: None,
            prefer_positive: false,
            disabled: [Vec::new(), Vec::new()],
            keep_ttl: false,
        };
        config.arguments(instance, keys)?;
        for line in &instance.lines {
            config.property(line).map_err(|error| error.within(&line.word.text))?;
        }
        let policy = instance.lines.iter().find(|line| line.word.text == "serve_stale_policy");
        if let Some(line) = policy.filter(|_| config.stale.is_none()) {
            return Err(line.error("needs `serve_stale` in the same block").within("serve_stale_policy"));
        }
        Ok(config)
    }

    /// A first word that is a number is the TTL; everything else is a zone.
    fn arguments(&mut self, instance: &Instance, keys: &Keys) -> Result<(), Error> {
        let mut args = instance.args();
        if args.peek().is_some_and(|word| word.text.parse::<i64>().is_ok()) {
            let most = ttl(&mut args, "TTL", 1)?;
            self.limits.success.1 = most;
            self.limits.denial.1 = most;
        }
        self.zones = args.zones_or(&keys.zones)?;
        Ok(())
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        match line.word.text.as_str() {
            "success" => half(line, &mut self.capacity.0, &mut self.limits.success),
            "denial" => half(line, &mut self.capacity.1, &mut self.limits.denial),
            "prefetch" => {
                self.prefetch = prefetch(line)?;
                Ok(())
            }
            "serve_stale" => {
                self.stale = stale(line)?;
                Ok(())
            }
            "serve_stale_policy" => self.policy(line),
            "servfail" => {
                let word = line.args().one("a duration")?;
                self.limits.failure = at_most_five_minutes(word, "failures may be kept for 5m at most")?;
                Ok(())
            }
            "disable" => self.disable(line),
            "keepttl" => {
                self.keep_ttl = true;
                line.no_args()
            }
            _ => Err(line.unknown(&PROPERTIES)),
        }
    }

    fn policy(&mut self, line: &Line) -> Result<(), Error> {
        let word = line.args().one("`prefer_positive`")?;
        if word.text != "prefer_positive" {
            return Err(word.unknown("policy", &["prefer_positive"]));
        }
        if self.prefer_positive {
            return Err(line.error("may stand only once"));
        }
        self.prefer_positive = true;
        Ok(())
    }

    fn disable(&mut self, line: &Line) -> Result<(), Error> {
        let mut args = line.args();
        let word = args.require("`success` or `denial`")?;
        let half = match word.text.as_str() {
            "success" => 0,
            "denial" => 1,
            _ => return Err(word.unknown("class", &["success", "denial"])),
        };
        self.disabled[half] = args.zones_or(&[".".to_owned()])?;
        Ok(())
    }
}

fn ttl(args: &mut Args<'_>, what: &str, least: i64) -> Result<Duration, Error> {
    args.integer(what, least..=i64::from(u32::MAX)).map(|seconds| Duration::from_secs(seconds as u64))
}

fn at_most_five_minutes(word: &Token, otherwise: &str) -> Result<Duration, Error> {
    let time = word.duration()?;
    if time > FIVE_MINUTES { Err(word.error(otherwise)) } else { Ok(time) }
}

/// `CAPACITY [TTL] [MINTTL]`. A capacity of 0 or less does not switch anything off: CoreDNS has a least capacity.
fn half(line: &Line, capacity: &mut u64, limits: &mut (Duration, Duration)) -> Result<(), Error> {
    let mut args = line.args();
    let written = args.integer("capacity", i64::MIN..=i64::from(u32::MAX))?;
    *capacity = u64::try_from(written).unwrap_or(0).max(LEAST_CAPACITY);
    if args.peek().is_some() {
        limits.1 = ttl(&mut args, "TTL", 1)?;
    }
    if args.peek().is_some() {
        limits.0 = ttl(&mut args, "least TTL", 0)?;
    }
    args.finish()
}

/// `AMOUNT [DURATION [PERCENTAGE%]]`. An amount of 0 switches it off.
fn prefetch(line: &Line) -> Result<Option<Prefetch>, Error> {
    let mut args = line.args();
    let amount = args.integer("amount", 0..=i64::from(u32::MAX))? as u32;
    let mut prefetch = Prefetch { amount, gap: Duration::from_secs(60), percentage: 10 };
    if args.peek().is_some() {
        prefetch.gap = args.duration("duration")?;
    }
    if let Some(word) = args.next() {
        prefetch.percentage = word.percentage("percentage", 10..=90)?;
    }
    args.finish()?;
    Ok((amount > 0).then_some(prefetch))
}

/// `[DURATION [immediate [TTL [RECHECK]] | verify [TIMEOUT [TTL [RECHECK]]]]]`. A duration of 0 switches it off.
fn stale(line: &Line) -> Result<Option<Stale>, Error> {
    let mut args = line.args();
    let zero = Duration::ZERO;
    let mut stale =
        Stale { window: Duration::from_secs(3600), verify: false, patience: zero, ttl: zero, recheck: zero };
    if args.peek().is_some() {
        stale.window = args.duration("duration")?;
    }
    if let Some(mode) = args.next() {
        stale.verify = match mode.text.to_ascii_lowercase().as_str() {
            "immediate" => false,
            "verify" => true,
            _ => return Err(mode.unknown("refresh mode", &["immediate", "verify"])),
        };
    }
    if stale.verify && args.peek().is_some() {
        stale.patience = args.duration("time-out")?;
    }
    if let Some(word) = args.next() {
        stale.ttl = word.duration()?;
        if stale.ttl.subsec_nanos() != 0 {
            return Err(word.error("the TTL must be whole seconds"));
        }
    }
    if let Some(word) = args.next() {
        stale.recheck = at_most_five_minutes(word, "5m is the most")?;
    }
    args.finish()?;
    Ok((!stale.window.is_zero()).then_some(stale))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("keeps what those below answer, but for live data of the cluster")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let zone_set = |zones: &[String]| ZoneSet::parse(zones).map_err(|error| BuildError(error.to_string()));
        let label = self.zones.join(",");
        let servers = block.servers().to_vec();
        let view = block.view().to_owned();
        // The zones and the view of the block are part of the key: two blocks never share a store.
        let key = format!("{servers:?} {:?} {view:?} {self:?}", block.zones());
        let bounds = Bounds {
            success: self.capacity.0,
            denial: self.capacity.1,
            stale: self.stale.map_or(Duration::ZERO, |stale| stale.window),
        };
        let first = servers.first().map_or("", String::as_str);
        let evicted = super::metrics::evictions(block.registry(), first, &label, &view);
        // The gauge is registered with the store, once: a store that is kept over a reload keeps its reader.
        let registry = Arc::clone(block.registry());
        let store = block.shared::<Arc<AnswerCache>>(&key, || {
            let store = Arc::new(AnswerCache::new(bounds, evicted));
            super::metrics::sample(&registry, &Arc::downgrade(&store), &servers, &label, &view);
            Ok(store)
        })?;
        let metrics =
            block.servers().iter().map(|server| Metrics::register(block.registry(), server, &label, &view)).collect();
        let keeper = Keeper {
            zones: zone_set(&self.zones)?,
            limits: self.limits,
            prefetch: self.prefetch,
            stale: self.stale,
            prefer_positive: self.prefer_positive,
            disabled: [zone_set(&self.disabled[0])?, zone_set(&self.disabled[1])?],
            keep_ttl: self.keep_ttl,
            store: Arc::clone(&store),
            flights: Arc::default(),
            metrics,
            clock: Box::new(std::time::Instant::now),
        };
        block.task(sweep(Arc::clone(&store)));
        block.link(CachePlugin(Arc::new(keeper)));
        Ok(())
    }
}

/// Takes what has ended out of the store, so that its memory is free before its place is needed.
async fn sweep(store: Arc<AnswerCache>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        store.sweep(std::time::Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Config, String> {
        let stanza = corefile::stanza(text);
        let keys = Keys { zones: vec!["example.org.".to_owned()] };
        Config::read(&stanza, &keys).map_err(|error| error.message().to_owned())
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_word_is_the_ttl_if_it_is_a_number() {
        let most = |config: &Config| (config.limits.success.1, config.limits.denial.1);
        let plain = read("cache").unwrap();
        assert_eq!((most(&plain), plain.zones.len()), ((seconds(3600), seconds(1800)), 1));
        let short = read("cache 30").unwrap();
        assert_eq!(most(&short), (seconds(30), seconds(30)));
        let zone = read("cache 3600s").unwrap();
        assert_eq!((most(&zone), zone.zones), ((seconds(3600), seconds(1800)), vec!["3600s.".to_owned()]));
        assert!(read("cache 0").is_err());
        assert!(read("cache -1").is_err());
    }

    #[test]
    fn properties() {
        let kubeadm = read("cache 30 {\ndisable success cluster.local\ndisable denial cluster.local\n}").unwrap();
        assert_eq!(kubeadm.disabled, [vec!["cluster.local.".to_owned()], vec!["cluster.local.".to_owned()]]);
        let node_local = read("cache {\nsuccess 9984 30\ndenial 9984 5\n}").unwrap();
        assert_eq!((node_local.limits.success.1, node_local.limits.denial.1), (seconds(30), seconds(5)));
        assert_eq!(read("cache {\ndenial 0\n}").unwrap().capacity.1, LEAST_CAPACITY);
        assert_eq!(read("cache {\nsuccess 5000 60 0\n}").unwrap().limits.success, (seconds(0), seconds(60)));
        assert_eq!(read("cache {\nprefetch 0\n}").unwrap().prefetch, None);
        let prefetch = |amount, gap, percentage| Some(Prefetch { amount, gap: seconds(gap), percentage });
        assert_eq!(read("cache {\nprefetch 1\n}").unwrap().prefetch, prefetch(1, 60, 10));
        assert_eq!(read("cache {\nprefetch 10 2m 20%\n}").unwrap().prefetch, prefetch(10, 120, 20));
        assert!(read("cache {\nkeepttl\n}").unwrap().keep_ttl);
        assert!(read("cache {\nserve_stale\nserve_stale_policy prefer_positive\n}").unwrap().prefer_positive);
    }

    #[test]
    fn serve_stale_reads_what_its_mode_takes() {
        let stale = |window, verify, patience, ttl, recheck| {
            let [window, ttl, recheck] = [window, ttl, recheck].map(seconds);
            Some(Stale { window, verify, patience: Duration::from_millis(patience), ttl, recheck })
        };
        for (line, expected) in [
            ("serve_stale", stale(3600, false, 0, 0, 0)),
            ("serve_stale 0", None),
            ("serve_stale 1m", stale(60, false, 0, 0, 0)),
            ("serve_stale 1m immediate 30s 10s", stale(60, false, 0, 30, 10)),
            ("serve_stale 1m VERIFY", stale(60, true, 0, 0, 0)),
            ("serve_stale 1m verify 100ms 30s 10s", stale(60, true, 100, 30, 10)),
        ] {
            assert_eq!(read(&format!("cache {{\n{line}\n}}")).unwrap().stale, expected, "{line}");
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (line, message) in [
            ("prefetch 2 1m 5%", "prefetch: percentage: expected a percentage between 10% and 90%, found `5%`"),
            ("prefetch", "prefetch: amount: expected a number"),
            ("serve_stale 1h maybe", "serve_stale: unknown refresh mode `maybe`; expected one of: immediate, verify"),
            ("serve_stale 1h immediate 1500ms", "serve_stale: the TTL must be whole seconds"),
            ("serve_stale 1h immediate 5s 6m", "serve_stale: 5m is the most"),
            ("serve_stale_policy prefer_positive", "serve_stale_policy: needs `serve_stale` in the same block"),
            ("servfail 6m", "servfail: failures may be kept for 5m at most"),
            ("disable succes", "disable: unknown class `succes`; did you mean `success`?"),
            ("prefetchh 1", "unknown property `prefetchh`; did you mean `prefetch`?"),
        ] {
            assert_eq!(read(&format!("cache {{\n{line}\n}}")), Err(message.to_owned()), "{line}");
        }
    }
}
