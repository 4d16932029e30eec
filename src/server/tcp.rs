//! Queries over TCP: a client may send many at once, and each is answered when its answer is there (RFC 7766).

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::timeout,
};

use super::{
    answer::{Arrival, DRAFT, Handled, handle},
    duty::Duty,
    limits::{Connected, Patience},
    memo,
    proxied::Client,
    secure,
};
use crate::{chain::Transport, wire::MAX_MESSAGE};

/// How many queries of one connection may be in work; more are left in the kernel's buffer.
const IN_FLIGHT: usize = 128;

/// Accepts connections until the address is given up.
pub(crate) async fn serve(listener: std::net::TcpListener, mut duty: Duty) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Without a place the connection is closed at once: the newest goes, the others stay served.
                    if let Some(place) = duty.parking().connect() {
                        tokio::spawn(connection(stream, peer, duty.clone(), place));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = duty.ended() => return Ok(()),
        }
    }
}

async fn connection(mut stream: TcpStream, peer: SocketAddr, mut duty: Duty, place: Connected) {
    let result = match client(&mut stream, peer, &mut duty).await {
        Ok(client) if duty.scheme().is_encrypted() => secure::serve(stream, client, &mut duty).await,
        Ok(client) => plain(stream, client, &mut duty).await,
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::trace!(%error, %peer, "connection ended");
    }
    drop(place);
}

/// Who has connected, or for whom.
async fn client(stream: &mut TcpStream, peer: SocketAddr, duty: &mut Duty) -> io::Result<Client> {
    let ends = [peer, stream.local_addr()?];
    duty.refresh();
    match duty.proxied().cloned() {
        None => Ok(Client::itself(ends)),
        Some(proxied) => timeout(duty.patience().read, proxied.greet(stream, ends)).await?,
    }
}

async fn plain(stream: TcpStream, client: Client, duty: &mut Duty) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    exchange(reader, writer, client, duty).await
}

/// Takes queries off a stream and puts answers onto it, encrypted or not, until it ends.
pub(super) async fn exchange(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send + 'static,
    Client { peer, local, tlvs }: Client,
    duty: &mut Duty,
) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(4096, reader);
    let (answers, queue) = mpsc::channel(IN_FLIGHT);
    let sending = tokio::spawn(send(writer, queue, duty.patience().write));
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut taken = 0;
    // A message's length, which may come in two parts.
    let (mut head, mut known) = ([0; 2], 0);
    loop {
        let most = duty.site().and_then(|(site, listener)| site.tcp(listener).queries);
        if most.is_some_and(|most| taken >= most) {
            break;
        }
        let Patience { read, idle, .. } = duty.patience();
        let patience = if taken == 0 { read } else { idle };
        let length = tokio::select! {
            read = timeout(patience, reader.read(&mut head[known..])) => match read {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(count)) if known + count < head.len() => {
                    known += count;
                    continue;
                }
                Ok(Ok(_)) => {
                    known = 0;
                    usize::from(head[0]) << 8 | usize::from(head[1])
                }
                // Silence is not idleness while answers are still to come.
                Err(_) if places.available_permits() < IN_FLIGHT => continue,
                Err(_) => break,
            },
            () = duty.ended() => break,
        };
        taken += 1;
        let mut query = vec![0; length];
        timeout(read, reader.read_exact(&mut query)).await??;
        let Ok(permit) = Arc::clone(&places).acquire_owned().await else { break };
        duty.refresh();
        let Some((site, listener)) = duty.site() else { break };
        let (transport, now) = (Transport::Tcp, Instant::now());
        let arrival = Arrival { listener, peer, local, transport, now, tlvs: tlvs.as_ref() };
        // A connection that waits has no buffer of its own.
        let (handled, bytes) = DRAFT.with_borrow_mut(|draft| {
            let handled = handle(site, arrival, &query, duty.parking(), draft);
            let length = match &handled {
                Handled::Reply(length) | Handled::Series(length, _) => *length,
                Handled::Nothing | Handled::Parked(_) => 0,
            };
            (handled, draft[..length].to_vec())
        });
        memo::settle();
        match handled {
            Handled::Nothing => {}
            Handled::Reply(_) => {
                if answers.send(bytes).await.is_err() {
                    break;
                }
            }
            Handled::Series(_, mut series) => {
                if answers.send(bytes).await.is_err() {
                    break;
                }
                let answers = answers.clone();
                // The queue has an end: whoever reads slowly is waited for, up to what `send` grants.
                tokio::spawn(async move {
                    let mut out = vec![0; MAX_MESSAGE];
                    while let Some(length) = series.write_next(&mut out) {
                        if answers.send(out[..length].to_vec()).await.is_err() {
                            break;
                        }
                    }
                    drop(permit);
                });
            }
            Handled::Parked(job) => {
                let answers = answers.clone();
                tokio::spawn(async move {
                    let finished = job.finish().await;
                    _ = answers.send(finished.bytes).await;
                    drop(permit);
                });
            }
        }
    }
    // Queries in work still get their answers: the queue ends when the last of them is done.
    drop(answers);
    _ = sending.await;
    Ok(())
}

async fn send(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Vec<u8>>, patience: Duration) {
    let mut bytes = Vec::new();
    while let Some(answer) = queue.recv().await {
        bytes.clear();
        frame(&mut bytes, &answer);
        // Whatever else is ready leaves in the same segment.
        while bytes.len() < MAX_MESSAGE {
            let Ok(answer) = queue.try_recv() else { break };
            frame(&mut bytes, &answer);
        }
        let writing = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        match timeout(patience, writing).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
    _ = timeout(patience, writer.shutdown()).await;
}

fn frame(bytes: &mut Vec<u8>, answer: &[u8]) {
    bytes.extend_from_slice(&crate::wire::frame_length(answer));
    bytes.extend_from_slice(answer);
}
