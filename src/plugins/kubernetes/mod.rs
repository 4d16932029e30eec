#![doc = include_str!("README.md")]

mod config;
mod labels;
mod source;

use std::{net::IpAddr, sync::Arc};

use nix::ifaddrs::getifaddrs;

use crate::{
    chain::{Again, Context, Directive, Plugin, Rest, Sent, Server, Step, Terms, ZoneSet},
    kubernetes::{
        Cluster,
        answer::{self, Answer, Policy},
    },
    versions::Seen,
    wire::{Body, Ede, Failure, Name, Origin, Query, Question, Rcode, Records, Response, Section},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "kubernetes", parse: config::parse };

struct Kubernetes {
    zones: ZoneSet,
    policy: Policy,
    fallthrough: ZoneSet,
    cluster: Arc<Cluster>,
    server: Server,
}

impl Plugin for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        let Some(zone) = self.zones.find(&question.name) else { return Step::Next };
        let mut seen = cx.seen.anew();
        let answer = answer::answer(self.cluster.index(), &self.policy, zone, question, &mut seen);
        let step = match answer {
            Answer::Here(response) => Step::Answer(response),
            Answer::Nowhere => self.nowhere(zone, question, &mut seen),
            Answer::Elsewhere { chain, target } => self.ask_elsewhere(cx, chain, target),
        };
        cx.seen = seen;
        step
    }

    fn again(&self, cx: &Context, sent: &Sent<'_>) -> Again {
        if self.zones.find(&cx.question().name).is_none() {
            return Again::Always;
        }
        // Without all of the cluster's data, what is not there may come without a change of what was read.
        if sent.response.origin != Origin::Live || !self.cluster.is_synced() {
            return Again::Never;
        }
        let source = Some((Arc::clone(self.cluster.index().versions()), cx.seen.clone()));
        Again::On(Terms { source, ..Terms::default() })
    }
}

impl Kubernetes {
    /// The cluster does not know the name. Before it is known whole, nobody can say that it does not exist: neither
    /// NXDOMAIN nor the next plugin, which would hand cluster names to strangers.
    fn nowhere(&self, zone: &Name, question: &Question, seen: &mut Seen) -> Step {
        let index = self.cluster.index();
        if !self.cluster.is_synced() {
            let mut response = answer::denial(index, &self.policy, zone, question, Rcode::SERVFAIL, seen);
            response.ede = Some(Ede::new(Ede::NOT_READY, "cluster data not loaded yet"));
            response.cause = Some(Box::new(Failure::Cluster("Kubernetes API not synced".into())));
            return response.into();
        }
        if self.fallthrough.contains(&question.name) {
            return Step::Next;
        }
        answer::denial(index, &self.policy, zone, question, Rcode::NXDOMAIN, seen).into()
    }

    /// Asks the whole server for the target of an alias that leaves the zone, as a client would.
    fn ask_elsewhere(&self, cx: &Context, chain: Section, target: Name) -> Step {
        let mut inner = cx.clone();
        let asked = cx.question();
        let question = Question { name: target, record_type: asked.record_type, class: asked.class };
        inner.query = Query { question, ..cx.query.clone() };
        let server = self.server.clone();
        Step::Wait(Box::pin(async move {
            let mut found = server.ask(inner.into_fresh()).await;
            let truncated = found.truncated;
            let mut answer = chain;
            if let Ok(records) = found.records_mut() {
                // The inner answer's owners are spelled out: its question is not the client's.
                let inner = std::mem::take(&mut records.answer);
                answer.extend(inner.into_iter().map(|record| record.spelled_out(&target)));
            }
            let records = Records { answer, ..Records::default() };
            let body = Body::Records(records);
            // The inner code is not the outer one's: the alias exists.
            Response { authoritative: true, truncated, body, origin: Origin::Fetched, ..Response::new(Rcode::NOERROR) }
        }))
    }
}

/// Addresses of this server, for NS: those it is bound to, else those of all interfaces but loopback.
fn own_addresses(hosts: &[String]) -> Vec<IpAddr> {
    let bound: Vec<IpAddr> = hosts.iter().filter_map(|host| host.parse().ok()).collect();
    if !hosts.is_empty() {
        return bound;
    }
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    interfaces.filter_map(address).filter(|address| !address.is_loopback()).collect()
}
