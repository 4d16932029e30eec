#![doc = include_str!("README.md")]

mod config;
mod members;
mod metrics;
mod proxy;
mod round_trips;
mod target;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::{
    chain::{Context, Directive, LabelSource, Plugin, Rest, Step, WatchUpstreams, Watched, ZoneSet},
    upstream::{Ask, Departures},
    wire::{Body, Failure, Name, Question, Rcode, Response},
};
use proxy::Proxy;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "forward", parse: config::parse };

/// All `forward` lines of a server block: the first that takes a name handles it.
struct Forwarding {
    lines: Arc<[Forward]>,
    departures: Arc<Departures>,
    watchers: Arc<[Arc<dyn WatchUpstreams>]>,
}

/// One `forward` line at work.
struct Forward {
    from: Name,
    except: ZoneSet,
    proxy: Arc<Proxy>,
    under_way: Arc<AtomicUsize>,
}

/// One query under way.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Plugin for Forwarding {
    fn name(&self) -> &'static str {
        "forward"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        let Some(mut at) = taker(&self.lines, question, 0) else { return Step::Next };
        if let Some(looped) = round_trips::upstream(&self.departures, cx) {
            return round_trips::refuse(&looped, cx.start).into();
        }
        let Some(mut place) = self.lines[at].enter() else { return self.lines[at].refuse().into() };
        let ask = Arc::new(Ask { question: question.clone(), flags: cx.query.flags, edns: cx.query.edns.clone() });
        let (lines, transport) = (Arc::clone(&self.lines), cx.transport);
        let watched = Watched::of(&self.watchers, cx);
        Step::Wait(Box::pin(async move {
            loop {
                let response = lines[at].proxy.ask(&ask, transport, watched.as_ref()).await;
                let next = taker(&lines, &ask.question, at + 1);
                let Some(next) = next.filter(|_| lines[at].hands_on(&response)) else {
                    drop(place);
                    return response;
                };
                at = next;
                let Some(entered) = lines[at].enter() else { return lines[at].refuse() };
                place = entered;
            }
        }))
    }
}

/// The label `forward/upstream`.
struct UpstreamLabel;

impl LabelSource for UpstreamLabel {
    fn label(&self, cx: &Context, name: &str) -> Option<String> {
        let upstream = (name == "forward/upstream").then(|| cx.upstream())?;
        upstream.map(|address| address.to_string())
    }

    fn is_of_the_way(&self) -> bool {
        true
    }
}

/// Number of the first line from `start` on that takes a name.
fn taker(lines: &[Forward], question: &Question, start: usize) -> Option<usize> {
    (start..lines.len()).find(|&at| lines[at].takes(&question.name))
}

impl Forward {
    /// FROM itself is asked even if it is among the exceptions.
    fn takes(&self, name: &Name) -> bool {
        name.is_within(&self.from) && (*name == self.from || !self.except.contains(name))
    }

    /// A place among the queries under way; `None` if there are too many.
    fn enter(&self) -> Option<UnderWay> {
        let most = self.proxy.options.max_concurrent;
        let place = UnderWay(Arc::clone(&self.under_way));
        (self.under_way.fetch_add(1, Relaxed) < most || most == 0).then_some(place)
    }

    fn refuse(&self) -> Response {
        self.proxy.metrics.rejects.inc();
        let text = format!("concurrent queries exceeded maximum {}", self.proxy.options.max_concurrent);
        Response::failure(Rcode::REFUSED, Failure::Upstream(text.into()))
    }

    /// Whether the next line shall have a try (`next`, `next_on_nodata`). A failure of the network is no reason.
    fn hands_on(&self, response: &Response) -> bool {
        let Body::Packet(packet) = &response.body else { return false };
        let options = &self.proxy.options;
        let empty = || packet.entries().iter().all(|entry| entry.section != 0);
        options.next.contains(&response.rcode) || options.next_on_nodata && response.rcode == Rcode::NOERROR && empty()
    }
}
