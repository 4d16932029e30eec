#![doc = include_str!("README.md")]

mod config;
mod keeper;
mod metrics;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::{
    cache::{Age, Boarding, Key, Refresh},
    chain::{Again, Asker, Context, Directive, Plugin, Rest, Sent, Step, Terms, Transport, Waiting},
    wire::{Origin, Rcode, Response},
};
use config::Stale;
use keeper::{Found, Keeper};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "cache", parse: config::parse };

struct CachePlugin(Arc<Keeper>);

impl Plugin for CachePlugin {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        let question = cx.question();
        if !self.0.is_for(cx) {
            return Step::Next;
        }
        let metrics = self.0.metrics(cx);
        metrics.requests.inc();
        if self.0.keeps_nothing(&question.name) {
            metrics.misses.inc();
            return Step::Next;
        }
        let key = Key::of(question, &cx.query);
        self.0.store.versions().note(key.hash(), &mut cx.seen);
        let Some(found) = self.0.find(&key, cx.start) else {
            metrics.misses.inc();
            return Step::Next;
        };
        metrics.hits(found.half).inc();
        match (found.age, self.0.stale) {
            (Age::Fresh(left), _) => {
                if self.0.wants_prefetch(&found, left, cx.start) {
                    self.refresh_behind(&found, cx, rest);
                }
                self.0.fresh_answer(&found, left).into()
            }
            (Age::Ended(_), Some(stale)) if stale.verify => self.verify(found, stale, cx, rest),
            (Age::Ended(_), _) => {
                self.refresh_behind(&found, cx, rest);
                self.0.stale_answer(&found, cx).into()
            }
        }
    }

    /// A miss that must wait waits together with those that are equal: one of them asks.
    fn waiting(&self, cx: &Context, answer: Waiting<Response>) -> Waiting<Response> {
        let question = cx.question();
        // What we ask ourselves on the way to an answer must not wait for that answer.
        if !self.0.is_for(cx) || cx.depth() > 0 {
            return answer;
        }
        match self.0.board(cx) {
            Boarding::Pilot(pilot) => Box::pin(async move {
                let response = answer.await;
                pilot.land(&response);
                response
            }),
            Boarding::Passenger(passenger) => {
                let (keeper, question) = (Arc::clone(&self.0), question.clone());
                Box::pin(async move { keeper.shared_answer(passenger.arrive().await, &question) })
            }
        }
    }

    fn response(&self, cx: &mut Context, response: &mut Response) {
        if !self.0.is_for(cx) {
            return;
        }
        match response.origin {
            Origin::Live => self.0.cap(response),
            Origin::Fetched => self.0.keep(cx, response, None),
            Origin::Stored => {}
        }
    }

    fn again(&self, cx: &Context, sent: &Sent<'_>) -> Again {
        if !self.0.is_for(cx) {
            return Again::Always;
        }
        match sent.response.origin {
            // Past this plugin: it has counted, and will have nothing to say next time either.
            Origin::Live => Again::On(Terms { tally: Some(self.0.metrics(cx).tally(None)), ..Terms::default() }),
            Origin::Stored => self.0.hit_again(cx).map_or(Again::Never, Again::On),
            Origin::Fetched => Again::Never,
        }
    }
}

impl CachePlugin {
    /// Fetches an entry again while the client has its answer already, unless somebody does so.
    fn refresh_behind(&self, found: &Found, cx: &Context, rest: Rest<'_>) {
        let Some(refresh) = Refresh::start(&found.entry, cx.start, self.0.pause()) else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        self.0.metrics(cx).prefetches.inc();
        runtime.spawn(fetch(Arc::clone(&self.0), refresh, cx.clone(), rest.keep()));
    }

    /// Asks the source first; what has ended is given if it does not answer (in time).
    fn verify(&self, found: Found, stale: Stale, cx: &Context, rest: Rest<'_>) -> Step {
        let (keeper, cx, asker) = (Arc::clone(&self.0), cx.clone(), rest.keep());
        let Some(refresh) = Refresh::start(&found.entry, cx.start, self.0.pause()) else {
            if !stale.recheck.is_zero() || found.entry.is_resting(cx.start, self.0.pause()) {
                return self.0.stale_answer(&found, &cx).into();
            }
            // Somebody asks already, and nothing says that the old answer will do meanwhile: ask as well.
            return Step::Wait(Box::pin(async move {
                let fetched = ask(&keeper, &cx, asker, None).await;
                fetched.filter(|r| keeper.may_replace(&found, r)).unwrap_or_else(|| keeper.stale_answer(&found, &cx))
            }));
        };
        Step::Wait(Box::pin(async move {
            // A task of its own: it goes on when the client is served from what has ended.
            let task = tokio::spawn(fetch(Arc::clone(&keeper), refresh, cx.clone(), asker));
            let fetched = if stale.patience.is_zero() {
                task.await.ok().flatten()
            } else {
                tokio::time::timeout(stale.patience, task).await.ok().and_then(Result::ok).flatten()
            };
            let fetched = fetched.filter(|response| keeper.may_replace(&found, response));
            fetched.unwrap_or_else(|| keeper.stale_answer(&found, &cx))
        }))
    }
}

/// Fetches an entry again. `None` if what came is no reason to give up what is kept.
async fn fetch(keeper: Arc<Keeper>, refresh: Refresh, cx: Context, asker: Asker) -> Option<Response> {
    let fetched = ask(&keeper, &cx, asker, Some(&refresh)).await;
    if fetched.is_none() {
        refresh.fail((keeper.clock)());
    }
    fetched
}

async fn ask(keeper: &Keeper, cx: &Context, asker: Asker, refresh: Option<&Refresh>) -> Option<Response> {
    // As over TCP, so that nothing comes back cut to this one client's size.
    let mut cx = cx.clone();
    cx.transport = Transport::Tcp;
    let mut response = match keeper.board(&cx) {
        Boarding::Pilot(pilot) => {
            let response = asker.ask(cx.clone()).await?;
            pilot.land(&response);
            response
        }
        Boarding::Passenger(passenger) => keeper.shared_answer(passenger.arrive().await, cx.question()),
    };
    let useful = matches!(response.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) && !response.truncated;
    if !useful || !keeper.answers(&cx, &response) {
        return None;
    }
    match response.origin {
        Origin::Live => keeper.cap(&mut response),
        Origin::Fetched => keeper.keep(&cx, &mut response, refresh.map(Refresh::entry)),
        Origin::Stored => {}
    }
    Some(response)
}
