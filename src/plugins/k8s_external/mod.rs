#![doc = include_str!("README.md")]

mod config;

use crate::{
    chain::{Again, Context, Directive, Offered, Plugin, Rest, Sent, Server, Step, ZoneSet},
    kubernetes::{
        Served,
        external::{self, Answer, Outside},
    },
    wire::{Body, Ede, Failure, Name, Origin, Question, RData, Rcode, Record, RecordType, Records, Response, Section},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "k8s_external", parse: config::parse };

struct ExternalNames {
    zones: ZoneSet,
    outside: Outside,
    fallthrough: ZoneSet,
    served: Offered<Served>,
    server: Server,
}

impl Plugin for ExternalNames {
    fn name(&self) -> &'static str {
        "k8s_external"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        let (Some(zone), Some(served)) = (self.zones.find(&question.name), self.served.taken()) else {
            return Step::Next;
        };
        match external::answer(served.cluster.index(), &served.policy, &self.outside, zone, question) {
            Answer::Here(response) => response.into(),
            Answer::Nowhere => self.nowhere(served, zone, question),
            Answer::Alias { record, target } => self.follow(cx, record, target),
            Answer::Targets { response, names } => self.add_addresses(cx, response, names),
        }
    }

    fn again(&self, cx: &Context, _: &Sent<'_>) -> Again {
        if self.zones.contains(&cx.question().name) { Again::Never } else { Again::Always }
    }
}

/// What the server said of another name, with that name written out.
fn records_of(response: &mut Response, name: &Name) -> Section {
    match response.records_mut() {
        Ok(records) => std::mem::take(&mut records.answer).into_iter().map(|record| record.spelled_out(name)).collect(),
        Err(_) => Section::new(),
    }
}

impl ExternalNames {
    /// The cluster does not know the name, or is not known itself yet.
    fn nowhere(&self, served: &Served, zone: &Name, question: &Question) -> Step {
        let index = served.cluster.index();
        if !served.cluster.is_synced() {
            let mut response = external::denial(index, &self.outside, zone, question, Rcode::SERVFAIL);
            response.ede = Some(Ede::new(Ede::NOT_READY, "cluster data not loaded yet"));
            response.cause = Some(Box::new(Failure::Cluster("Kubernetes API not synced".into())));
            return response.into();
        }
        if self.fallthrough.contains(&question.name) {
            return Step::Next;
        }
        external::denial(index, &self.outside, zone, question, Rcode::NXDOMAIN).into()
    }

    /// Asks the server for the name of a load balancer, as a client would.
    fn follow(&self, cx: &Context, alias: Record, target: Name) -> Step {
        let question = Question { name: target, ..cx.question().clone() };
        let (server, cx) = (self.server.clone(), cx.clone());
        Step::Wait(Box::pin(async move {
            let mut found = server.ask_for(cx, question).await;
            let mut answer = Section::from_iter([alias]);
            answer.extend(records_of(&mut found, &target));
            let body = Body::Records(Records { answer, ..Records::default() });
            let truncated = found.truncated;
            // The alias is there, whatever becomes of its target.
            Response { authoritative: true, truncated, body, origin: Origin::Fetched, ..Response::new(Rcode::NOERROR) }
        }))
    }

    /// Adds the addresses of SRV targets, as far as the server finds them (RFC 2782).
    fn add_addresses(&self, cx: &Context, mut response: Response, names: Vec<Name>) -> Step {
        let (server, cx) = (self.server.clone(), cx.clone());
        let class = cx.question().class;
        let asked = names.into_iter().flat_map(|name| [(name, RecordType::A), (name, RecordType::AAAA)]);
        let questions: Vec<Question> = asked.map(|(name, record_type)| Question { name, record_type, class }).collect();
        Step::Wait(Box::pin(async move {
            let all = questions.iter().map(|question| server.ask_for(cx.clone(), question.clone()));
            let found = futures::future::join_all(all).await;
            if let Body::Records(records) = &mut response.body {
                for (question, mut found) in questions.iter().zip(found) {
                    let answers = records_of(&mut found, &question.name).into_iter();
                    records.additional.extend(answers.filter(|record| !matches!(record.data, RData::Other(..))));
                }
            }
            response.origin = Origin::Fetched;
            response
        }))
    }
}
