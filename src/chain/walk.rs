use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures::FutureExt;

use super::{Context, Plugin, Rest, Sent, Step, Waiting};
use crate::{
    metrics::Counter,
    wire::{Failure, Rcode, Response},
};

/// The plugins of one server block in the order of the directive table.
pub struct Chain {
    pub(super) links: Box<[Box<dyn Plugin>]>,
    panics: Counter,
    catch_panics: bool,
}

/// How a walk ended.
#[expect(clippy::large_enum_variant, reason = "a response is moved, not boxed, on its way to the encoder")]
pub enum Outcome {
    /// With a response.
    Answered(Response),
    /// Some plugin waits; [`Parked::finish`] goes on.
    Parked(Parked),
    /// Nothing is to be sent.
    Dropped,
}

/// A walk that waits for somebody.
pub struct Parked {
    chain: Arc<Chain>,
    from: usize,
    at: usize,
    future: Waiting<Response>,
}

impl Chain {
    /// A chain of these plugins. `catch_panics` off lets a panic end the process (directive `debug`).
    pub fn new(links: Vec<Box<dyn Plugin>>, panics: Counter, catch_panics: bool) -> Self {
        Self { links: links.into(), panics, catch_panics }
    }

    /// The plugins' names in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.links.iter().map(|plugin| plugin.name())
    }

    /// Whether there is one that changes zones as clients ask for it (RFC 2136).
    pub fn takes_updates(&self) -> bool {
        self.links.iter().any(|plugin| plugin.takes_updates())
    }

    /// How many plugins there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there is no plugin at all.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Takes a query along the chain.
    pub fn walk(self: &Arc<Self>, cx: &mut Context) -> Outcome {
        self.walk_from(0, cx)
    }

    pub(super) fn walk_from(self: &Arc<Self>, from: usize, cx: &mut Context) -> Outcome {
        let mut at = from;
        let mut response = loop {
            let Some(plugin) = self.links.get(at) else {
                break Response::failure(Rcode::SERVFAIL, Failure::Server("no next plugin found".into()));
            };
            match self.step(plugin.as_ref(), cx, at) {
                Step::Next => at += 1,
                Step::Answer(response) => break response,
                Step::Wait(future) => {
                    let passed = self.links[from..at].iter().rev();
                    let future = passed.fold(future, |future, plugin| plugin.waiting(cx, future));
                    return Outcome::Parked(Parked { chain: Arc::clone(self), from, at, future });
                }
                Step::Drop => return Outcome::Dropped,
            }
        };
        self.back(from, at, cx, &mut response);
        Outcome::Answered(response)
    }

    fn step(self: &Arc<Self>, plugin: &dyn Plugin, cx: &mut Context, at: usize) -> Step {
        let rest = Rest::new(self, at + 1);
        if !self.catch_panics {
            return plugin.query(cx, rest);
        }
        match catch_unwind(AssertUnwindSafe(|| plugin.query(cx, rest))) {
            Ok(step) => step,
            Err(panic) => self.panicked(plugin.name(), cx, panic.as_ref()).into(),
        }
    }

    fn back(&self, from: usize, at: usize, cx: &mut Context, response: &mut Response) {
        if response.plugin.is_empty() {
            response.plugin = self.links.get(at).map_or("", |plugin| plugin.name());
        }
        cx.upstream = response.upstream.as_deref().copied().or(cx.upstream);
        for plugin in self.links[from..at.min(self.links.len())].iter().rev() {
            plugin.response(cx, response);
        }
        if from == 0 {
            cx.passed = at.min(self.links.len());
        }
    }

    fn panicked(&self, name: &str, cx: &Context, panic: &(dyn std::any::Any + Send)) -> Response {
        self.panics.inc();
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let question = cx.question();
        tracing::error!(
            plugin = name, name = %question.name, kind = %question.record_type, panic = text.unwrap_or("?"),
            "recovered from a panic in the chain"
        );
        Response::failure(Rcode::SERVFAIL, Failure::Server("panic in the chain".into()))
    }

    /// Tells the plugins which the query passed that the response has left.
    pub fn sent(&self, cx: &Context, sent: &Sent<'_>) {
        for plugin in self.links[..cx.passed].iter().rev() {
            plugin.sent(cx, sent);
        }
    }
}

impl Parked {
    /// Waits for the plugin's answer and takes it back along the chain.
    pub async fn finish(self, cx: &mut Context) -> Response {
        let Self { chain, from, at, future } = self;
        let name = chain.links[at].name();
        let mut response = if chain.catch_panics {
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(response) => response,
                Err(panic) => chain.panicked(name, cx, panic.as_ref()),
            }
        } else {
            future.await
        };
        chain.back(from, at, cx, &mut response);
        response
    }

    /// The chain that is walked.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }
}
