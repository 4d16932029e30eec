#![doc = include_str!("README.md")]

mod config;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    chain::{Context, Directive, Plugin, Rest, Step, ZoneSet},
    kubernetes::grammar::reverse_address,
    wire::{Failure, RData, Rcode, Record, RecordType, Response},
};
use table::Table;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "hosts", parse: config::parse };

struct Hosts {
    zones: ZoneSet,
    table: Arc<RwLock<Arc<Table>>>,
    ttl: u32,
    fallthrough: ZoneSet,
    fallthrough_unsupported: bool,
}

impl Plugin for Hosts {
    fn name(&self) -> &'static str {
        "hosts"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        let table = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        let record = |data| Record::of_question(self.ttl, data);
        if question.record_type == RecordType::PTR
            && let Some(address) = reverse_address(&question.name)
        {
            // Reverse names are answered whether their zone is listed or not; unknown ones always go on.
            let mut answers = table.names(address).map(|name| record(RData::Ptr(name.into()))).peekable();
            return if answers.peek().is_none() { Step::Next } else { Response::answer(answers).into() };
        }
        if !self.zones.contains(&question.name) {
            return Step::Next;
        }
        let wanted = |address: &IpAddr| match question.record_type {
            RecordType::A => address.is_ipv4(),
            RecordType::AAAA => address.is_ipv6(),
            _ => false,
        };
        let goes_on = self.fallthrough.contains(&question.name);
        let Some(addresses) = table.addresses(&question.name, wanted) else {
            if goes_on {
                return Step::Next;
            }
            let cause = Failure::Server(format!("{} is not in the hosts file", question.name).into());
            return Response::failure(Rcode::SERVFAIL, cause).into();
        };
        let supported = matches!(question.record_type, RecordType::A | RecordType::AAAA);
        if !supported && self.fallthrough_unsupported && goes_on {
            return Step::Next;
        }
        Response::answer(addresses.into_iter().map(|address| record(RData::address(address)))).into()
    }
}
