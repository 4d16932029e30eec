//! Upstreams that are this server itself, at once or over others. CoreDNS without `loop` sends such a query round until
//! it runs out of memory; here it goes round once.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use tokio::time::sleep;

use super::proxy::{Member, Proxy};
use crate::{
    chain::{Context, Started, Transport},
    upstream::{Ask, AskError, Departures, Loop, Protocol},
    wire::{Ede, Failure, Flags, Name, Origin, Question, Rcode, RecordType, Response},
};

/// How long a probe may be under way.
const PROBE: Duration = Duration::from_secs(2);
/// How often it is looked whether there are other upstreams.
const LOOK: Duration = Duration::from_secs(5);

/// The upstream that a query has come back from, if it is one of ours: by the port that it left from, or, over TCP
/// and other servers, by the name of a probe.
pub(super) fn upstream(departures: &Departures, cx: &Context) -> Option<Arc<Loop>> {
    let question = cx.question();
    let probed = || departures.probed(&question.name).filter(|_| question.record_type == RecordType::HINFO);
    let returned = if cx.transport == Transport::Udp { departures.returned(cx.peer, question) } else { None };
    returned.or_else(probed)
}

/// Ends the round trip.
pub(super) fn refuse(upstream: &Loop, now: std::time::Instant) -> Response {
    close(upstream, now);
    let error = AskError::Loop { remote: upstream.address };
    let cause = Failure::Upstream(error.to_string().into());
    let ede = Ede { code: Ede::NETWORK_ERROR, text: error.to_string().into() };
    // Not to be kept: the same question is still under way, and others may have an answer.
    Response { ede: Some(ede), origin: Origin::Stored, ..Response::failure(Rcode::SERVFAIL, cause) }
}

fn close(upstream: &Loop, now: std::time::Instant) {
    if upstream.mark(now) {
        let error = AskError::Loop { remote: upstream.address };
        tracing::error!(
            target: "plugin/forward",
            "Loop: {error}, or one that asks this server: it is not asked any more, but tried again twice a minute"
        );
    }
}

/// Finds upstreams that are addresses which this server listens on, among the first ones and among those that come
/// later.
pub(super) async fn watch(proxy: &Proxy, started: &Started) {
    loop {
        for member in proxy.members().iter() {
            if listens_on(&started.addresses, member.upstream.address()) {
                close(&member.upstream.looped, std::time::Instant::now());
            }
        }
        sleep(LOOK).await;
    }
}

fn listens_on(own: &[SocketAddr], upstream: SocketAddr) -> bool {
    own.iter().any(|own| {
        own.port() == upstream.port()
            && (own.ip() == upstream.ip() || own.ip().is_unspecified() && is_local(upstream.ip()))
    })
}

/// Whether it is an address of this host, or of this pod.
fn is_local(address: IpAddr) -> bool {
    let own = |interface: InterfaceAddress| {
        let storage = interface.address?;
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    address.is_loopback() || getifaddrs().is_ok_and(|found| found.filter_map(own).any(|own| own == address))
}

/// Asks an upstream that gives no answer for a name that must not come back.
pub(super) async fn probe(member: Arc<Member>, zone: Name, departures: Arc<Departures>) {
    let Some(probe) = departures.probe(&zone, &member.upstream.looped) else { return };
    let question = Question::new(probe.name, RecordType::HINFO);
    let ask = Arc::new(Ask { question, flags: Flags(Flags::RD), edns: None });
    // The answer is of no interest, and as little whether there is one.
    _ = member.upstream.ask(&ask, Protocol::Udp, PROBE).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_upstreams_are_our_own_listeners() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (own, upstream, is_ours) in [
            ("0.0.0.0:53", "127.0.0.1:53", true),
            ("[::]:53", "127.0.0.53:53", true),
            ("[::]:53", "[::1]:53", true),
            ("[::]:53", "127.0.0.1:5353", false),
            ("[::]:53", "192.0.2.1:53", false),
            ("169.254.20.53:53", "169.254.20.53:53", true),
            ("169.254.20.53:53", "127.0.0.1:53", false),
        ] {
            assert_eq!(listens_on(&[address(own)], address(upstream)), is_ours, "{upstream} of {own}");
        }
    }
}
