use std::sync::{Arc, OnceLock, Weak};

use super::{Chain, Context, Outcome, Waiting};
use crate::wire::{Failure, Question, Rcode, Response};

/// What stands behind a plugin in its chain. Costs nothing until it is kept.
#[derive(Clone, Copy)]
pub struct Rest<'a> {
    chain: &'a Arc<Chain>,
    at: usize,
}

impl<'a> Rest<'a> {
    pub(super) const fn new(chain: &'a Arc<Chain>, at: usize) -> Self {
        Self { chain, at }
    }

    /// Takes the query along the rest of the chain now, for who must see the answer before it is one.
    pub fn walk(&self, cx: &mut Context) -> Outcome {
        self.chain.walk_from(self.at, cx)
    }

    /// Whether nothing stands behind.
    pub fn is_empty(&self) -> bool {
        self.at >= self.chain.len()
    }

    /// Keeps the rest of the chain for asking it again later.
    pub fn keep(&self) -> Asker {
        Asker { chain: Arc::clone(self.chain), from: self.at }
    }
}

/// Asks the remainder of a chain: for prefetch, search paths, address synthesis.
#[derive(Clone)]
pub struct Asker {
    chain: Arc<Chain>,
    from: usize,
}

impl Asker {
    /// Takes a query along the remainder of the chain. `None` if a plugin wants no answer sent.
    pub async fn ask(&self, mut cx: Context) -> Option<Response> {
        match self.chain.walk_from(self.from, &mut cx) {
            Outcome::Answered(response) => Some(response),
            Outcome::Parked(parked) => Some(parked.finish(&mut cx).await),
            Outcome::Dropped => None,
        }
    }
}

/// Routes a query as if a client had sent it: implemented by the compiled site.
pub trait Inquire: Send + Sync {
    /// Asks the listener that `cx.place` names.
    fn inquire(&self, cx: Context) -> Waiting<Option<Response>>;

    /// Whether the server block that answers a query would answer it as well if it asked this.
    fn share_block(&self, cx: &Context, other: &Question) -> bool;
}

/// Where a site puts itself once it is complete.
#[derive(Clone, Default)]
pub struct ServerSlot(Arc<OnceLock<Weak<dyn Inquire>>>);

impl ServerSlot {
    /// Fills the slot; later calls change nothing.
    pub fn fill(&self, site: Weak<dyn Inquire>) {
        _ = self.0.set(site);
    }

    /// The handle that plugins keep.
    pub fn server(&self) -> Server {
        Server(self.clone())
    }
}

/// How many questions of our own may stand below one another. Search lists and chains of aliases need two or three.
const DEEPEST: u8 = 8;

/// The whole server, for plugins that must look a name up as a client would (CNAME targets, say).
#[derive(Clone, Default)]
pub struct Server(ServerSlot);

impl Server {
    /// Whether the server block that answers a query would answer it as well if it asked this.
    pub fn share_block(&self, cx: &Context, other: &Question) -> bool {
        self.0.0.get().and_then(Weak::upgrade).is_none_or(|site| site.share_block(cx, other))
    }

    /// Asks another question in place of the query's own, as [`Server::ask`].
    pub async fn ask_for(&self, mut cx: Context, question: Question) -> Response {
        cx.query.question = question;
        self.ask(cx.into_fresh()).await
    }

    /// Asks the listener that the query came to. SERVFAIL if the site is gone.
    pub async fn ask(&self, mut cx: Context) -> Response {
        cx.depth += 1;
        if cx.depth > DEEPEST {
            // Aliases that lead in a circle over several blocks or zones.
            return Response::failure(Rcode::SERVFAIL, Failure::Server("too many questions below one another".into()));
        }
        let site = self.0.0.get().and_then(Weak::upgrade);
        let answer = match site {
            Some(site) => site.inquire(cx).await,
            None => None,
        };
        answer.unwrap_or_else(|| {
            Response::failure(Rcode::SERVFAIL, Failure::Server("the server gave no answer to itself".into()))
        })
    }
}
