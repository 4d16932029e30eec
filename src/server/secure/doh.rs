//! DNS in requests of HTTP (RFC 8484), whichever version carries them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{
    HeaderMap, Method, Response, StatusCode, Uri,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};

use super::visitor::{Said, Visitor};
use crate::wire::{MAX_MESSAGE, freshness};

const MESSAGE: &str = "application/dns-message";
/// The only path that CoreDNS knows.
const PATH: &str = "/dns-query";

/// Where the message of a request is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Here.
    Message(Vec<u8>),
    /// In the body.
    Body,
}

/// Reads the head of a request.
pub(super) fn read(head: &Parts) -> Result<Wanted, StatusCode> {
    if head.uri.path() != PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    match head.method {
        Method::GET => in_uri(&head.uri).map(Wanted::Message),
        Method::POST => in_body(&head.headers).map(|()| Wanted::Body),
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// RFC 8484 section 4.1: one variable `dns`, base64url without padding.
fn in_uri(uri: &Uri) -> Result<Vec<u8>, StatusCode> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("dns="));
    let [message] = pairs.collect::<Vec<_>>()[..] else { return Err(StatusCode::BAD_REQUEST) };
    URL_SAFE_NO_PAD.decode(message.trim_end_matches('=')).map_err(|_| StatusCode::BAD_REQUEST)
}

fn in_body(headers: &HeaderMap) -> Result<(), StatusCode> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let kind = text(CONTENT_TYPE).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case(MESSAGE)) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let length: Option<usize> = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if length.is_some_and(|length| length > MAX_MESSAGE) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    Ok(())
}

/// The reply to a message, or to what was none.
pub(super) async fn reply(visitor: &mut Visitor, message: Result<Vec<u8>, StatusCode>) -> (Response<()>, Bytes) {
    let answer = match message {
        Ok(message) if message.len() < HEADER => Err(StatusCode::BAD_REQUEST),
        Ok(message) => match visitor.ask(&message).await {
            // A series cannot come: `Transport::takes_series`.
            Said::One(answer) | Said::Many(answer, _) => Ok(answer),
            Said::Nothing => Err(StatusCode::INTERNAL_SERVER_ERROR),
        },
        Err(status) => Err(status),
    };
    let (head, body) = written(answer);
    visitor.door().count_reply(head.status().as_u16());
    (head, body)
}

/// Without that many octets a message has no header, and nobody could be answered.
const HEADER: usize = 12;

fn written(answer: Result<Vec<u8>, StatusCode>) -> (Response<()>, Bytes) {
    let mut head = Response::new(());
    let body = match answer {
        Ok(answer) => {
            // RFC 8484 section 5.1: no longer than the records hold.
            let fresh = format!("max-age={}", freshness(&answer));
            head.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(MESSAGE));
            if let Ok(fresh) = fresh.try_into() {
                head.headers_mut().insert(CACHE_CONTROL, fresh);
            }
            Bytes::from(answer)
        }
        Err(status) => {
            *head.status_mut() = status;
            head.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
            if status == StatusCode::METHOD_NOT_ALLOWED {
                head.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, POST"));
            }
            Bytes::from_static(status.canonical_reason().unwrap_or_default().as_bytes())
        }
    };
    head.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    (head, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn requests_that_carry_a_message_and_those_that_do_not() {
        let message = |octets: &[u8]| Ok(Wanted::Message(octets.to_vec()));
        let (dns, json) = (("content-type", MESSAGE), ("content-type", "application/dns-json"));
        for (method, uri, headers, expected) in [
            ("GET", "https://a.test/dns-query?dns=AAEC", vec![], message(&[0, 1, 2])),
            ("GET", "/dns-query?ct=x&dns=AAEC_w", vec![], message(&[0, 1, 2, 255])),
            ("GET", "/dns-query?dns=AAEC_w==", vec![], message(&[0, 1, 2, 255])),
            ("GET", "/dns-query", vec![], Err(400)),
            ("GET", "/dns-query?dns=AAEC&dns=AAEC", vec![], Err(400)),
            ("GET", "/dns-query?dns=A+/C", vec![], Err(400)),
            ("GET", "/", vec![], Err(404)),
            ("GET", "/dns-query/?dns=AAEC", vec![], Err(404)),
            ("POST", "/dns-query", vec![dns], Ok(Wanted::Body)),
            ("POST", "/dns-query", vec![("content-type", "Application/DNS-Message; x=y")], Ok(Wanted::Body)),
            ("POST", "/dns-query", vec![], Ok(Wanted::Body)),
            ("POST", "/dns-query", vec![json], Err(415)),
            ("POST", "/dns-query", vec![dns, ("content-length", "65535")], Ok(Wanted::Body)),
            ("POST", "/dns-query", vec![dns, ("content-length", "65536")], Err(413)),
            ("PUT", "/dns-query", vec![dns], Err(405)),
            ("HEAD", "/dns-query?dns=AAEC", vec![], Err(405)),
        ] {
            let expected = expected.map_err(|status| StatusCode::from_u16(status).unwrap());
            assert_eq!(read(&head(method, uri, &headers)), expected, "{method} {uri} {headers:?}");
        }
    }
}
