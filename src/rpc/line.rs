use std::{io, pin::Pin, sync::Arc};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{
    HeaderName, HeaderValue, Method, Request, Uri, Version,
    header::{CONTENT_TYPE, TE},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Call, CallError,
    call::{framed, io_error},
};
use crate::protobuf::Message;

/// Octets that may be on their way to us at once.
const WINDOW: u32 = 1 << 20;
const CONTENT: &str = "application/grpc";

/// Runs a connection, and ends with it.
pub type Driver = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// The near end of a connection; clones share it.
#[derive(Clone)]
pub struct Line {
    requests: SendRequest<Bytes>,
    scheme: &'static str,
    authority: Arc<str>,
    /// What goes with each call besides the message: tokens.
    metadata: Arc<[(HeaderName, HeaderValue)]>,
}

impl Line {
    /// Greets the other end of a stream. What comes beside the line must run as long as the line is to live.
    ///
    /// # Errors
    /// Nobody there speaks HTTP/2.
    pub async fn open<S>(stream: S, is_encrypted: bool, authority: &str) -> io::Result<(Self, Driver)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new();
        builder.enable_push(false).max_header_list_size(16 << 10);
        builder.initial_connection_window_size(WINDOW).initial_window_size(WINDOW);
        let (requests, connection) = builder.handshake(stream).await.map_err(io_error)?;
        let scheme = if is_encrypted { "https" } else { "http" };
        let line = Self { requests, scheme, authority: authority.into(), metadata: Arc::new([]) };
        Ok((line, Box::pin(async move { connection.await.map_err(io_error) })))
    }

    /// The same with this sent along in each call.
    ///
    /// # Errors
    /// A value that cannot stand in a header.
    pub fn with(&self, metadata: &[(&'static str, &str)]) -> Result<Self, CallError> {
        let metadata = metadata.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).map_err(|error| CallError::Call(io::Error::other(error)))?;
            Ok::<_, CallError>((HeaderName::from_static(name), value))
        });
        Ok(Self { metadata: metadata.collect::<Result<_, _>>()?, ..self.clone() })
    }

    /// Begins a call of `path` with a first message. `most` bounds the messages that come back, octets.
    ///
    /// # Errors
    /// The connection is of no use.
    pub async fn begin(&self, path: &str, message: &Message, most: usize) -> Result<Call, CallError> {
        self.send(path, message.wire(), false, most).await
    }

    /// Calls `path` with one message, and gives the one that comes back.
    ///
    /// # Errors
    /// Another status than OK, no message or several, one that is longer than `most` octets, or no connection.
    pub async fn ask(&self, path: &str, message: &Message, most: usize) -> Result<Bytes, CallError> {
        let mut call = self.send(path, message.wire(), true, most).await?;
        let nothing = |text: &str| CallError::Call(io::Error::new(io::ErrorKind::InvalidData, text));
        let reply = call.next().await?.ok_or_else(|| nothing("the call has ended without a message"))?;
        match call.next().await? {
            None => Ok(reply),
            Some(_) => Err(nothing("several messages where there must be one")),
        }
    }

    async fn send(&self, path: &str, message: &[u8], end: bool, most: usize) -> Result<Call, CallError> {
        let request = self.request(path).map_err(|error| CallError::Call(io::Error::other(error)))?;
        let mut requests = self.requests.clone().ready().await.map_err(CallError::of)?;
        let (response, mut to) = requests.send_request(request, false).map_err(CallError::of)?;
        to.send_data(framed(message), end).map_err(CallError::of)?;
        Ok(Call::new(response, to, most))
    }

    fn request(&self, path: &str) -> Result<Request<()>, http::Error> {
        let uri = Uri::builder().scheme(self.scheme).authority(&*self.authority).path_and_query(path).build()?;
        let request = Request::builder().method(Method::POST).version(Version::HTTP_2).uri(uri);
        let request = request.header(CONTENT_TYPE, CONTENT).header(TE, "trailers");
        let mut request = request.body(())?;
        request.headers_mut().extend(self.metadata.iter().cloned());
        Ok(request)
    }
}
