//! From the bytes of a query to the bytes of its answer, the same for every transport.

use std::{cell::RefCell, net::SocketAddr, sync::Arc, time::Instant};

use super::{
    limits::Parking,
    memo::{self, Memory},
    metrics::{Refusals, RejectReason},
    route::Target,
    site::Site,
};
use crate::{
    chain::{Context, Outcome, Parked, Sent, Transport},
    tsig::{self, Seal},
    versions::Seen,
    wire::{
        Body, Edns, Failure, Flags, Following, MAX_MESSAGE, Opcode, Query, Rcode, Reject, Rejected, Response, encode,
        encode_reject, spare,
    },
};

/// What became of a message.
pub(crate) enum Handled {
    /// The answer stands in the buffer and has this length.
    Reply(usize),
    /// The first of several messages stands in the buffer; the others follow on the same stream.
    Series(usize, Box<Series>),
    /// Nothing is sent.
    Nothing,
    /// Some plugin waits for somebody.
    Parked(Box<Job>),
}

/// The messages of a zone transfer behind the first one.
pub(crate) struct Series {
    query: Query,
    following: Following,
    seal: Option<Chained>,
}

/// What signs the messages of an answer, and the signature of the last one.
struct Chained {
    seal: Arc<Seal>,
    last: Vec<u8>,
}

impl Chained {
    fn of(cx: &Context) -> Option<Self> {
        cx.seal().map(|seal| Self { seal: Arc::clone(seal), last: Vec::new() })
    }

    fn apply(&mut self, out: &mut [u8], length: usize) -> usize {
        self.seal.apply(out, length, tsig::now(), &mut self.last)
    }
}

impl Series {
    /// Writes the next message; gives its length.
    pub(crate) fn write_next(&mut self, out: &mut [u8]) -> Option<usize> {
        let body = Body::Records(self.following.next_message()?);
        let response = Response { authoritative: true, body, ..Response::new(Rcode::NOERROR) };
        let length = encode(&self.query, &response, MAX_MESSAGE, out);
        Some(self.seal.as_mut().map_or(length, |seal| seal.apply(out, length)))
    }
}

/// A query that waits.
pub(crate) struct Job {
    site: Arc<Site>,
    parked: Parked,
    cx: Context,
    place: super::limits::Parked,
}

/// The answer to a query that waited.
pub(crate) struct Finished {
    pub(crate) bytes: Vec<u8>,
    /// Counts among the waiting queries until the bytes have left.
    _place: super::limits::Parked,
}

thread_local! {
    /// Where an answer is written before it is known how long it is.
    pub(super) static DRAFT: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_MESSAGE].into());
}

/// Where and how a message came.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) listener: usize,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) now: Instant,
    /// What a proxy said of the client besides its address.
    pub(crate) tlvs: Option<&'a Arc<[u8]>>,
}

/// Answers a message, or says that it must wait. `out` is as long as the longest answer.
pub(crate) fn handle(
    site: &Arc<Site>,
    arrival: Arrival<'_>,
    message: &[u8],
    parking: &Arc<Parking>,
    out: &mut [u8],
) -> Handled {
    let memory = if site.is_same_for_all(arrival.listener) {
        memo::recall(site.number(), &arrival, message, out)
    } else {
        Memory::Nothing
    };
    if let Memory::Given(length) = memory {
        return Handled::Reply(length);
    }
    let mut query = match Query::parse(message) {
        Ok(query) => query,
        Err(Reject::Reply(rejected)) if rejected.flags.opcode() == Opcode::UPDATE => {
            match updating(site, &arrival, message) {
                Ok(query) => query,
                Err(rcode) => {
                    let reject = Reject::Reply(Rejected { rcode, ..rejected });
                    return refuse_message(site.refusals(), reject, out);
                }
            }
        }
        Err(reject) => return refuse_message(site.refusals(), reject, out),
    };
    let Arrival { listener, peer, local, transport, now, tlvs } = arrival;
    query.pads = site.guise(listener).is_some() && query.has_option(Edns::PADDING);
    let mut cx = Context::new(query, peer, local, transport, now);
    cx.place.listener = listener as u16;
    cx.tlvs = tlvs.cloned();
    if !matches!(memory, Memory::Wanted(_)) {
        cx.seen = Seen::UNASKED;
    }
    if cx.query.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        site.refusals().count(RejectReason::BadVersion);
        return write_alone(&cx, &Response::new(Rcode::BADVERS), out);
    }
    let Some(target) = site.target(&cx) else {
        return refuse(site, &cx, out);
    };
    cx.place = target.place;
    match target.chain.walk(&mut cx) {
        Outcome::Answered(mut response) => {
            let mut seal = Chained::of(&cx);
            let length = write(target, &cx, &response, seal.as_mut(), out);
            if let Memory::Wanted(hash) = memory {
                let sent = Sent { response: &response, size: length, flags: Flags::of_message(out), now };
                if let Some(terms) = target.chain.again(&cx, &sent) {
                    memo::keep(site.number(), &arrival, hash, message, &out[..length], terms);
                }
            }
            spare::give_back(&mut response);
            match response.following {
                None => Handled::Reply(length),
                Some(following) => Handled::Series(length, Box::new(Series { query: cx.query, following, seal })),
            }
        }
        Outcome::Dropped => Handled::Nothing,
        Outcome::Parked(parked) => match parking.enter() {
            Some(place) => Handled::Parked(Box::new(Job { site: Arc::clone(site), parked, cx, place })),
            None => {
                let cause = Failure::Server("too many queries are waiting".into());
                let response = Response::failure(Rcode::SERVFAIL, cause);
                Handled::Reply(write(target, &cx, &response, Chained::of(&cx).as_mut(), out))
            }
        },
    }
}

