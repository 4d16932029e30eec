#![doc = include_str!("README.md")]

mod config;
mod node;
mod search;
#[cfg(test)]
mod tests;
mod walk;

use std::{net::IpAddr, sync::Arc};

use crate::{
    chain::{Asker, Context, Directive, Offered, Outcome, Parked, Plugin, Rest, Server, Step, ZoneSet},
    kubernetes::{Cluster, Served, answer::PodMode},
    metrics::Counter,
    wire::{Failure, Name, Opcode, Question, Rcode, Response},
};
use search::Candidates;
use walk::Walk;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "autopath", parse: config::parse };

struct Autopath {
    zones: ZoneSet,
    lists: Lists,
    server: Server,
    /// Questions answered along a list, by listener of the block.
    answered: Vec<Counter>,
}

/// Where clients' search lists come from.
enum Lists {
    /// One for all.
    One(Arc<[Name]>),
    /// The pods of the block's `kubernetes`.
    Cluster { served: Offered<Served>, rest: Arc<[Name]> },
    /// The pods of this node; `None` if nobody can be asked for them.
    Node { cluster: Option<Arc<Cluster>>, rest: Arc<[Name]> },
}

impl Lists {
    /// The names to ask in place of a question in `zone`; `None` if no search list has made it.
    fn candidates(&self, question: &Name, zone: &Name, client: IpAddr) -> Option<Candidates> {
        match self {
            Self::One(list) => Candidates::of_list(question, list),
            Self::Cluster { served, rest } => {
                let Served { cluster, zones, policy } = served.taken()?;
                let zone = zones.iter().find(|zone| question.is_within(zone))?;
                let known = policy.pods == PodMode::Verified;
                let is_client = |namespace: &[u8]| known && cluster.index().is_client(namespace, client);
                Candidates::of_pod(question, zone, rest, is_client)
            }
            Self::Node { cluster, rest } => {
                let cluster = cluster.as_ref()?;
                let is_client = |namespace: &[u8]| cluster.is_current() && cluster.index().is_client(namespace, client);
                Candidates::of_pod(question, zone, rest, is_client)
            }
        }
    }
}

/// What the way along a list waits for first.
enum Pending {
    Parked(Parked),
    /// A name that another server block answers.
    Elsewhere,
}

impl Plugin for Autopath {
    fn name(&self) -> &'static str {
        "autopath"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        // Targets of aliases, which the server asks itself, are not made by a search list.
        if cx.depth() > 0 || cx.query.flags.opcode() != Opcode::QUERY {
            return Step::Next;
        }
        let question = cx.question();
        let Some(zone) = self.zones.find(&question.name) else { return Step::Next };
        let client = cx.peer.ip().to_canonical();
        let Some(candidates) = self.lists.candidates(&question.name, zone, client) else { return Step::Next };
        let mut walk = Walk::new(candidates);
        let mut inner = cx.clone();
        // What the cluster and the cache know is answered at once.
        while let Some(name) = walk.next() {
            inner = asking(inner, name);
            if !self.is_ours(cx, &inner) {
                return self.wait(cx, rest, walk, inner, Pending::Elsewhere);
            }
            match rest.walk(&mut inner) {
                Outcome::Answered(response) => {
                    if let Some(response) = walk.take(response, &question.name) {
                        self.answered[usize::from(cx.place.server)].inc();
                        return response.into();
                    }
                }
                Outcome::Parked(parked) => return self.wait(cx, rest, walk, inner, Pending::Parked(parked)),
                Outcome::Dropped => return Step::Drop,
            }
        }
        walk.denial().into()
    }
}

/// The query again, for another name.
fn asking(cx: Context, name: Name) -> Context {
    let question = Question { name, ..cx.question().clone() };
    let mut cx = cx.into_fresh();
    cx.query.question = question;
    cx
}

impl Autopath {
    /// Whether the block that was asked answers this question too.
    fn is_ours(&self, cx: &Context, inner: &Context) -> bool {
        self.server.share_block(cx, inner.question())
    }

    /// Goes on when what must be waited for has come.
    fn wait(&self, cx: &Context, rest: Rest<'_>, walk: Walk, inner: Context, pending: Pending) -> Step {
        let way = Way {
            walk,
            inner,
            question: cx.question().name,
            routed_by: cx.query.question.clone(),
            asker: rest.keep(),
            server: self.server.clone(),
            answered: self.answered[usize::from(cx.place.server)].clone(),
        };
        Step::Wait(Box::pin(way.finish(pending)))
    }
}

/// A way along a list on which somebody else is asked.
struct Way {
    walk: Walk,
    inner: Context,
    question: Name,
    /// The client's own question, which led to this block.
    routed_by: Question,
    asker: Asker,
    server: Server,
    answered: Counter,
}

impl Way {
    async fn finish(mut self, pending: Pending) -> Response {
        let mut response = match pending {
            Pending::Parked(parked) => Some(parked.finish(&mut self.inner).await),
            Pending::Elsewhere => Some(self.server.ask(self.inner.clone()).await),
        };
        loop {
            let Some(found) = response else {
                let silent = Failure::Server("a plugin wants no answer given to a name of the search list".into());
                return Response::failure(Rcode::SERVFAIL, silent);
            };
            if let Some(response) = self.walk.take(found, &self.question) {
                self.answered.inc();
                return response;
            }
            let Some(name) = self.walk.next() else { return self.walk.denial() };
            self.inner = asking(self.inner, name);
            response = if self.server.share_block(&self.inner, &self.routed_by) {
                self.asker.ask(self.inner.clone()).await
            } else {
                Some(self.server.ask(self.inner.clone()).await)
            };
        }
    }
}
