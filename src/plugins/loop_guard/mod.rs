#![doc = include_str!("README.md")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    chain::{Block, Build, BuildError, Context, Control, Directive, Keys, Plugin, Rest, Step},
    corefile::{Errors, Stanza},
    upstream::{Ask, Upstream},
    wire::{Flags, Name, Question, RecordType},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "loop", parse };

/// How often the probe may be seen: once from ourselves, and once more by a retry.
const HARMLESS: u32 = 2;
/// How long probes are sent until one is answered.
const PATIENCE: Duration = Duration::from_secs(30);

struct LoopGuard {
    probe: Name,
    zone: Name,
    seen: AtomicU32,
    /// The probe has been answered: nothing more to look for.
    over: Arc<AtomicBool>,
    control: Control,
}

struct Config;

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    let instance = stanza.once()?;
    instance.no_args()?;
    instance.no_block()?;
    Ok(Box::new(Config))
}

impl Build for Config {
    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let zone = block.zones().first().copied().unwrap_or_else(Name::root);
        // From a CSPRNG, so that nobody can guess the name and end the process by asking it.
        let label = || format!("{:016x}", rand::random::<u64>());
        let (first, second) = (label(), label());
        let probe =
            Name::under([first.as_bytes(), second.as_bytes()], &zone).map_err(|error| BuildError(error.to_string()))?;
        let over = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&over);
        block.after_start(move |started| async move {
            if let Some(address) = started.addresses.first() {
                send(probe, reachable(*address)).await;
            }
            done.store(true, Relaxed);
        });
        block.link(LoopGuard { probe, zone, seen: AtomicU32::new(0), over, control: block.control() });
        Ok(())
    }
}

/// Asks the probe until somebody answers.
async fn send(probe: Name, address: SocketAddr) {
    let upstream = Upstream::new(address, None, Duration::ZERO, 1);
    let question = Question::new(probe, RecordType::HINFO);
    let ask = Ask { question, flags: Flags(Flags::RD), edns: None };
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if upstream.ask(&ask, false, Duration::from_secs(2)).await.is_ok() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Where to reach an address that the server listens on.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

impl Plugin for LoopGuard {
    fn name(&self) -> &'static str {
        "loop"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        if question.record_type != RecordType::HINFO || self.over.load(Relaxed) || question.name != self.probe {
            return Step::Next;
        }
        if self.seen.fetch_add(1, Relaxed) >= HARMLESS {
            self.control.exit(format!(
                "plugin/loop: Loop ({} -> {}) detected for zone \"{}\", see https://coredns.io/plugins/loop#troubleshooting. Query: \"HINFO {}\"",
                cx.peer, cx.local, self.zone, question.name
            ));
        }
        Step::Next
    }
}
