//! A name server in calls of gRPC, without TLS, that does as the first label of a question says.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::upstream::replies;

/// It does as [`super::upstream::Upstream`] does, and beyond it: `not-found.` and `unavailable.` give these statuses, the first one
/// without a message at all; `empty.` gives a packet without a message, `nonsense.` octets that are no packet, `compressed.`
/// a packet that says so, `big.` a packet longer than a DNS message, `fields.` one with fields that nobody knows, `html.` a page.
pub(crate) struct GrpcServer {
    pub(crate) address: SocketAddr,
    queries: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl GrpcServer {
    /// Starts one on loopback. It ends with the test process.
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (queries, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (asked, connected) = (Arc::clone(&queries), Arc::clone(&connections));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a socket");
                while let Ok((stream, _)) = listener.accept().await {
                    connected.fetch_add(1, SeqCst);
                    tokio::spawn(serve(stream, Arc::clone(&asked)));
                }
            });
        });
        Self { address, queries, connections }
    }

    /// Queries since the last time.
    pub(crate) fn take_queries(&self) -> usize {
        self.queries.swap(0, SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

async fn serve(stream: TcpStream, queries: Arc<AtomicUsize>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let queries = Arc::clone(&queries);
        tokio::spawn(async move {
            queries.fetch_add(1, SeqCst);
            let (head, mut body) = request.into_parts();
            assert_eq!(head.uri.path(), "/coredns.dns.DnsService/Query");
            assert_eq!(head.headers["te"], "trailers");
            let mut call = Vec::new();
            while let Some(Ok(part)) = body.data().await {
                call.extend_from_slice(&part);
            }
            // Prefix, field, and the length in one octet: questions are short.
            assert!(call[5] == 0x0A && call[6] < 0x80, "{call:?}");
            answer(respond, &call[7..]).await;
        });
    }
}

async fn answer(mut respond: h2::server::SendResponse<Bytes>, query: &[u8]) {
    let length = usize::from(query[12]);
    let label = String::from_utf8_lossy(&query[13..13 + length]).to_ascii_lowercase();
    let head = |kind: &str| Response::builder().header("content-type", kind);
    let status = |code: &str, text: &str| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.parse().expect("a value"));
        trailers.insert("grpc-message", text.parse().expect("a value"));
        trailers
    };
    if label == "not-found" {
        let mut response = head("application/grpc").body(()).expect("a response");
        response.headers_mut().extend(status("5", "no%20such name"));
        _ = respond.send_response(response, true);
        return;
    }
    let kind = if label == "html" { "text/html" } else { "application/grpc+proto" };
    let Ok(mut to) = respond.send_response(head(kind).body(()).expect("a response"), false) else { return };
    if label == "unavailable" {
        _ = to.send_trailers(status("14", "not now"));
        return;
    }
    let Some(mut reply) = replies(query, true).into_iter().next() else {
        return sleep(Duration::from_secs(30)).await;
    };
    if label == "big" {
        reply.resize(70_000, 0);
    }
    let mut packet = match label.as_str() {
        "empty" => Vec::new(),
        "nonsense" => b"\x0A\xFFxyz".to_vec(),
        "fields" => b"\x10\x05\x1A\x03abc".to_vec(),
        _ => Vec::new(),
    };
    if !["empty", "nonsense"].contains(&label.as_str()) {
        packet.extend([0x0A, reply.len() as u8 & 0x7F | 0x80, (reply.len() >> 7) as u8 & 0x7F | 0x80]);
        packet.push((reply.len() >> 14) as u8);
        packet.extend_from_slice(&reply);
    }
    let is_compressed = u8::from(label == "compressed");
    let frame = [&[is_compressed][..], &(packet.len() as u32).to_be_bytes(), &packet].concat();
    // In two parts, as it may come.
    let (first, second) = frame.split_at(frame.len() / 2);
    _ = to.send_data(Bytes::copy_from_slice(first), false);
    _ = to.send_data(Bytes::copy_from_slice(second), false);
    _ = to.send_trailers(status("0", ""));
}
