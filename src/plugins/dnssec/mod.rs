#![doc = include_str!("README.md")]

mod answer;
mod config;
mod metrics;
mod signer;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    chain::{Again, Asker, Context, Directive, Plugin, Rest, Sent, Step, Terms},
    wire::{Class, Opcode, Question, Rcode, RecordType, Response},
};
use answer::Signing;
use metrics::Metrics;
use signer::Signer;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "dnssec", parse: config::parse };

/// How long a signed answer may be given again: short beside the two days that signatures hold at least.
const AGAIN: Duration = Duration::from_secs(3600);

/// Signs what those below answer.
#[derive(Clone)]
struct Dnssec {
    signer: Arc<Signer>,
    /// By [`crate::chain::Place::server`].
    metrics: Arc<[Metrics]>,
}

impl Plugin for Dnssec {
    fn name(&self) -> &'static str {
        "dnssec"
    }

    fn query(&self, cx: &mut Context, rest: Rest<'_>) -> Step {
        let Question { name, record_type, class } = cx.question();
        if !matches!(*record_type, RecordType::DNSKEY | RecordType::DS)
            || *class != Class::IN
            || cx.query.flags.opcode() != Opcode::QUERY
        {
            return Step::Next;
        }
        let Some(zone) = self.signer.zone_of(name) else { return Step::Next };
        let is_top = zone == name;
        match *record_type {
            RecordType::DNSKEY if is_top => {
                let mut response = Response::answer(self.signer.keys());
                if cx.query.dnssec_ok() {
                    self.sign(cx, &mut response, false);
                }
                response.into()
            }
            RecordType::DS if !is_top && cx.query.dnssec_ok() => {
                Step::Wait(Box::pin(self.clone().delegation(cx.clone(), rest.keep())))
            }
            _ => Step::Next,
        }
    }

    fn response(&self, cx: &mut Context, response: &mut Response) {
        if cx.query.dnssec_ok() {
            self.sign(cx, response, false);
        }
    }

    fn again(&self, cx: &Context, sent: &Sent<'_>) -> Again {
        if !cx.query.dnssec_ok() {
            return Again::Always;
        }
        Again::On(Terms { until: Some(sent.now + AGAIN), ..Terms::default() })
    }
}

impl Dnssec {
    fn sign(&self, cx: &Context, response: &mut Response, is_cut: bool) {
        let question = cx.question();
        let is_query = question.class == Class::IN && cx.query.flags.opcode() == Opcode::QUERY;
        let metrics = self.metrics.get(usize::from(cx.place.server)).or_else(|| self.metrics.first());
        let Some(metrics) = metrics.filter(|_| is_query && self.signer.zone_of(&question.name).is_some()) else {
            return;
        };
        Signing { signer: &self.signer, metrics, question, now: now(), is_cut }.sign(response);
    }

    /// Whether a name without DS is where another zone begins: to deny the one must not deny the other, and must not claim it
    /// where it is not so, or every name could be passed off as unsigned.
    async fn delegation(self, cx: Context, rest: Asker) -> Response {
        let name = cx.question().name;
        let mut probe = cx.clone();
        probe.ask_instead(Question::new(name, RecordType::NS));
        let found = rest.ask(probe).await;
        let is_cut = found.is_some_and(|found| {
            let is_referral = |records: &crate::wire::Records| {
                let of_name = |record: &&crate::wire::Record| {
                    record.data.record_type() == RecordType::NS && record.owner.resolve(&name) == name
                };
                records.answer.iter().chain(&records.authority).any(|record| of_name(&record))
            };
            found.records().is_ok_and(|records| is_referral(&records))
        });
        let Some(mut response) = rest.ask(cx.clone()).await else { return Response::new(Rcode::SERVFAIL) };
        self.sign(&cx, &mut response, is_cut);
        response
    }
}

/// Seconds since 1970, the lower 32 bits.
fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as u32
}
