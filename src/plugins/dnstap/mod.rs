#![doc = include_str!("README.md")]

mod clock;
mod config;

use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::time::sleep;

use crate::{
    chain::{AskedUpstream, Context, Directive, Format, Labels, Plugin, Rest, Sent, Step, Transport, WatchUpstreams},
    tap::{Family, Kind, Message, Origin, Outlet},
    wire::{MAX_MESSAGE, encode, encode_query},
};
use clock::Clock;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "dnstap", parse: config::parse };

/// How often the clock is looked at, and what was dropped is told.
const LOOK: Duration = Duration::from_secs(10);

/// The link of the chain.
struct Dnstap(Arc<Taps>);

/// All `dnstap` directives of a server block.
struct Taps {
    taps: Vec<Tap>,
    labels: Labels,
    clock: Clock,
}

/// One `dnstap` directive.
struct Tap {
    outlet: Arc<Outlet>,
    /// With the messages themselves.
    full: bool,
    identity: Vec<u8>,
    version: Vec<u8>,
    extra: Option<Format>,
}

thread_local! {
    /// Where messages are written anew.
    static DRAFT: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_MESSAGE].into());
}

impl Plugin for Dnstap {
    fn name(&self) -> &'static str {
        "dnstap"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        // Questions of our own have no client.
        if cx.depth() == 0 {
            self.0.send(cx, None, |full| {
                let message = self.0.of_client(Kind::ClientQuery, cx);
                (message, if full { query(cx) } else { Vec::new() })
            });
        }
        Step::Next
    }

    fn sent(&self, cx: &Context, sent: &Sent<'_>) {
        self.0.send(cx, Some(sent), |full| {
            let response_time = Some(self.0.clock.time_of(sent.now));
            let message = Message { response_time, ..self.0.of_client(Kind::ClientResponse, cx) };
            let bytes = |draft: &mut [u8]| encode(&cx.query, sent.response, cx.limit(), draft);
            (message, if full { drafted(bytes) } else { Vec::new() })
        });
    }
}

impl WatchUpstreams for Taps {
    fn asked(&self, cx: &Context, asked: &AskedUpstream<'_>) {
        let family = match asked.protocol {
            "udp" => Family::Udp,
            "tcp-tls" => Family::Dot,
            "https" => Family::Doh,
            "quic" => Family::Doq,
            _ => Family::Tcp,
        };
        let mut asker = cx.peer;
        // What is known of is the client, not the port from which the upstream was asked.
        asker.set_port(0);
        let of_query = Message {
            kind: Kind::ForwarderQuery,
            family,
            asker,
            asked: Some(asked.upstream),
            query_time: self.clock.time_of(asked.start),
            response_time: None,
            query: None,
            response: None,
        };
        self.send(cx, None, |full| (of_query, if full { query(cx) } else { Vec::new() }));
        let Some(answer) = asked.answer else { return };
        self.send(cx, None, |full| {
            let response_time = Some(self.clock.time_of(asked.end));
            let message = Message { kind: Kind::ForwarderResponse, response_time, ..of_query };
            let mut bytes = if full { answer.bytes().to_vec() } else { Vec::new() };
            // As the client will see it: with its own id.
            bytes.iter_mut().zip([cx.query.id >> 8, cx.query.id & 0xFF]).for_each(|(octet, id)| *octet = id as u8);
            (message, bytes)
        });
    }
}

impl Taps {
    /// Sends a message to all. `make` gives it, and its octets if they are wanted.
    fn send<'m>(&self, cx: &Context, sent: Option<&Sent<'_>>, make: impl Fn(bool) -> (Message<'m>, Vec<u8>)) {
        for tap in self.taps.iter().filter(|tap| tap.outlet.is_open()) {
            let (message, bytes) = make(tap.full);
            let bytes = (!bytes.is_empty()).then_some(bytes.as_slice());
            let is_query = matches!(message.kind, Kind::ClientQuery | Kind::ForwarderQuery);
            let message =
                if is_query { Message { query: bytes, ..message } } else { Message { response: bytes, ..message } };
            let extra = tap.extra.as_ref().map(|extra| extra.render(cx, sent, &self.labels)).unwrap_or_default();
            let origin = Origin { identity: &tap.identity, version: &tap.version, extra: extra.as_bytes() };
            tap.outlet.send(message.encode(&origin));
        }
    }

    fn of_client(&self, kind: Kind, cx: &Context) -> Message<'static> {
        Message {
            kind,
            family: match cx.transport {
                Transport::Udp => Family::Udp,
                Transport::Tcp | Transport::Grpc => Family::Tcp,
                Transport::Https | Transport::Https3 => Family::Doh,
                Transport::Quic => Family::Doq,
            },
            asker: cx.peer,
            asked: (!cx.local.ip().is_unspecified()).then_some(cx.local),
            query_time: self.clock.time_of(cx.start),
            response_time: None,
            query: None,
            response: None,
        }
    }
}

/// The query that is in force, as it would go over the network.
fn query(cx: &Context) -> Vec<u8> {
    drafted(|draft| encode_query(cx.query.id, cx.query.flags, cx.question(), cx.query.edns.as_ref(), draft))
}

fn drafted(write: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    DRAFT.with_borrow_mut(|draft| {
        let length = write(draft);
        draft[..length].to_vec()
    })
}

/// Keeps the clock right, and tells what was dropped.
async fn watch(taps: Arc<Taps>) {
    let mut told: Vec<u64> = taps.taps.iter().map(|tap| tap.outlet.dropped()).collect();
    loop {
        sleep(LOOK).await;
        taps.clock.set(SystemTime::now(), Instant::now());
        for (tap, told) in taps.taps.iter().zip(&mut told) {
            let dropped = tap.outlet.dropped();
            if dropped > *told {
                tracing::warn!(target: "plugin/dnstap", "Dropped dnstap messages: {}", dropped - *told);
            }
            *told = dropped;
        }
    }
}
