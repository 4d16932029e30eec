use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{Counts, Line, Place, Way, dialled, frames::Frames};

/// Between two attempts to reach the collector.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many messages are taken from the queue at once.
const BATCH: usize = 256;

/// Writes messages to a collector, whom it looks for as long as there is somebody to hand messages over.
pub(super) async fn connect(way: Way, mut messages: mpsc::Receiver<Arc<[u8]>>, counts: Counts) {
    let mut told = false;
    loop {
        match reach(&way).await {
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
            () = abandoned(&messages) => return,
        }
    }
}

/// Waits until nobody hands messages over any more.
async fn abandoned(messages: &mpsc::Receiver<Arc<[u8]>>) {
    while !messages.is_closed() {
        sleep(PAUSE).await;
    }
}

async fn reach(way: &Way) -> io::Result<Frames> {
    let attempt = async {
        let line: Box<dyn Line> = match &way.place {
            Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                if let Some(buffer) = way.buffer {
                    socket2::SockRef::from(&stream).set_send_buffer_size(buffer)?;
                }
                Box::new(stream)
            }
        };
        Frames::begin(line).await
    };
    timeout(PATIENCE, attempt).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Writes what comes until nobody hands anything over any more.
pub(super) async fn write(
    mut frames: Frames,
    messages: &mut mpsc::Receiver<Arc<[u8]>>,
    counts: &Counts,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    while messages.recv_many(&mut batch, BATCH).await > 0 {
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
