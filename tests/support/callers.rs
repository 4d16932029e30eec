//! Clients over TLS, HTTPS, QUIC, HTTP/3 and gRPC, to be told to behave badly.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, Request, Response};
use quinn::{Connection, Endpoint, EndpointConfig, TokioRuntime, crypto::rustls::QuicClientConfig};
use rustls::{ClientConfig, crypto::ring};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::certificates::{Authority, Certified};

const PATIENCE: Duration = Duration::from_secs(8);

/// Runs what a client does.
pub(crate) fn run<T>(deeds: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(deeds)
}

/// Whom a client believes, and who it is.
#[derive(Clone)]
pub(crate) struct Caller {
    config: ClientConfig,
    port: u16,
    /// What a proxy writes first.
    header: Vec<u8>,
}

impl Caller {
    pub(crate) fn new(authority: &Authority, port: u16) -> Self {
        Self::known_as(authority, None, port)
    }

    pub(crate) fn known_as(authority: &Authority, who: Option<&Certified>, port: u16) -> Self {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(authority.roots());
        let config = match who {
            None => builder.with_no_client_auth(),
            Some(who) => builder.with_client_auth_cert(who.chain(), who.key()).expect("a certificate"),
        };
        Self { config, port, header: Vec::new() }
    }

    /// What its handshakes are begun with.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::new(self.config.clone())
    }

    /// The same behind a proxy that writes this header in front of connections, or in a datagram of its own.
    pub(crate) fn behind(&self, header: &[u8]) -> Self {
        Self { header: header.to_vec(), ..self.clone() }
    }

    fn place(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// A TLS connection with this protocol.
    pub(crate) async fn tls(&self, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        let mut stream = TcpStream::connect(self.place()).await?;
        stream.write_all(&self.header).await?;
        let name = "127.0.0.1".try_into().expect("a name");
        timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await?
    }

    /// A QUIC connection with this protocol.
    pub(crate) async fn quic(&self, alpn: &[u8]) -> Result<Connection, String> {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).expect("TLS 1.3")));
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        if !self.header.is_empty() {
            socket.send_to(&self.header, self.place()).expect("sent");
        }
        let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime));
        let endpoint = endpoint.expect("a socket");
        let connecting = endpoint.connect_with(config, self.place(), "127.0.0.1").expect("a name");
        timeout(PATIENCE, connecting).await.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())
    }

    /// An HTTP/2 connection.
    pub(crate) async fn http2(&self) -> Result<h2::client::SendRequest<Bytes>, String> {
        let stream = self.tls(b"h2").await.map_err(|error| error.to_string())?;
        let (line, connection) = h2::client::handshake(stream).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(line)
    }
}

/// Sends a message over TLS.
pub(crate) async fn put(stream: &mut TlsStream<TcpStream>, message: &[u8]) {
    let framed = [&(message.len() as u16).to_be_bytes(), message].concat();
    stream.write_all(&framed).await.expect("sent");
    stream.flush().await.expect("sent");
}

/// The next message over TLS; `None` if the connection has ended.
pub(crate) async fn take(stream: &mut TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let length = timeout(PATIENCE, stream.read_u16()).await.expect("an answer or an end").ok()?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

/// What comes back on a stream of DNS over QUIC for these octets: messages, or why there are none.
pub(crate) async fn over_quic(connection: &Connection, octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let (mut to, mut from) = connection.open_bi().await.map_err(|error| error.to_string())?;
    to.write_all(octets).await.map_err(|error| error.to_string())?;
    to.finish().map_err(|error| error.to_string())?;
    let reading = timeout(PATIENCE, from.read_to_end(1 << 22)).await.expect("an answer or an end");
    let mut octets = reading.map_err(|error| match error {
        quinn::ReadToEndError::Read(error) => format!("{error}"),
        quinn::ReadToEndError::TooLong => "too long".to_owned(),
    })?;
    let mut messages = Vec::new();
    while octets.len() >= 2 {
        let length = usize::from(u16::from_be_bytes([octets[0], octets[1]]));
        messages.push(octets.drain(..2 + length).skip(2).collect());
    }
    Ok(messages)
}

/// The octets of a query on a stream.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// The reply to a request over HTTP/2: head, body, trailers.
pub(crate) async fn over_http2(
    line: &h2::client::SendRequest<Bytes>,
    request: Request<()>,
    body: &[u8],
) -> Result<(Response<()>, Vec<u8>, HeaderMap), String> {
    let text = |error: h2::Error| error.to_string();
    let mut line = line.clone().ready().await.map_err(text)?;
    let (response, mut to) = line.send_request(request, false).map_err(text)?;
    to.send_data(Bytes::copy_from_slice(body), true).map_err(text)?;
    let response = timeout(PATIENCE, response).await.expect("a reply or an end").map_err(text)?;
    let (head, mut from) = response.into_parts();
    let mut body = Vec::new();
    while let Some(part) = from.data().await {
        let part = part.map_err(text)?;
        from.flow_control().release_capacity(part.len()).map_err(text)?;
        body.extend_from_slice(&part);
    }
    let trailers = from.trailers().await.map_err(text)?.unwrap_or_default();
    Ok((Response::from_parts(head, ()), body, trailers))
}

/// A POST of a DNS message.
pub(crate) fn post() -> Request<()> {
    Request::post("https://127.0.0.1/dns-query")
        .header("content-type", "application/dns-message")
        .body(())
        .expect("a request")
}

/// The reply to a request over HTTP/3, on a connection of its own: status, age, body.
pub(crate) async fn over_http3(connection: Connection, message: &[u8]) -> (u16, String, Vec<u8>) {
    let (mut driver, mut line) = h3::client::new(h3_quinn::Connection::new(connection)).await.expect("HTTP/3");
    let driving = tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    let mut stream = line.send_request(post()).await.expect("sent");
    stream.send_data(Bytes::copy_from_slice(message)).await.expect("sent");
    stream.finish().await.expect("sent");
    let response = timeout(PATIENCE, stream.recv_response()).await.expect("a reply").expect("a reply");
    let mut body = Vec::new();
    while let Some(mut part) = stream.recv_data().await.expect("a body") {
        body.extend_from_slice(&part.copy_to_bytes(part.remaining()));
    }
    driving.abort();
    let age = response.headers().get("cache-control").map_or("", |value| value.to_str().expect("text"));
    (response.status().as_u16(), age.to_owned(), body)
}

/// A call of gRPC: the message within the reply, or status and text.
pub(crate) async fn call(line: &h2::client::SendRequest<Bytes>, message: &[u8]) -> Result<Vec<u8>, String> {
    assert!(message.len() < 128, "one octet of length");
    let packet = [&[0x0A, message.len() as u8], message].concat();
    let body = [&[0][..], &(packet.len() as u32).to_be_bytes(), &packet].concat();
    call_with(line, "/coredns.dns.DnsService/Query", &body).await
}

pub(crate) async fn call_with(
    line: &h2::client::SendRequest<Bytes>,
    path: &str,
    body: &[u8],
) -> Result<Vec<u8>, String> {
    let request = Request::post(format!("https://127.0.0.1{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    let (head, body, trailers) = over_http2(line, request, body).await?;
    let trailers = if trailers.is_empty() { head.headers().clone() } else { trailers };
    match trailers.get("grpc-status").map(http::HeaderValue::as_bytes) {
        // Prefix, field, and the length in one octet or two.
        Some(b"0") => Ok(body[if body[6] & 0x80 == 0 { 7 } else { 8 }..].to_vec()),
        Some(code) => Err(String::from_utf8_lossy(code).into_owned()),
        None => Err("no status".to_owned()),
    }
}
