#![doc = include_str!("README.md")]

mod config;
mod rule;
#[cfg(test)]
mod tests;

use crate::chain::{Again, Context, Directive, Labels, Plugin, Sent};
use rule::Rule;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "log", parse: config::parse };

struct QueryLog {
    rules: Vec<Rule>,
    labels: Labels,
}

impl Plugin for QueryLog {
    fn name(&self) -> &'static str {
        "log"
    }

    fn sent(&self, cx: &Context, sent: &Sent<'_>) {
        let question = cx.question();
        let Some(rule) = self.rule(cx, sent) else { return };
        let line = rule.format.render(cx, Some(sent), &self.labels);
        let peer = cx.peer.ip().to_canonical();
        tracing::info!(
            target: "query",
            plugin = "log",
            client_ip = %peer,
            client_port = cx.peer.port(),
            qname = %question.name,
            qtype = %question.record_type,
            qclass = %question.class,
            protocol = cx.transport.as_str(),
            id = cx.query.id,
            opcode = cx.query.flags.opcode().0,
            request_size = cx.query.size,
            dnssec_ok = cx.query.dnssec_ok(),
            bufsize = cx.limit(),
            rcode = %sent.response.rcode,
            response_size = sent.size,
            duration_seconds = (sent.now - cx.start).as_secs_f64(),
            "{line}"
        );
    }

    fn again(&self, cx: &Context, sent: &Sent<'_>) -> Again {
        if self.rule(cx, sent).is_some() { Again::Never } else { Again::Always }
    }
}

impl QueryLog {
    /// The rule by which an answer is logged.
    fn rule(&self, cx: &Context, sent: &Sent<'_>) -> Option<&Rule> {
        let question = cx.question();
        let rule = self.rules.iter().find(|rule| rule.zones.contains(&question.name))?;
        rule.classes.take(sent.response.kind(question)).then_some(rule)
    }
}
