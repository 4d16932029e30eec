use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use super::Watch;
use crate::{
    metrics::Registry,
    upstream::{Ask, Connecting, Protocol, Upstream},
    wire::{Flags, Name, NameError, Question, RecordType},
};

/// How long probes are sent until one is answered.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one may take, and the pause behind it.
const ANSWER: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);

/// A name that nobody can guess, so that nobody can end the process by asking it (CVE-2026-26018): from a generator
/// that is fit for cryptography.
pub(super) fn name(zone: &Name) -> Result<Name, NameError> {
    let [first, second]: [String; 2] = std::array::from_fn(|_| format!("{:016x}", rand::random::<u64>()));
    Name::under([first.as_bytes(), second.as_bytes()], zone)
}

/// Asks ourselves for the probe until somebody answers.
pub(super) async fn send(probe: Name, address: SocketAddr, registry: &Registry, watch: &Watch) {
    let ourselves = Upstream::new(reachable(address), &Connecting::default(), Handle::current(), registry);
    let ask = Ask { question: Question::new(probe, RecordType::HINFO), flags: Flags(Flags::RD), edns: None };
    let ask = Arc::new(ask);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        watch.start_anew();
        if ourselves.ask(&ask, Protocol::Udp, ANSWER).await.is_ok() {
            return;
        }
        sleep(PAUSE).await;
    }
}

/// Where to reach an address that the server listens on.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// An IPv4 address is shown as one, also if it came over a socket for both families.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
