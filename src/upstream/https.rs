//! DNS over HTTPS (RFC 8484), over HTTP/2.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use h2::{
    RecvStream,
    client::{Builder, SendRequest},
};
use http::{
    Method, Request, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};

use super::{
    Protocol,
    dial::Handshake,
    tls_error::explained,
    trunk::{Carrier, Driver, Trouble},
};
use crate::wire::MAX_MESSAGE;

const MESSAGE: &str = "application/dns-message";
/// The only path that CoreDNS knows.
const PATH: &str = "/dns-query";
/// Octets that may be on their way to us at once, over all streams.
const WINDOW: u32 = 1 << 20;

/// Where questions are put, and how.
pub(super) struct Https {
    pub(super) remote: SocketAddr,
    pub(super) source: Option<IpAddr>,
    pub(super) handshake: Handshake,
    /// Host, and port unless it is 443.
    pub(super) authority: String,
    /// POST, or GET with the message in the URI.
    pub(super) get: bool,
}

impl Carrier for Https {
    const PROTOCOL: Protocol = Protocol::Https;
    type Line = SendRequest<Bytes>;

    async fn connect(&self) -> io::Result<(Self::Line, Driver)> {
        let stream = self.handshake.stream(self.remote, self.source).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the server does not speak HTTP/2"));
        }
        let mut builder = Builder::new();
        builder.enable_push(false).initial_connection_window_size(WINDOW).max_header_list_size(16 << 10);
        let (line, connection) = builder.handshake(stream).await.map_err(io_error)?;
        let driver = async move {
            if let Err(error) = connection.await {
                tracing::debug!(target: "plugin/forward", "connection ended: {error}");
            }
        };
        Ok((line, Box::pin(driver)))
    }

    async fn exchange(&self, line: Self::Line, query: &[u8]) -> Result<Vec<u8>, Trouble> {
        let mut line = line.ready().await.map_err(trouble)?;
        let request = self.request(query).map_err(|error| Trouble::Query(io::Error::other(error)))?;
        let (response, mut body) = line.send_request(request, self.get).map_err(trouble)?;
        if !self.get {
            body.send_data(Bytes::copy_from_slice(query), true).map_err(trouble)?;
        }
        let response = response.await.map_err(trouble)?;
        if response.status() != StatusCode::OK {
            let text = format!("unexpected HTTP status {}", response.status());
            return Err(Trouble::Query(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(MESSAGE) {
            let text = format!("unexpected content type `{kind}`");
            return Err(Trouble::Query(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        read(response.into_body()).await
    }
}

impl Https {
    fn request(&self, query: &[u8]) -> Result<Request<()>, http::Error> {
        let path = if self.get { format!("{PATH}?dns={}", URL_SAFE_NO_PAD.encode(query)) } else { PATH.to_owned() };
        let uri = Uri::builder().scheme("https").authority(self.authority.as_str()).path_and_query(path).build()?;
        let request = Request::builder().uri(uri).header(ACCEPT, MESSAGE);
        match self.get {
            true => request.method(Method::GET).body(()),
            false => request.method(Method::POST).header(CONTENT_TYPE, MESSAGE).body(()),
        }
    }
}

/// The whole body, if it is not longer than a message can be.
async fn read(mut body: RecvStream) -> Result<Vec<u8>, Trouble> {
    let mut message = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(trouble)?;
        if message.len() + part.len() > MAX_MESSAGE {
            return Err(Trouble::Query(io::Error::new(
                io::ErrorKind::InvalidData,
                "the reply is longer than a message",
            )));
        }
        message.extend_from_slice(&part);
        body.flow_control().release_capacity(part.len()).map_err(trouble)?;
    }
    Ok(message)
}

/// A stream that the server has reset concerns one query, unless the server did not take it on.
fn trouble(error: h2::Error) -> Trouble {
    let only_stream = error.is_reset() && error.reason() != Some(h2::Reason::REFUSED_STREAM);
    let error = io_error(error);
    if only_stream { Trouble::Query(error) } else { Trouble::Connection(error) }
}

fn io_error(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().map_or_else(|| io::ErrorKind::UnexpectedEof.into(), explained);
    }
    io::Error::other(format!("http2: {error}"))
}
