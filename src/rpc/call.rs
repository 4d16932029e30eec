use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};

use crate::protobuf::Message;
use crate::wire::{long_octets, octets_of_long};

/// In front of each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Why a call has failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other end says so.
    #[error("{text} (status {code})")]
    Status {
        /// The code, as gRPC numbers them.
        code: u32,
        /// What it says in words.
        text: String,
    },
    /// This call has failed, others may not.
    #[error("{0}")]
    Call(io::Error),
    /// The connection has failed.
    #[error("{0}")]
    Connection(io::Error),
}

impl CallError {
    /// The name of what was asked for is not known there.
    pub const NOT_FOUND: u32 = 5;
    /// Who asks may not.
    pub const PERMISSION_DENIED: u32 = 7;
    /// The other end is not in a state to do it.
    pub const FAILED_PRECONDITION: u32 = 9;
    /// Nobody knows who asks.
    pub const UNAUTHENTICATED: u32 = 16;

    /// The code, if the other end has said one.
    pub const fn code(&self) -> Option<u32> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// A stream that the other end has reset concerns one call, unless it was not taken on.
    pub(super) fn of(error: h2::Error) -> Self {
        let only_call = error.is_reset() && error.reason() != Some(h2::Reason::REFUSED_STREAM);
        let error = io_error(error);
        if only_call { Self::Call(error) } else { Self::Connection(error) }
    }

    fn invalid(text: impl Into<String>) -> Self {
        Self::Call(io::Error::new(io::ErrorKind::InvalidData, text.into()))
    }
}

pub(super) fn io_error(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
    }
    io::Error::other(format!("http2: {error}"))
}

/// A message as it stands in a body.
pub(super) fn framed(message: &[u8]) -> Bytes {
    [&[0][..], &long_octets(message.len() as u32), message].concat().into()
}

/// A call that is under way.
pub struct Call {
    to: SendStream<Bytes>,
    from: From,
    /// What has come and is no whole message yet.
    open: BytesMut,
    most: usize,
}

enum From {
    Head(ResponseFuture),
    Body(RecvStream),
}

impl Call {
    pub(super) fn new(response: ResponseFuture, to: SendStream<Bytes>, most: usize) -> Self {
        Self { to, from: From::Head(response), open: BytesMut::new(), most }
    }

    /// Sends one more message.
    ///
    /// # Errors
    /// The call has ended.
    pub fn send(&mut self, message: &Message) -> Result<(), CallError> {
        self.to.send_data(framed(message.wire()), false).map_err(CallError::of)
    }

    /// The next message; `None` if the call has ended well. May be given up and called again.
    ///
    /// # Errors
    /// The call has ended otherwise, or what comes is no message.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let body = match &mut self.from {
                From::Head(response) => {
                    let (head, body) = response.await.map_err(CallError::of)?.into_parts();
                    if head.status != StatusCode::OK {
                        return Err(CallError::invalid(format!("unexpected HTTP status {}", head.status)));
                    }
                    if head.headers.contains_key("grpc-status") {
                        return ended(&head.headers);
                    }
                    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
                    if !kind.starts_with("application/grpc") {
                        return Err(CallError::invalid(format!("unexpected content type `{kind}`")));
                    }
                    self.from = From::Body(body);
                    continue;
                }
                From::Body(body) => body,
            };
            match body.data().await {
                Some(part) => {
                    let part = part.map_err(CallError::of)?;
                    body.flow_control().release_capacity(part.len()).map_err(CallError::of)?;
                    self.open.extend_from_slice(&part);
                }
                None => {
                    let trailers = body.trailers().await.map_err(CallError::of)?;
                    return if self.open.is_empty() {
                        ended(&trailers.unwrap_or_default())
                    } else {
                        Err(CallError::invalid("the last message is cut short"))
                    };
                }
            }
        }
    }

    /// A whole message, if one has come.
    fn take(&mut self) -> Result<Option<Bytes>, CallError> {
        let Some(&[compressed, length @ ..]) = self.open.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = octets_of_long(length) as usize;
        if compressed != 0 {
            return Err(CallError::invalid("the message is compressed"));
        }
        if length > self.most {
            return Err(CallError::invalid(format!("a message of {length} octets, {} are the most", self.most)));
        }
        if self.open.len() < PREFIX + length {
            return Ok(None);
        }
        self.open.advance(PREFIX);
        Ok(Some(self.open.split_to(length).freeze()))
    }
}

/// What the trailers say of a call.
fn ended(trailers: &HeaderMap) -> Result<Option<Bytes>, CallError> {
    let text = |name: &str| trailers.get(name).map(|value| percent_decoded(value.as_bytes())).unwrap_or_default();
    match text("grpc-status").parse() {
        Ok(0) => Ok(None),
        Ok(code) => Err(CallError::Status { code, text: text("grpc-message") }),
        Err(_) => Err(CallError::invalid("the call has ended without a status")),
    }
}

/// `%41` → `A`.
fn percent_decoded(text: &[u8]) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let coded =
            (first == b'%').then(|| behind.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        match coded.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) => {
                octets.push(octet);
                rest = &behind[2..];
            }
            None => {
                octets.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_calls_end() {
        let trailers = |pairs: &[(&'static str, &str)]| {
            pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
        };
        let end = |pairs: &[(&'static str, &str)]| ended(&trailers(pairs)).map_err(|error| error.to_string());
        assert_eq!(end(&[("grpc-status", "0")]), Ok(None));
        assert_eq!(
            end(&[("grpc-status", "9"), ("grpc-message", "100%25 no%C3%A9 %zz%")]),
            Err("100% noé %zz% (status 9)".to_owned())
        );
        assert_eq!(end(&[]), Err("the call has ended without a status".to_owned()));
    }
}
