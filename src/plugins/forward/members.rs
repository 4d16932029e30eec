use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{runtime::Handle, time::sleep};

use super::{
    config::{Options, To},
    metrics::MemberMetrics,
    proxy::{Member, Proxy},
};
use crate::{
    chain::{Block, BuildError},
    metrics::Registry,
    upstream::{Upstream, resolv_conf},
};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Finds the upstreams of a line, those of the site before it among them: with their connections, and with what is
/// known of their health.
pub(super) fn find(to: &[To], options: &Options, block: &Block<'_>) -> Result<Vec<Arc<Member>>, BuildError> {
    let addresses = addresses(to);
    if addresses.is_empty() {
        return Err(BuildError("no upstream is left to forward to".to_owned()));
    }
    let member = |address| {
        let key = format!("{address} {:?} {:?}", options.connecting, options.probing());
        block.shared(&key, || Ok(make(address, options, block.registry(), Handle::current())))
    };
    addresses.into_iter().map(member).collect()
}

fn make(address: SocketAddr, options: &Options, registry: &Registry, runtime: Handle) -> Member {
    Member {
        upstream: Upstream::new(address, &options.connecting, runtime, registry),
        metrics: MemberMetrics::register(registry, address),
    }
}

/// The addresses of all targets, each once. A file that cannot be read, or that names nobody, is passed over.
fn addresses(to: &[To]) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for target in to {
        let found = match target {
            To::Address(address) => vec![*address],
            To::File(file) => named_by(file),
        };
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    addresses
}

fn named_by(file: &str) -> Vec<SocketAddr> {
    match std::fs::read(file) {
        Ok(bytes) => {
            let found = resolv_conf::nameservers(&String::from_utf8_lossy(&bytes));
            if found.is_empty() {
                tracing::warn!(target: "plugin/forward", "{file} names no nameserver");
            }
            found
        }
        Err(error) => {
            tracing::warn!(target: "plugin/forward", "{file}: cannot be read: {error}");
            Vec::new()
        }
    }
}

/// Takes over what files among the targets say whenever they change. An upstream that stays keeps its connections.
pub(super) async fn follow(to: Vec<To>, proxy: Arc<Proxy>, registry: Arc<Registry>) {
    let look = || to.iter().map(seen).collect::<Vec<_>>();
    let runtime = Handle::current();
    let mut known = look();
    loop {
        sleep(LOOK).await;
        let now = look();
        if now == known {
            continue;
        }
        known = now;
        let old = proxy.members();
        let addresses = addresses(&to);
        if addresses.is_empty() || old.iter().map(|member| member.upstream.address()).eq(addresses.iter().copied()) {
            continue;
        }
        tracing::info!(target: "plugin/forward", upstreams = ?addresses, "the nameservers have changed");
        let member = |&address| {
            let kept = old.iter().find(|member| member.upstream.address() == address).map(Arc::clone);
            kept.unwrap_or_else(|| Arc::new(make(address, &proxy.options, &registry, runtime.clone())))
        };
        proxy.replace(addresses.iter().map(member).collect());
    }
}

/// What a file looks like: when it was written and how long it is.
fn seen(target: &To) -> Option<(SystemTime, u64)> {
    let To::File(file) = target else { return None };
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