impl Job {
    /// Waits for the answer and gives its bytes.
    pub(crate) async fn finish(mut self: Box<Self>) -> Finished {
        let chain = Arc::clone(self.parked.chain());
        let response = self.parked.finish(&mut self.cx).await;
        let target = Target { chain, place: self.cx.place, view: None };
        let bytes = DRAFT.with_borrow_mut(|draft| {
            let length = write(&target, &self.cx, &response, Chained::of(&self.cx).as_mut(), draft);
            draft[..length].to_vec()
        });
        drop(self.site);
        Finished { bytes, _place: self.place }
    }
}

/// An update, if the block of its zone has a plugin that takes updates: no other must say that it was made.
fn updating(site: &Arc<Site>, arrival: &Arrival<'_>, message: &[u8]) -> Result<Query, Rcode> {
    let Arrival { listener, peer, local, transport, now, tlvs } = *arrival;
    // Before anything is read or said about its form: whether there are updates here at all.
    if !site.takes_updates(listener) {
        return Err(Rcode::NOTIMP);
    }
    let query = Query::parse_update(message).map_err(|_| Rcode::FORMERR)?;
    let mut cx = Context::new(query, peer, local, transport, now);
    cx.place.listener = listener as u16;
    cx.tlvs = tlvs.cloned();
    match site.target(&cx) {
        Some(target) if target.chain.takes_updates() => Ok(cx.query),
        Some(_) => Err(Rcode::NOTIMP),
        // No block of ours: refused as any query.
        None => Ok(cx.query),
    }
}

fn write(target: &Target, cx: &Context, response: &Response, seal: Option<&mut Chained>, out: &mut [u8]) -> usize {
    let mut size = encode(&cx.query, response, cx.limit(), out);
    if let Some(seal) = seal {
        size = seal.apply(out, size);
    }
    let flags = Flags::of_message(out);
    target.chain.sent(cx, &Sent { response, size, flags, now: Instant::now() });
    size
}

fn write_alone(cx: &Context, response: &Response, out: &mut [u8]) -> Handled {
    Handled::Reply(encode(&cx.query, response, cx.limit(), out))
}

/// No block answers for the name or its class: REFUSED, counted under the zone `dropped`.
fn refuse(site: &Site, cx: &Context, out: &mut [u8]) -> Handled {
    let response = Response::new(Rcode::REFUSED);
    let size = encode(&cx.query, &response, cx.limit(), out);
    site.count_dropped(cx, size);
    Handled::Reply(size)
}

fn refuse_message(refusals: &Refusals, reject: Reject, out: &mut [u8]) -> Handled {
    match reject {
        Reject::Ignore => {
            refusals.count(RejectReason::Ignored);
            Handled::Nothing
        }
        Reject::Reply(rejected) => {
            let malformed = rejected.rcode == Rcode::FORMERR;
            refusals.count(if malformed { RejectReason::Malformed } else { RejectReason::Opcode });
            Handled::Reply(encode_reject(rejected, out))
        }
    }
}
