#![doc = include_str!("README.md")]

mod config;
mod metrics;
mod proxy;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::{
    chain::{Context, Directive, Plugin, Rest, Step, ZoneSet},
    upstream::Ask,
    wire::{Failure, Name, Rcode, Response},
};
use proxy::Proxy;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "forward", parse: config::parse };

struct Forwarding {
    from: Name,
    except: ZoneSet,
    proxy: Arc<Proxy>,
    concurrent: Arc<AtomicUsize>,
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
        // FROM itself is asked even if it is among the exceptions.
        let excepted = question.name != self.from && self.except.contains(&question.name);
        if !question.name.is_within(&self.from) || excepted {
            return Step::Next;
        }
        let most = self.proxy.options.max_concurrent;
        let place = UnderWay(Arc::clone(&self.concurrent));
        if self.concurrent.fetch_add(1, Relaxed) >= most && most > 0 {
            self.proxy.metrics.rejects.inc();
            let cause = Failure::Upstream(format!("concurrent queries exceeded maximum {most}").into());
            return Response::failure(Rcode::REFUSED, cause).into();
        }
        let ask = Ask { question: question.clone(), flags: cx.query.flags, edns: cx.query.edns.clone() };
        let (proxy, transport) = (Arc::clone(&self.proxy), cx.transport);
        Step::Wait(Box::pin(async move {
            let response = proxy.ask(ask, transport).await;
            drop(place);
            response
        }))
    }
}
