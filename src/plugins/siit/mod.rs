#![doc = include_str!("README.md")]

mod config;
mod mapping;

use std::sync::Arc;

use crate::{
    chain::{Asker, Context, Directive, Outcome, Plugin, Rest, Step},
    metrics::Counter,
    wire::{Body, Class, Question, RData, Rcode, RecordType, Response},
};
use mapping::Mapping;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "siit", parse: config::parse };

/// The longest that a made address is kept if it is not known how long its absence is, seconds.
const TTL: u32 = 600;

struct Siit {
    mapping: Arc<Mapping>,
    /// By server.
    translated: Arc<[Counter]>,
}

impl Plugin for Siit {
    fn name(&self) -> &'static str {
        "siit"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        let question = cx.question();
        if question.record_type != RecordType::A || question.class != Class::IN {
            return Step::Next;
        }
        let asked = Question { record_type: RecordType::AAAA, ..question.clone() };
        match rest.walk(cx) {
            Outcome::Dropped => Step::Drop,
            Outcome::Answered(response) if is_enough(&response) => response.into(),
            Outcome::Answered(response) => {
                Step::Wait(Box::pin(self.translation(cx).make(cx.clone(), asked, rest.keep(), response)))
            }
            Outcome::Parked(parked) => {
                let (mut cx, asker, translation) = (cx.clone(), rest.keep(), self.translation(cx));
                Step::Wait(Box::pin(async move {
                    let response = parked.finish(&mut cx).await;
                    if is_enough(&response) { response } else { translation.make(cx, asked, asker, response).await }
                }))
            }
        }
    }
}

impl Siit {
    fn translation(&self, cx: &Context) -> Translation {
        let counter = self.translated.get(usize::from(cx.place.server)).cloned();
        Translation { mapping: Arc::clone(&self.mapping), counter }
    }
}

/// Whether an answer stays as it is: the name does not exist, or has addresses of its own.
fn is_enough(response: &Response) -> bool {
    response.rcode == Rcode::NXDOMAIN
        || match &response.body {
            Body::Records(records) => records.answer.iter().any(|record| record.data.record_type() == RecordType::A),
            Body::Packet(packet) => {
                packet.entries().iter().any(|entry| entry.section == 0 && entry.record_type == RecordType::A)
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
    mapping: Arc<Mapping>,
    counter: Option<Counter>,
}

impl Translation {
    /// Asks for the IPv6 addresses and makes IPv4 addresses of them. Without any the first answer stands.
    async fn make(self, mut cx: Context, asked: Question, asker: Asker, first: Response) -> Response {
        let ttl = ttl(&first);
        cx.ask_instead(asked);
        let Some(mut response) = asker.ask(cx).await else { return first };
        let Ok(records) = response.records_mut() else { return first };
        let mut made = false;
        records.answer.retain(|record| {
            let RData::Aaaa(address) = record.data else { return true };
            let Some(address) = self.mapping.of(address) else { return false };
            record.data = RData::A(address);
            record.ttl = record.ttl.min(ttl);
            made = true;
            true
        });
        if let Some(counter) = self.counter.filter(|_| made) {
            counter.inc();
        }
        // What is made here nobody has signed.
        if made { Response { authentic: false, plugin: "siit", ..response } } else { first }
    }
}
