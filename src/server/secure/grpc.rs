//! DNS in calls of gRPC: `coredns.dns.DnsService/Query` takes and gives `DnsPacket { bytes msg = 1; }`.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName},
    request::Parts,
};

use super::visitor::{Said, Visitor};
use crate::wire::{MAX_MESSAGE, long_octets, octets_of_long};

const PATH: &str = "/coredns.dns.DnsService/Query";
const CONTENT: &str = "application/grpc";
/// Octets around a message: the mark of compression and the length, then field and length of `msg`.
pub(super) const FRAME: usize = PREFIX + 4;
const PREFIX: usize = 5;
/// Field 1, of octets with their length in front.
const MSG: u8 = 0x0A;

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
    let mut rest = packet;
    let mut message = None;
    // Fields that nobody knows are passed over, and of several the last counts (protobuf's encoding).
    while let Some((key, behind)) = varint(rest) {
        let (field, kind) = (key >> 3, key & 7);
        let (data, behind) = match kind {
            0 => varint(behind).map(|(_, behind)| (&behind[..0], behind)),
            1 => behind.split_at_checked(8),
            2 => varint(behind).and_then(|(length, behind)| behind.split_at_checked(usize::try_from(length).ok()?)),
            5 => behind.split_at_checked(4),
            _ => None,
        }
        .ok_or(INVALID)?;
        if field == 1 && kind == 2 {
            message = Some(data);
        }
        rest = behind;
    }
    message.filter(|message| rest.is_empty() && message.len() <= MAX_MESSAGE).ok_or(INVALID)
}

/// A number in groups of seven bits, the lowest first; and what stands behind it.
fn varint(octets: &[u8]) -> Option<(u64, &[u8])> {
    let length = octets.iter().take(10).position(|octet| octet & 0x80 == 0)? + 1;
    let (number, behind) = octets.split_at(length);
    Some((number.iter().rev().fold(0, |sum, octet| sum << 7 | u64::from(octet & 0x7F)), behind))
}

fn pack(message: &[u8]) -> Bytes {
    let mut packet = vec![MSG];
    let mut length = message.len();
    while length >= 0x80 {
        packet.push(length as u8 & 0x7F | 0x80);
        length >>= 7;
    }
    packet.push(length as u8);
    let prefix = long_octets((packet.len() + message.len()) as u32);
    [&[0][..], &prefix, &packet, message].concat().into()
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
