use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{config::Options, metrics::Metrics};
use crate::{
    chain::Transport,
    upstream::{Ask, AskError, Policy, Upstream},
    wire::{Ede, Failure, Flags, Packet, Rcode, Response},
};

/// How long a query may take in all.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(1);

/// The upstreams of one `forward` line.
pub(super) struct Proxy {
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) policy: Policy,
    pub(super) options: Options,
    pub(super) metrics: Arc<Metrics>,
    /// Where probes run: they outlive the query that found the trouble.
    pub(super) runtime: tokio::runtime::Handle,
}

impl Proxy {
    /// Asks one upstream after the other until one answers.
    pub(super) async fn ask(self: Arc<Self>, ask: Ask, transport: Transport) -> Response {
        let start = Instant::now();
        let count = self.upstreams.len();
        let attempts = self.options.max_attempts.unwrap_or(2 * count);
        let order = self.policy.order(count, || rand::random::<u32>() as usize);
        let down = |upstream: &Upstream| upstream.health.is_down(self.options.max_fails);
        let all_down = self.upstreams.iter().all(|upstream| down(upstream));
        if all_down {
            self.metrics.all_down.inc();
            if self.options.fail_fast {
                let cause = Failure::Upstream("all upstreams are down".into());
                return failure(cause, Ede::new(Ede::NO_REACHABLE_AUTHORITY, "all upstreams are down"));
            }
        }
        let mut last = None;
        let mut refused = None;
        let mut tried = 0;
        for index in order.iter().cycle() {
            let upstream = &self.upstreams[*index];
            if !all_down && down(upstream) {
                if self.upstreams.iter().all(|upstream| down(upstream)) {
                    break;
                }
                continue;
            }
            let left = DEADLINE.saturating_sub(start.elapsed());
            if left.is_zero() || attempts > 0 && tried >= attempts {
                break;
            }
            tried += 1;
            match self.exchange(upstream, &ask, transport, left).await {
                Ok(packet) if self.options.failover.contains(&packet.header().rcode()) => {
                    refused = Some(packet);
                    if tried >= count {
                        break;
                    }
                }
                Ok(packet) => return answered(packet),
                Err(error) => {
                    self.probe(upstream);
                    last = Some(error);
                    if all_down {
                        break;
                    }
                }
            }
        }
        match (refused, last) {
            (Some(packet), _) => answered(packet),
            (None, Some(error)) => {
                failure(Failure::Upstream(error.to_string().into()), Ede::new(Ede::NETWORK_ERROR, "upstream failed"))
            }
            (None, None) => failure(
                Failure::Upstream("no healthy upstream".into()),
                Ede::new(Ede::NO_REACHABLE_AUTHORITY, "no healthy upstream"),
            ),
        }
    }

    async fn exchange(
        &self,
        upstream: &Upstream,
        ask: &Ask,
        transport: Transport,
        left: Duration,
    ) -> Result<Packet, AskError> {
        let options = &self.options;
        let tcp = options.force_tcp || transport == Transport::Tcp && !options.prefer_udp;
        let packet = self.once(upstream, ask, tcp, left).await?;
        if packet.header().truncated() && !tcp && options.prefer_udp {
            return self.once(upstream, ask, true, left).await;
        }
        Ok(packet)
    }

    async fn once(&self, upstream: &Upstream, ask: &Ask, tcp: bool, left: Duration) -> Result<Packet, AskError> {
        let start = Instant::now();
        let (packet, kept) = upstream.ask(ask, tcp, self.options.read_timeout.min(left)).await?;
        let rcode = packet.header().rcode();
        self.metrics.answered(upstream.address(), tcp, kept, rcode, start.elapsed());
        Ok(packet)
    }

    /// Probes an upstream until it answers, unless somebody does already.
    fn probe(&self, upstream: &Arc<Upstream>) {
        if self.options.max_fails == 0 || !upstream.health.start_probing() {
            return;
        }
        let (every, metrics, upstream) = (self.options.probe_every, Arc::clone(&self.metrics), Arc::clone(upstream));
        let flags = Flags(if self.options.probe_recursion { Flags::RD } else { 0 });
        let ask = Ask { question: self.options.probe.clone(), flags, edns: None };
        let tcp = self.options.force_tcp;
        self.runtime.spawn(async move {
            // Nobody else holds it: the site that asked it is gone.
            while Arc::strong_count(&upstream) > 1 {
                match upstream.ask(&ask, tcp, PROBE).await {
                    Ok(_) => return upstream.health.probe_answered(),
                    Err(_) => {
                        upstream.health.probe_failed();
                        metrics.probe_failed(upstream.address());
                    }
                }
                tokio::time::sleep(every).await;
            }
        });
    }
}

fn answered(packet: Packet) -> Response {
    let ede = packet.extended_error().cloned();
    Response { ede, ..Response::packet(packet) }
}

fn failure(cause: Failure, ede: Ede) -> Response {
    Response { ede: Some(ede), ..Response::failure(Rcode::SERVFAIL, cause) }
}
