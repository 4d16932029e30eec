use std::{io, time::Duration};

use tokio::{
    net::{TcpStream, UnixStream},
    time::{sleep, timeout},
};

use super::{Counts, Line, Messages, Place, Way, dialled, frames::Frames};
use crate::tls::Caller;

/// Between two attempts to reach the collector.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many messages are taken from the queue at once.
const BATCH: usize = 256;

/// Writes messages to a collector, whom it looks for as long as there is somebody to hand messages over.
pub(super) async fn connect(way: Way, mut messages: Messages, counts: Counts) {
    let caller = matches!(way.place, Place::Tls(_)).then(|| Caller::new(way.skip_verify));
    let mut told = false;
    loop {
        match reach(&way, caller.as_ref()).await {
            Ok(frames) => {
                if std::mem::take(&mut told) {
                    tracing::info!(target: "plugin/dnstap", "Connected to {}", way.place);
                }
                match write(frames, &mut messages, &counts).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!(target: "plugin/dnstap", "Connection to {} lost: {error}", way.place);
                        told = true;
                    }
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    let place = dialled(&way.place);
                    tracing::error!(target: "plugin/dnstap", "No connection to dnstap endpoint: {place}: {error}");
                }
            }
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = messages.end() => return,
        }
    }
}

async fn reach(way: &Way, caller: Option<&Caller>) -> io::Result<Frames> {
    let attempt = async {
        let line: Box<dyn Line> = match &way.place {
            Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Place::Tcp(address) | Place::Tls(address) => {
                let stream = TcpStream::connect(address).await?;
                if let Some(buffer) = way.buffer {
                    socket2::SockRef::from(&stream).set_send_buffer_size(buffer)?;
                }
                match caller {
                    None => Box::new(stream),
                    Some(caller) => {
                        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                        Box::new(caller.call(host, stream).await?)
                    }
                }
            }
        };
        Frames::begin(line).await
    };
    timeout(PATIENCE, attempt).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Writes what comes until nobody hands anything over any more.
pub(super) async fn write(mut frames: Frames, messages: &mut Messages, counts: &Counts) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    while messages.take(&mut batch, BATCH).await > 0 {
        for message in &batch {
            frames.message(message).await?;
        }
        // What came meanwhile goes along with the next batch.
        if messages.is_empty() {
            frames.flush().await?;
        }
        counts.sent.inc_by(batch.len() as u64);
        batch.clear();
    }
    frames.end().await
}
