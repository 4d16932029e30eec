use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::metrics::Metrics;
use crate::{
    chain::{AskedUpstream, Watched},
    upstream::{Ask, AskError, Patience, Policy, Protocol, Upstream},
    wire::{Ede, Failure, Rcode, Response},
};

/// How long a query may take in all.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long one upstream may take while there are others.
const TURN: Duration = Duration::from_secs(2);

/// The upstreams of a `grpc` line.
pub(super) struct Proxy {
    pub(super) members: Vec<Arc<Member>>,
    pub(super) policy: Policy,
}

/// An upstream with what is counted of it.
pub(super) struct Member {
    pub(super) upstream: Upstream,
    pub(super) metrics: Metrics,
}

impl Proxy {
    /// Asks one upstream after the other until one answers.
    pub(super) async fn ask(&self, ask: &Arc<Ask>, watched: Option<&Watched>) -> Response {
        let end = Instant::now() + DEADLINE;
        let order = self.policy.order(self.members.len(), || rand::random::<u32>() as usize);
        let mut failure = None;
        for (at, &index) in order.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let whole = if at + 1 == order.len() { left } else { left.min(TURN) };
            match self.members[index].ask(ask, whole, watched).await {
                Ok(response) => return response,
                Err(error) => failure = Some(error),
            }
        }
        failed(failure.as_ref())
    }
}

impl Member {
    async fn ask(&self, ask: &Arc<Ask>, whole: Duration, watched: Option<&Watched>) -> Result<Response, AskError> {
        let start = Instant::now();
        let patience = Patience { connect: whole, answer: whole, whole };
        let answer = self.upstream.ask(ask, Protocol::Grpc, patience).await;
        let upstream = self.upstream.address();
        if let Some(watched) = watched {
            let (start, end) = (start.into_std(), std::time::Instant::now());
            let answer = answer.as_ref().ok().map(|answer| &answer.packet);
            watched.tell(&AskedUpstream { upstream, protocol: Protocol::Grpc.as_str(), start, end, answer });
        }
        let packet = answer?.packet;
        self.metrics.answered(packet.header().rcode(), start.elapsed());
        let ede = packet.extended_error().cloned();
        Ok(Response { ede, upstream: Some(Box::new(upstream)), ..Response::packet(packet) })
    }
}

fn failed(error: Option<&AskError>) -> Response {
    let (cause, text) = match error {
        Some(error) => (error.to_string(), format!("no answer from {}", error.remote())),
        None => ("no healthy gRPC proxies".to_owned(), "no upstream has answered".to_owned()),
    };
    let ede = Ede { code: Ede::NO_REACHABLE_AUTHORITY, text: text.into() };
    Response { ede: Some(ede), ..Response::failure(Rcode::SERVFAIL, Failure::Upstream(cause.into())) }
}
