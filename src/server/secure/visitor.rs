use std::{sync::Arc, time::Instant};

use super::Load;
use crate::{
    chain::Transport,
    server::{
        answer::{Arrival, DRAFT, Handled, Series, handle},
        door::{AtWork, Door},
        duty::Duty,
        limits::Patience,
        memo,
        proxied::Client,
    },
};

/// Somebody who asks over an encrypted connection.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) duty: Duty,
    pub(super) client: Client,
    pub(super) transport: Transport,
}

/// What is said to a message.
pub(super) enum Said {
    Nothing,
    One(Vec<u8>),
    /// The first of several messages, and those that follow.
    Many(Vec<u8>, Box<Series>),
}

impl Visitor {
    /// The answer to a message, as the site has it that serves now.
    pub(super) async fn ask(&mut self, message: &[u8]) -> Said {
        self.duty.refresh();
        let Some((site, listener)) = self.duty.site() else { return Said::Nothing };
        let Self { client: Client { peer, local, tlvs }, transport, .. } = self;
        let (peer, local, transport) = (*peer, *local, *transport);
        let arrival = Arrival { listener, peer, local, transport, now: Instant::now(), tlvs: tlvs.as_ref() };
        let job = DRAFT.with_borrow_mut(|draft| match handle(site, arrival, message, self.duty.parking(), draft) {
            Handled::Nothing => Ok(Said::Nothing),
            Handled::Reply(length) => Ok(Said::One(draft[..length].to_vec())),
            Handled::Series(length, series) => Ok(Said::Many(draft[..length].to_vec(), series)),
            Handled::Parked(job) => Err(job),
        });
        memo::settle();
        match job {
            Ok(said) => said,
            Err(job) => Said::One(job.finish().await.bytes),
        }
    }

    /// A place for one more query in work.
    pub(super) fn begin(&mut self) -> Option<AtWork> {
        self.duty.refresh();
        self.duty.door().stream(Load::now(&self.duty).workers)
    }

    pub(super) fn door(&self) -> &Arc<Door> {
        self.duty.door()
    }

    pub(super) fn patience(&self) -> Patience {
        self.duty.patience()
    }
}
