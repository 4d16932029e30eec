#![doc = include_str!("README.md")]

mod config;

use std::{sync::Arc, time::Instant};

use crate::{
    chain::{Again, Context, Directive, Plugin, Rest, Sent, Server, Step, ZoneSet},
    etcd::{
        Etcd,
        answer::{self, Answer, Item, Policy},
    },
    wire::{Body, Ede, Failure, Name, Origin, Question, Rcode, RecordType, Records, Response, Section},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "etcd", parse: config::parse };

struct Services {
    zones: ZoneSet,
    fallthrough: ZoneSet,
    policy: Policy,
    etcd: Arc<Etcd>,
    server: Server,
}

impl Plugin for Services {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        let Some(zone) = self.zones.find(&question.name) else { return Step::Next };
        let mirror = self.etcd.mirror();
        if let Some(trouble) = mirror.trouble() {
            let mut response = self.denial(zone, question, Rcode::SERVFAIL);
            response.ede = Some(Ede::new(Ede::NOT_READY, "etcd has not been read yet"));
            response.cause = Some(Box::new(Failure::Server(trouble.into())));
            return response.into();
        }
        match answer::answer(mirror, &self.policy, zone, &question.name, question.record_type, Instant::now()) {
            Answer::Nowhere if self.fallthrough.contains(&question.name) => Step::Next,
            Answer::Nowhere => self.denial(zone, question, Rcode::NXDOMAIN).into(),
            Answer::Broken(text) => {
                let mut response = self.denial(zone, question, Rcode::SERVFAIL);
                response.cause = Some(Box::new(Failure::Server(text.into())));
                response.into()
            }
            Answer::Here { answer, .. } if answer.is_empty() => self.denial(zone, question, Rcode::NOERROR).into(),
            Answer::Here { answer, additional } => self.complete(cx, answer, additional),
        }
    }

    fn again(&self, cx: &Context, _: &Sent<'_>) -> Again {
        // TTLs of leases shrink.
        if self.zones.contains(&cx.question().name) { Again::Never } else { Again::Always }
    }
}

impl Services {
    fn denial(&self, zone: &Name, question: &Question, rcode: Rcode) -> Response {
        let above = question.name.labels_above(zone).unwrap_or_default();
        let authority = Section::from_iter([answer::soa(self.etcd.mirror(), above)]);
        let body = Body::Records(Records { authority, ..Records::default() });
        Response { authoritative: true, body, origin: Origin::Live, ..Response::new(rcode) }
    }

    /// Asks the server for what is not in etcd, as a client would.
    fn complete(&self, cx: &Context, answer: Vec<Item>, additional: Vec<Item>) -> Step {
        let is_known = |item: &Item| matches!(item, Item::Record(_));
        if answer.iter().chain(&additional).all(is_known) {
            let records = |items: Vec<Item>| items.into_iter().filter_map(record).collect();
            return response(records(answer), records(additional), Origin::Live, false).into();
        }
        let (server, cx) = (self.server.clone(), cx.clone());
        Step::Wait(Box::pin(async move {
            let (answer, truncated) = resolved(&server, &cx, answer).await;
            let (additional, _) = resolved(&server, &cx, additional).await;
            response(answer, additional, Origin::Fetched, truncated)
        }))
    }
}

fn record(item: Item) -> Option<crate::wire::Record> {
    match item {
        Item::Record(record) => Some(record),
        Item::Elsewhere { .. } => None,
    }
}

fn response(answer: Section, additional: Section, origin: Origin, truncated: bool) -> Response {
    let body = Body::Records(Records { answer, additional, ..Records::default() });
    Response { authoritative: true, truncated, body, origin, ..Response::new(Rcode::NOERROR) }
}

/// The records, those of other names put in, all of which are asked for at once; and whether some are missing.
async fn resolved(server: &Server, cx: &Context, items: Vec<Item>) -> (Section, bool) {
    let each = items.into_iter().map(async |item| match item {
        Item::Record(record) => (Section::from_iter([record]), false),
        Item::Elsewhere { name, kind, aliases } => {
            let question = Question { name, record_type: kind, class: cx.question().class };
            let mut found = server.ask_for(cx.clone(), question).await;
            let truncated = found.truncated;
            let records = found.records_mut().map(|records| std::mem::take(&mut records.answer)).unwrap_or_default();
            let wanted = records.into_iter().filter(|record| aliases || record.data.record_type() != RecordType::CNAME);
            (wanted.map(|record| record.spelled_out(&name)).collect(), truncated)
        }
    });
    let all: Vec<(Section, bool)> = futures::future::join_all(each).await;
    let truncated = all.iter().any(|(_, truncated)| *truncated);
    (all.into_iter().flat_map(|(records, _)| records).collect(), truncated)
}
