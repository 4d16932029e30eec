#![doc = include_str!("README.md")]

mod config;
mod zone;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::time::sleep;

use crate::{
    chain::{Context, Directive, Plugin, Rest, Step},
    wire::{Body, RData, Rcode, Record, RecordType, Records, Response},
};
use config::Config;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "erratic", parse: config::parse };

/// From the networks for documentation, RFC 5737 and RFC 3849.
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
/// How many addresses a `large` answer has.
const LARGE: usize = 30;

/// One of so many; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Amount(u64);

impl Amount {
    /// Whether the query with this number, from 0, is the one.
    const fn takes(self, number: u64) -> bool {
        self.0 > 0 && number.is_multiple_of(self.0)
    }
}

struct Erratic {
    config: Config,
    /// How many queries there have been.
    seen: Arc<AtomicU64>,
}

impl Plugin for Erratic {
    fn name(&self) -> &'static str {
        "erratic"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let number = self.seen.fetch_add(1, Relaxed);
        if self.config.drop.unwrap_or_default().takes(number) {
            return Step::Drop;
        }
        let response = self.answer(cx, self.config.truncate.takes(number));
        if !self.config.delay.takes(number) {
            return response.into();
        }
        let late = self.config.duration;
        Step::Wait(Box::pin(async move {
            sleep(late).await;
            response
        }))
    }
}

impl Erratic {
    fn answer(&self, cx: &Context, truncated: bool) -> Response {
        let question = cx.question();
        let address = |data| Record { class: question.class, ..Record::of_question(0, data) };
        let mut records = Records::default();
        match question.record_type {
            RecordType::A => {
                let count = if self.config.large { LARGE } else { 1 };
                records.answer.extend((0..count).map(|_| address(RData::A(V4))));
            }
            RecordType::AAAA => records.answer.push(address(RData::Aaaa(V6))),
            RecordType::AXFR if cx.transport.takes_series() => records.answer.extend(zone::records(truncated)),
            _ => return Response::new(Rcode::SERVFAIL),
        }
        let truncated = truncated && question.record_type != RecordType::AXFR;
        Response { authoritative: true, truncated, body: Body::Records(records), ..Response::new(Rcode::NOERROR) }
    }
}

#[cfg(test)]
mod tests {
    use super::Amount;

    #[test]
    fn one_of_so_many_counted_from_the_first() {
        let taken = |amount: u64| (0..6).filter(|number| Amount(amount).takes(*number)).collect::<Vec<_>>();
        assert_eq!(taken(2), [0, 2, 4]);
        assert_eq!(taken(3), [0, 3]);
        assert_eq!(taken(1), [0, 1, 2, 3, 4, 5]);
        assert_eq!(taken(0), [0; 0]);
    }
}
