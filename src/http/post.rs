use std::{io, time::Duration};

use http_body_util::Full;
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::tls::Caller;

/// Where something is posted to: an `http://` or `https://` address taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host and port.
    pub authority: String,
    /// With its leading `/`.
    pub path: String,
}

/// What goes over a connection is the same with TLS and without.
trait Line: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

/// Posts a body on a connection of its own, encrypted if there is a caller for that, and gives the status code.
///
/// # Errors
/// No connection, no answer within `patience`, or something that is not HTTP.
pub async fn post(
    target: &Target,
    headers: &[(&'static str, &str)],
    body: Vec<u8>,
    patience: Duration,
    caller: Option<&Caller>,
) -> io::Result<u16> {
    let exchange = async {
        let stream = TcpStream::connect(&target.authority).await?;
        let line: Box<dyn Line> = match caller {
            None => Box::new(stream),
            Some(caller) => {
                let host = target.authority.rsplit_once(':').map_or(target.authority.as_str(), |(host, _)| host);
                Box::new(caller.call(host, stream).await?)
            }
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(line)).await.map_err(io::Error::other)?;
        let mut request = Request::post(&target.path).header("host", &target.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(io::Error::other)?;
        let driving = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(io::Error::other);
        driving.abort();
        Ok(response?.status().as_u16())
    };
    timeout(patience, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
