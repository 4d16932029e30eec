#![doc = include_str!("README.md")]

mod config;
mod prefix;

use std::sync::Arc;

use crate::{
    chain::{Asker, Context, Directive, Outcome, Plugin, Rest, Step},
    metrics::Counter,
    wire::{Body, Class, Failure, Question, RData, Rcode, RecordType, Response},
};
use prefix::Prefix;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "dns64", parse: config::parse };

/// The longest that a made address is kept if it is not known how long its absence is, seconds (RFC 6147 section 5.1.7).
const TTL: u32 = 600;

struct Dns64 {
    prefix: Prefix,
    translate_all: bool,
    allow_ipv4: bool,
    /// By server.
    translated: Arc<[Counter]>,
}

impl Plugin for Dns64 {
    fn name(&self) -> &'static str {
        "dns64"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        let question = cx.question();
        let is_for_us = question.record_type == RecordType::AAAA
            && question.class == Class::IN
            && (self.allow_ipv4 || cx.peer.ip().to_canonical().is_ipv6());
        if !is_for_us {
            return Step::Next;
        }
        let asked = Question { record_type: RecordType::A, ..question.clone() };
        match rest.walk(cx) {
            Outcome::Dropped => Step::Drop,
            Outcome::Answered(response) if self.is_enough(&response) => response.into(),
            Outcome::Answered(response) => {
                let ttl = ttl(&response);
                Step::Wait(Box::pin(self.translation(cx).make(cx.clone(), asked, rest.keep(), ttl)))
            }
            Outcome::Parked(parked) => {
                let (mut cx, asker, translation) = (cx.clone(), rest.keep(), self.translation(cx));
                let translate_all = self.translate_all;
                Step::Wait(Box::pin(async move {
                    let response = parked.finish(&mut cx).await;
                    if is_enough(&response, translate_all) {
                        return response;
                    }
                    let ttl = ttl(&response);
                    translation.make(cx, asked, asker, ttl).await
                }))
            }
        }
    }
}

impl Dns64 {
    fn is_enough(&self, response: &Response) -> bool {
        is_enough(response, self.translate_all)
    }

    fn translation(&self, cx: &Context) -> Translation {
        let server = usize::from(cx.place.server);
        Translation { prefix: self.prefix, counter: self.translated.get(server).cloned() }
    }
}

/// Whether an answer stays as it is: the name does not exist, or has addresses of its own (RFC 6147 section 5.1).
fn is_enough(response: &Response, translate_all: bool) -> bool {
    let is_ours = |kind: RecordType| kind == RecordType::AAAA;
    response.rcode == Rcode::NXDOMAIN
        || !translate_all
            && match &response.body {
                Body::Records(records) => records.answer.iter().any(|record| is_ours(record.data.record_type())),
                Body::Packet(packet) => {
                    packet.entries().iter().any(|entry| entry.section == 0 && is_ours(entry.record_type))
                }
            }
}

/// How long it holds that there is no address, seconds.
fn ttl(response: &Response) -> u32 {
    let Ok(records) = response.records() else { return TTL };
    let soa = records.authority.iter().find(|record| record.data.record_type() == RecordType::SOA);
    soa.map_or(TTL, |soa| soa.ttl)
}

/// One query on its way to addresses that are made for it.
struct Translation {
    prefix: Prefix,
    counter: Option<Counter>,
}

impl Translation {
    /// Asks for the IPv4 addresses and makes IPv6 addresses of them. Everything else of their answer stays.
    async fn make(self, mut cx: Context, asked: Question, asker: Asker, ttl: u32) -> Response {
        if let Some(counter) = &self.counter {
            counter.inc();
        }
        cx.ask_instead(asked);
        let Some(mut response) = asker.ask(cx).await else {
            return Response::failure(Rcode::SERVFAIL, Failure::Server("nobody answers for the IPv4 addresses".into()));
        };
        if let Ok(records) = response.records_mut() {
            for record in &mut records.answer {
                if let RData::A(address) = record.data {
                    record.data = RData::Aaaa(self.prefix.of(address));
                    record.ttl = record.ttl.min(ttl);
                }
            }
        }
        // What is made here nobody has signed (RFC 6147 section 5.5), and no zone has it.
        Response { authoritative: false, authentic: false, plugin: "dns64", ..response }
    }
}
