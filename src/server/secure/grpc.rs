//! DNS in calls of gRPC: `coredns.dns.DnsService/Query` takes and gives `DnsPacket { bytes msg = 1; }`.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName},
    request::Parts,
};

use super::visitor::{Said, Visitor};
use crate::{
    protobuf::{Fields, Malformed, Message, Value},
    wire::{MAX_MESSAGE, long_octets, octets_of_long},
};

const PATH: &str = "/coredns.dns.DnsService/Query";
const CONTENT: &str = "application/grpc";
/// Octets around a message: the mark of compression and the length, then field and length of `msg`.
pub(super) const FRAME: usize = PREFIX + 4;
const PREFIX: usize = 5;

/// How a call has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    code: u16,
    text: &'static str,
}

pub(super) const OK: Status = Status { code: 0, text: "" };
const INVALID: Status = Status { code: 3, text: "not a DNS message" };
const DEADLINE: Status = Status { code: 4, text: "the message did not come in time" };
const EXHAUSTED: Status = Status { code: 8, text: "longer than a DNS message can be" };
const UNIMPLEMENTED: Status = Status { code: 12, text: "the only call is coredns.dns.DnsService/Query" };
const COMPRESSED: Status = Status { code: 12, text: "messages are not compressed here" };
const INTERNAL: Status = Status { code: 13, text: "no answer" };

impl Status {
    /// Behind the messages.
    pub(super) fn trailers(self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert(HeaderName::from_static("grpc-status"), self.code.into());
        if !self.text.is_empty() {
            trailers.insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static(self.text));
        }
        trailers
    }

    /// As a reply without messages.
    pub(super) fn alone(self) -> Response<()> {
        let mut response = head();
        response.headers_mut().extend(self.trailers());
        response
    }
}

/// In front of the messages.
pub(super) fn head() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT));
    response
}

/// Whether a request is a call that is known.
pub(super) fn read(head: &Parts) -> Result<(), Status> {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_call = head.method == Method::POST && head.uri.path() == PATH && kind.starts_with(CONTENT);
    if is_call { Ok(()) } else { Err(UNIMPLEMENTED) }
}

/// The reply to what the body of a call holds.
pub(super) async fn reply(visitor: &mut Visitor, body: Result<Vec<u8>, StatusCode>) -> Result<Bytes, Status> {
    let body = body.map_err(|status| match status {
        StatusCode::PAYLOAD_TOO_LARGE => EXHAUSTED,
        StatusCode::REQUEST_TIMEOUT => DEADLINE,
        _ => INVALID,
    })?;
    match visitor.ask(unpack(&body)?).await {
        Said::One(answer) | Said::Many(answer, _) => Ok(pack(&answer)),
        Said::Nothing => Err(INTERNAL),
    }
}

/// The DNS message within a body.
fn unpack(body: &[u8]) -> Result<&[u8], Status> {
    let (prefix, packet) = body.split_first_chunk::<PREFIX>().ok_or(INVALID)?;
    let [is_compressed, length @ ..] = *prefix;
    if is_compressed != 0 {
        return Err(COMPRESSED);
    }
    if octets_of_long(length) as usize != packet.len() {
        return Err(INVALID);
    }
    let mut message = None;
    // Of several the last counts (protobuf's encoding).
    for field in Fields::of(packet) {
        if let (1, Value::Octets(octets)) = field.map_err(|Malformed| INVALID)? {
            message = Some(octets);
        }
    }
    message.filter(|message| message.len() <= MAX_MESSAGE).ok_or(INVALID)
}

fn pack(message: &[u8]) -> Bytes {
    let mut packet = Message::with_room(message.len() + FRAME);
    packet.put_octets(1, message);
    let prefix = long_octets(packet.wire().len() as u32);
    [&[0][..], &prefix, packet.wire()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_any_length_are_packed_and_unpacked() {
        for length in [1, 12, 127, 128, 300, 16_383, 16_384, MAX_MESSAGE] {
            let message = vec![7; length];
            let packed = pack(&message);
            assert_eq!(unpack(&packed), Ok(&message[..]), "{length}");
            assert!(packed.len() <= length + FRAME);
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for (what, body, expected) in [
            ("one octet", &b"\0\0\0\0\x03\x0A\x01x"[..], Ok(&b"x"[..])),
            ("an unknown field", b"\0\0\0\0\x05\x10\x05\x0A\x01x", Ok(b"x")),
            ("the last one counts", b"\0\0\0\0\x06\x0A\x01x\x0A\x01y", Ok(b"y")),
            ("nothing", b"", Err(INVALID)),
            ("no message", b"\0\0\0\0\0", Err(INVALID)),
            ("compressed", b"\x01\0\0\0\x03\x0A\x01x", Err(COMPRESSED)),
            ("cut short", b"\0\0\0\0\x09\x0A\x07x", Err(INVALID)),
            ("a longer field than there is", b"\0\0\0\0\x03\x0A\x07x", Err(INVALID)),
            ("a number without an end", b"\0\0\0\0\x02\xFF\xFF", Err(INVALID)),
            ("two packets", b"\0\0\0\0\x03\x0A\x01x\0\0\0\0\x03\x0A\x01x", Err(INVALID)),
        ] {
            assert_eq!(unpack(body), expected, "{what}");
        }
    }
}
