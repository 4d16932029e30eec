#![doc = include_str!("README.md")]

mod probe;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
};

use crate::{
    chain::{Again, Block, Build, BuildError, Context, Control, Directive, Keys, Plugin, Rest, Role, Sent, Step},
    corefile::{Errors, Stanza},
    wire::{Name, RecordType},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "loop", parse };

/// How often a probe may be seen: once from ourselves, and once more if the network doubles it.
const HARMLESS: u32 = 2;

struct LoopGuard {
    zone: Name,
    probe: Name,
    watch: Arc<Watch>,
    control: Control,
}

/// What the sender of the probes and the one who sees them come back share.
#[derive(Default)]
struct Watch {
    /// How often the probe that is under way has been seen.
    seen: AtomicU32,
    /// Who sent it first: ourselves.
    first: Mutex<Option<SocketAddr>>,
    /// A probe has been answered, or nobody answers at all: nothing more to look for.
    over: AtomicBool,
}

impl Watch {
    /// Only what one probe brings back counts: those that an upstream leaves unanswered are no loop.
    fn start_anew(&self) {
        self.seen.store(0, Relaxed);
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

struct Config;

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    let instance = stanza.once()?;
    instance.no_args()?;
    instance.no_block()?;
    Ok(Box::new(Config))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("ends the process if its own queries come back")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let zone = block.zones().first().copied().unwrap_or_else(Name::root);
        let probe = probe::name(&zone).map_err(|error| BuildError(error.to_string()))?;
        let watch = Arc::new(Watch::default());
        let (registry, sender) = (Arc::clone(block.registry()), Arc::clone(&watch));
        block.after_start(move |started| async move {
            if let Some(&address) = started.addresses.first() {
                probe::send(probe, address, &registry, &sender).await;
            }
            sender.over.store(true, Relaxed);
        });
        block.link(LoopGuard { zone, probe, watch, control: block.control() });
        Ok(())
    }
}

impl Plugin for LoopGuard {
    fn name(&self) -> &'static str {
        "loop"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        let watch = &self.watch;
        if question.record_type != RecordType::HINFO || watch.over.load(Relaxed) || question.name != self.probe {
            return Step::Next;
        }
        // Once from somebody else is enough: that is an upstream, or ourselves as one.
        let first = *watch.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(cx.peer);
        if watch.seen.fetch_add(1, Relaxed) >= HARMLESS || first != cx.peer {
            let [peer, local] = [cx.peer, cx.local].map(probe::canonical);
            // People look for this line, and the page is the one they know.
            self.control.exit(format!(
                "plugin/loop: Loop ({peer} -> {local}) detected for zone \"{}\", see \
                 https://coredns.io/plugins/loop#troubleshooting. Query: \"HINFO {}\"",
                self.zone, question.name
            ));
        }
        Step::Next
    }

    fn again(&self, cx: &Context, _: &Sent<'_>) -> Again {
        if cx.question().record_type == RecordType::HINFO { Again::Never } else { Again::Always }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        chain::{Chain, Transport},
        metrics::Registry,
        wire::{Query, Question},
    };

    #[test]
    fn a_probe_that_comes_back_ends_the_process() {
        let (control, mut reasons) = Control::new();
        let zone = Name::parse("example.org").unwrap();
        let probe = probe::name(&zone).unwrap();
        let watch = Arc::new(Watch::default());
        let guard = LoopGuard { zone, probe, watch: Arc::clone(&watch), control };
        let panics = Registry::new().counter("panics", "-", &[]).with_label_values::<&str>(&[]);
        let chain = Arc::new(Chain::new(vec![Box::new(guard)], panics, false));
        let mut ask_from = |peer: &str, name: Name, kind| {
            let query = Query::internal(Question::new(name, kind));
            let (peer, local) = (peer.parse().unwrap(), "192.0.2.2:53".parse().unwrap());
            chain.walk(&mut Context::new(query, peer, local, Transport::Udp, Instant::now()));
            reasons.try_recv().ok()
        };
        assert_eq!(ask_from("192.0.2.1:1234", probe, RecordType::HINFO), None);
        let reason = ask_from("192.0.2.1:1235", probe, RecordType::HINFO).unwrap();
        assert!(reason.starts_with("plugin/loop: Loop (192.0.2.1:1235 -> 192.0.2.2:53)"), "from elsewhere: {reason}");
        watch.start_anew();
        let mut ask = |name, kind| ask_from("[::ffff:192.0.2.1]:1234", name, kind);
        for _ in 0..5 {
            assert_eq!(ask(probe, RecordType::A), None, "another type");
            assert_eq!(ask(probe.parent(1), RecordType::HINFO), None, "another name");
        }
        assert_eq!(ask(probe, RecordType::HINFO), None);
        assert_eq!(ask(probe, RecordType::HINFO), None);
        let reason = ask(probe, RecordType::HINFO).unwrap();
        let start = "plugin/loop: Loop (192.0.2.1:1234 -> 192.0.2.2:53) detected for zone \"example.org.\"";
        assert!(reason.starts_with(start), "{reason}");
        assert!(reason.ends_with(&format!("\"HINFO {probe}\"")), "{reason}");
        watch.over.store(true, Relaxed);
        assert_eq!(ask(probe, RecordType::HINFO), None, "nothing more to look for");
    }
}
