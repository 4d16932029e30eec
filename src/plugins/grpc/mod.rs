#![doc = include_str!("README.md")]

mod config;
mod metrics;
mod proxy;

use std::sync::Arc;

use crate::{
    chain::{Context, Directive, Plugin, Rest, Step, WatchUpstreams, Watched, ZoneSet},
    upstream::Ask,
    wire::{Name, Rcode, Response},
};
use proxy::Proxy;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "grpc", parse: config::parse };

struct Grpc {
    from: Name,
    except: ZoneSet,
    fallthrough: ZoneSet,
    proxy: Arc<Proxy>,
    watchers: Arc<[Arc<dyn WatchUpstreams>]>,
}

impl Plugin for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        let question = cx.question();
        if !self.takes(&question.name) {
            return Step::Next;
        }
        let may_go_on = !rest.is_empty() && self.fallthrough.contains(&question.name);
        let beyond = may_go_on.then(|| (rest.keep(), cx.clone()));
        let ask = Arc::new(Ask { question: question.clone(), flags: cx.query.flags, edns: cx.query.edns.clone() });
        let (proxy, watched) = (Arc::clone(&self.proxy), Watched::of(&self.watchers, cx));
        Step::Wait(Box::pin(async move {
            let response = proxy.ask(&ask, watched.as_ref()).await;
            match beyond {
                Some((asker, cx)) if is_nothing(&response) => asker.ask(cx).await.unwrap_or(response),
                _ => response,
            }
        }))
    }
}

impl Grpc {
    /// FROM itself is asked even if it is among the exceptions.
    fn takes(&self, name: &Name) -> bool {
        name.is_within(&self.from) && (*name == self.from || !self.except.contains(name))
    }
}

/// Whether the upstreams do not know the name, or have not answered.
fn is_nothing(response: &Response) -> bool {
    response.rcode == Rcode::NXDOMAIN || response.cause.is_some()
}
