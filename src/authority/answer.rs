use std::sync::Arc;

use super::ZoneCell;
use crate::{
    chain::{Context, Server, Step, ZoneSet},
    wire::{
        Body, Failure, Name, Opcode, Query, Question, RData, Rcode, Record, RecordType, Records, Response, Section,
    },
    zone::{Found, Outcome, Zone},
};

/// Answers a query for a name of a zone.
pub fn answer(cx: &Context, cell: &ZoneCell, fallthrough: &ZoneSet, server: &Server) -> Step {
    let question = cx.question();
    // Whoever may have the whole zone was served by `transfer`, which stands in front.
    if matches!(question.record_type, RecordType::AXFR | RecordType::IXFR) {
        return Response::new(Rcode::REFUSED).into();
    }
    if cx.query.flags.opcode() == Opcode::NOTIFY {
        tracing::info!(
            "dropping a notify from {} for {}: this is its primary",
            cx.peer.ip().to_canonical(),
            cell.origin()
        );
        return Step::Drop;
    }
    let Some(zone) = cell.zone() else {
        let cause = Failure::Server(format!("zone {} is not there", cell.origin()).into());
        return Response::failure(Rcode::SERVFAIL, cause).into();
    };
    let mut found = zone.lookup(question, cx.query.dnssec_ok());
    if found.is_nowhere() && fallthrough.contains(&question.name) {
        return Step::Next;
    }
    if matches!(found.outcome, Outcome::NoName | Outcome::Empty)
        && let Some(target) = alias(&found.answer, &question.name).filter(|target| fallthrough.contains(target))
    {
        // The target of an alias falls through as the name itself would.
        found.outcome = Outcome::Elsewhere(target.into());
    }
    match found.outcome {
        Outcome::Elsewhere(target) => ask_elsewhere(cx, zone, found.answer, *target, server),
        Outcome::Failure(Rcode::SERVFAIL) => {
            let cause = Failure::Server(format!("{} is an alias of itself", question.name).into());
            Response::failure(Rcode::SERVFAIL, cause).into()
        }
        _ => response(found).into(),
    }
}

/// Where the last alias of an answer leads.
fn alias(answer: &Section, question: &Name) -> Option<Name> {
    answer.iter().rev().find_map(|record| match &record.data {
        RData::Cname(target) => Some(target.resolve(question)),
        _ => None,
    })
}

fn response(found: Found) -> Response {
    let (rcode, authoritative) = (found.rcode(), found.is_authoritative());
    let Found { answer, authority, additional, .. } = found;
    let body = Body::Records(Records { answer, authority, additional });
    Response { authoritative, body, ..Response::new(rcode) }
}

/// Asks the whole server for the target of an alias that leads out of the zone, as a client would.
fn ask_elsewhere(cx: &Context, zone: Arc<Zone>, chain: Section, target: Name, server: &Server) -> Step {
    let mut inner = cx.clone();
    let outer = cx.question().clone();
    let dnssec = cx.query.dnssec_ok();
    let question = Question { name: target, record_type: outer.record_type, class: outer.class };
    inner.query = Query { question, ..cx.query.clone() };
    let server = server.clone();
    Step::Wait(Box::pin(async move {
        let mut found = server.ask(inner.into_fresh()).await;
        let (rcode, truncated) = (found.rcode, found.truncated);
        let mut answer = chain;
        let before = answer.len();
        if let Ok(records) = found.records_mut() {
            let more = std::mem::take(&mut records.answer);
            answer.extend(more.into_iter().map(|record: Record| record.spelled_out(&target)));
        }
        // Data comes with our name servers, a denial with our SOA (RFC 2308 section 2.1).
        let kind = if answer.len() > before { RecordType::NS } else { RecordType::SOA };
        let authority = zone.apex(&outer, kind, dnssec);
        let body = Body::Records(Records { answer, authority, ..Records::default() });
        Response { authoritative: true, truncated, body, cause: found.cause, ..Response::new(rcode) }
    }))
}
