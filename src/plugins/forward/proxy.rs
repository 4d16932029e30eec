use std::{
    pin::pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use super::{
    config::Options,
    metrics::{MemberMetrics, Metrics},
    round_trips,
};
use crate::{
    chain::{AskedUpstream, Transport, Watched},
    upstream::{Ask, AskError, Attempts, Departures, Order, Patience, Policy, Protocol, Upstream, Way},
    wire::{Ede, Failure, Flags, Name, Packet, Rcode, RecordType, Response},
};

/// How long a query may take in all.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(1);
/// Least time between two probes, whatever is written.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
/// How long the whole of an answer that did not fit into a datagram may take.
const RETRY: Duration = Duration::from_secs(1);
/// One of so many queries goes to an upstream that was slow lately.
const EXPLORE: usize = 32;
/// Between rounds in which all have failed at once, so that a query without a limit of attempts does not spin.
const BREATH: Duration = Duration::from_millis(50);

/// The upstreams of one `forward` line.
pub(super) struct Proxy {
    members: RwLock<Arc<[Arc<Member>]>>,
    policy: Policy,
    pub(super) options: Options,
    pub(super) metrics: Metrics,
    /// The line's zone and where all queries leave from, for finding out whether they come back.
    round_trips: (Name, Arc<Departures>),
    /// Where probes run: they outlive the query that found the trouble.
    runtime: Handle,
}

/// An upstream with what is counted of it.
pub(super) struct Member {
    pub(super) upstream: Upstream,
    pub(super) metrics: MemberMetrics,
}

/// What is asked, over what the client came, and who watches.
type Errand<'a> = (&'a Arc<Ask>, Transport, Option<&'a Watched>);

/// What is left of attempts that brought no answer.
#[derive(Default)]
struct Remains {
    refusal: Option<(usize, Packet)>,
    error: Option<AskError>,
}

impl Proxy {
    pub(super) fn new(
        members: Vec<Arc<Member>>,
        options: Options,
        metrics: Metrics,
        round_trips: (Name, Arc<Departures>),
    ) -> Self {
        let (members, runtime) = (RwLock::new(members.into()), Handle::current());
        let policy = Policy::new(options.policy);
        Self { members, policy, options, metrics, round_trips, runtime }
    }

    pub(super) fn members(&self) -> Arc<[Arc<Member>]> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks these from now on.
    pub(super) fn replace(&self, members: Vec<Arc<Member>>) {
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members.into();
    }

    fn is_down(&self, member: &Member) -> bool {
        member.upstream.health.is_down(self.options.max_fails) || is_looped(member)
    }

    /// Asks one upstream after the other until one answers.
    pub(super) async fn ask(&self, ask: &Arc<Ask>, transport: Transport, watched: Option<&Watched>) -> Response {
        let members = self.members();
        let all_down = members.iter().all(|member| self.is_down(member));
        if all_down {
            self.metrics.all_down.inc();
            if self.options.fail_fast {
                return nobody();
            }
        }
        let most = self.options.max_attempts.unwrap_or(2 * members.len());
        let attempts = Attempts::new(self.order(&members, all_down), most);
        match self.race(&members, all_down, attempts, (ask, transport, watched)).await {
            Ok((from, packet)) | Err(Remains { refusal: Some((from, packet)), .. }) => answered(packet, &members[from]),
            Err(Remains { error: Some(error), .. }) => failed(&error),
            Err(Remains { error: None, refusal: None }) => nobody(),
        }
    }

    /// The order in which to ask. Where the policy does not care, those that were slow lately go last.
    fn order(&self, members: &[Arc<Member>], all_down: bool) -> Order {
        let random = || rand::random::<u32>() as usize;
        if all_down {
            // Perhaps it is the probing that fails: spread over all.
            return Policy::new(Way::Random).order(members.len(), random);
        }
        let mut order = self.policy.order(members.len(), random);
        // Now and then as the policy says: who was slow may be fast again.
        if members.len() > 1 && self.policy.is_indifferent() && !random().is_multiple_of(EXPLORE) {
            let times =
                members.iter().filter(|member| !self.is_down(member)).map(|member| member.upstream.rtt.smoothed());
            let best = times.min().unwrap_or_default();
            order.sort_by_key(|&index| members[index].upstream.rtt.is_slow(best));
        }
        order
    }

    /// The first usable answer. A slow upstream gets company after its head start.
    async fn race(
        &self,
        members: &[Arc<Member>],
        all_down: bool,
        mut attempts: Attempts,
        errand: Errand<'_>,
    ) -> Result<(usize, Packet), Remains> {
        let end = Instant::now() + DEADLINE;
        let usable = |index: usize| all_down || !self.is_down(&members[index]);
        let attempt = |index: usize| async move { (index, self.exchange(&members[index], errand, end).await) };
        let mut remains = Remains::default();
        let Some(mut last) = attempts.next(usable) else { return Err(remains) };
        // Nearly always the first is good, and then no more than this is needed.
        let mut first = pin!(attempt(last));
        let mut running = FuturesUnordered::new();
        let company = self.policy.is_indifferent() && attempts.has_untried(usable);
        let mut done = if company {
            timeout(self.head_start(&members[last]), &mut first).await.ok()
        } else {
            Some(first.as_mut().await)
        };
        if done.is_none() {
            running.push(Box::pin(first) as BoxFuture<'_, _>);
        }
        let mut refusals = 0;
        let mut failures = 0;
        loop {
            match done.take() {
                Some((from, Ok(packet))) if self.options.failover.contains(&packet.header().rcode()) => {
                    remains.refusal = Some((from, packet));
                    refusals += 1;
                    if refusals >= members.len() {
                        return Err(remains);
                    }
                }
                Some((from, Ok(packet))) => return Ok((from, packet)),
                Some((index, Err(error))) => {
                    failures += 1;
                    if !error.is_shortage() && !error.is_loop() {
                        self.probe(&members[index]);
                    }
                    remains.error = Some(error);
                }
                // The head start is over.
                None if running.len() == 1 && self.policy.is_indifferent() && attempts.has_untried(usable) => {
                    // It may be dead, which nobody would see if the other one always answers first.
                    members[last].upstream.rtt.late(self.head_start(&members[last]));
                    self.probe(&members[last]);
                    if let Some(index) = attempts.next(usable) {
                        running.push(Box::pin(attempt(index)));
                        last = index;
                    }
                }
                None => {}
            }
            if running.is_empty() {
                let Some(index) = attempts.next(usable).filter(|_| Instant::now() < end) else { return Err(remains) };
                if failures >= (0..members.len()).filter(|&index| usable(index)).count() {
                    failures = 0;
                    sleep(BREATH).await;
                }
                running.push(Box::pin(attempt(index)));
                last = index;
            }
            let company = self.policy.is_indifferent() && running.len() == 1 && attempts.has_untried(usable);
            done = if company {
                timeout(self.head_start(&members[last]), running.next()).await.ok().flatten()
            } else {
                running.next().await
            };
        }
    }

    fn head_start(&self, member: &Member) -> Duration {
        member.upstream.rtt.head_start()
    }

    async fn exchange(
        &self,
        member: &Member,
        (ask, transport, watched): Errand<'_>,
        end: Instant,
    ) -> Result<Packet, AskError> {
        // A probe for loops goes round also if that is known: it is for others to see.
        if is_looped(member) && ask.question.record_type != RecordType::HINFO {
            return Err(AskError::Loop { remote: member.upstream.address() });
        }
        let options = &self.options;
        let stream = options.force_tcp || transport.is_stream() && !options.prefer_udp;
        let protocol = if stream { Protocol::Tcp } else { Protocol::Udp };
        let protocol = member.upstream.protocol(protocol);
        let packet = self.once(member, ask, watched, protocol, end).await?;
        if protocol != Protocol::Udp || !packet.header().truncated() {
            return Ok(packet);
        }
        // RFC 7766 section 5: what did not fit is asked again over TCP. It is worth keeping even if it does not fit this
        // client either, who then comes over TCP.
        let end = if transport.is_stream() { end } else { end.min(Instant::now() + RETRY) };
        match self.once(member, ask, watched, Protocol::Tcp, end).await {
            Err(_) if transport == Transport::Udp => Ok(packet),
            whole => whole,
        }
    }

    async fn once(
        &self,
        member: &Member,
        ask: &Arc<Ask>,
        watched: Option<&Watched>,
        protocol: Protocol,
        end: Instant,
    ) -> Result<Packet, AskError> {
        let start = Instant::now();
        let left = end.saturating_duration_since(start);
        let patience = Patience::of_attempt(left, self.options.read_timeout, self.options.max_attempts == Some(1));
        let answer = member.upstream.ask(ask, protocol, patience).await;
        if let Some(watched) = watched {
            let (upstream, protocol) = (member.upstream.address(), protocol.as_str());
            let (start, end) = (start.into_std(), std::time::Instant::now());
            let answer = answer.as_ref().ok().map(|answer| &answer.packet);
            watched.tell(&AskedUpstream { upstream, protocol, start, end, answer });
        }
        let answer = answer?;
        if is_looped(member) {
            // It came back to us meanwhile, and this is what we said to ourselves.
            return Err(AskError::Loop { remote: member.upstream.address() });
        }
        if member.upstream.looped.was_marked() && member.upstream.looped.clear(std::time::Instant::now()) {
            tracing::info!(target: "plugin/forward", "upstream {} is somebody else now", member.upstream.address());
        }
        let (rcode, took) = (answer.packet.header().rcode(), start.elapsed());
        member.upstream.rtt.sample(took);
        member.metrics.answered(protocol, answer.kept, rcode, took);
        Ok(answer.packet)
    }

    /// Probes an upstream until it answers, unless somebody does already.
    fn probe(&self, member: &Arc<Member>) {
        if self.options.max_fails == 0 || !member.upstream.health.start_probing() {
            return;
        }
        let (zone, departures) = self.round_trips.clone();
        self.runtime.spawn(round_trips::probe(Arc::clone(member), zone, departures));
        let flags = Flags(if self.options.probe_recursion { Flags::RD } else { 0 });
        let ask = Ask { question: self.options.probe.clone(), flags, edns: None };
        let ask = Arc::new(ask);
        let protocol = if self.options.force_tcp { Protocol::Tcp } else { Protocol::Udp };
        let every = self.options.probe_every.max(LEAST_PAUSE);
        let (max_fails, member) = (self.options.max_fails, Arc::clone(member));
        self.runtime.spawn(async move {
            let (upstream, to) = (&member.upstream, member.upstream.address());
            // As soon as nobody else holds it, the site that asked it is gone.
            while Arc::strong_count(&member) > 1 {
                let was_down = upstream.health.is_down(max_fails);
                let start = Instant::now();
                match upstream.ask(&ask, protocol, PROBE).await {
                    Ok(_) => {
                        upstream.rtt.renew(start.elapsed());
                        if was_down {
                            tracing::info!(target: "plugin/forward", "upstream {to} answers again");
                        }
                        return upstream.health.probe_answered();
                    }
                    Err(error) if error.is_shortage() => {}
                    Err(error) => {
                        upstream.health.probe_failed();
                        member.metrics.probe_failures.inc();
                        if !was_down && upstream.health.is_down(max_fails) {
                            tracing::warn!(target: "plugin/forward", "upstream {to} is down: {error}");
                        }
                    }
                }
                sleep(every).await;
            }
        });
    }
}

fn is_looped(member: &Member) -> bool {
    // Asked several times for each query: the clock is read only if there is something to compare.
    member.upstream.looped.was_marked() && member.upstream.looped.is_closed(std::time::Instant::now())
}

fn answered(packet: Packet, from: &Member) -> Response {
    let ede = packet.extended_error().cloned();
    Response { ede, upstream: Some(Box::new(from.upstream.address())), ..Response::packet(packet) }
}

fn failed(error: &AskError) -> Response {
    let (code, what) = if error.is_timeout() {
        (Ede::NO_REACHABLE_AUTHORITY, "no answer from")
    } else {
        (Ede::NETWORK_ERROR, "network error towards")
    };
    let text = if error.is_loop() { error.to_string() } else { format!("{what} {}", error.remote()) };
    let ede = Ede { code, text: text.into() };
    failure(Failure::Upstream(error.to_string().into()), ede)
}

fn nobody() -> Response {
    let text = "no healthy proxies: all upstreams are down";
    failure(Failure::Upstream(text.into()), Ede::new(Ede::NO_REACHABLE_AUTHORITY, "all upstreams are down"))
}

fn failure(cause: Failure, ede: Ede) -> Response {
    Response { ede: Some(ede), ..Response::failure(Rcode::SERVFAIL, cause) }
}
