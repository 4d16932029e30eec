//! One thread per core, each with its own runtime and its own sockets.

use std::{io, thread};

use tokio::{
    sync::mpsc,
    task::{LocalSet, spawn_local},
};

use super::{duty::Duty, listen::Sockets, memo, metrics::MemoMetrics, secure, tcp, udp};

/// The worker threads.
pub(crate) struct Workers {
    senders: Vec<mpsc::UnboundedSender<(Sockets, Duty)>>,
}

impl Workers {
    /// Starts this many threads, each with room for so many answers to give again.
    pub(crate) fn start(count: usize, remembered: usize, metrics: &MemoMetrics) -> io::Result<Self> {
        let senders = (0..count).map(|number| start_one(number, remembered, metrics.clone()));
        let senders = senders.collect::<io::Result<_>>()?;
        Ok(Self { senders })
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.senders.len()
    }

    /// Gives each worker its sockets of an address.
    pub(crate) fn listen(&self, sockets: Vec<Sockets>, duty: &Duty) {
        for (sender, sockets) in self.senders.iter().zip(sockets) {
            _ = sender.send((sockets, duty.clone()));
        }
    }
}

fn start_one(
    number: usize,
    remembered: usize,
    metrics: MemoMetrics,
) -> io::Result<mpsc::UnboundedSender<(Sockets, Duty)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, mut orders) = mpsc::unbounded_channel::<(Sockets, Duty)>();
    thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        memo::make_room(remembered, metrics);
        // The batch buffers of UDP hold pointers for the kernel, so that their task cannot change threads.
        LocalSet::new().block_on(&runtime, async {
            while let Some((sockets, duty)) = orders.recv().await {
                for socket in sockets.udp {
                    if duty.scheme().is_encrypted() {
                        spawn_local(logged(secure::serve_quic(socket, duty.clone())));
                    } else {
                        spawn_local(logged(udp::serve(socket, duty.clone())));
                    }
                }
                if let Some(listener) = sockets.tcp {
                    spawn_local(logged(tcp::serve(listener, duty)));
                }
            }
        });
    })?;
    Ok(sender)
}

async fn logged(serving: impl Future<Output = io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(%error, "a listener has stopped");
    }
}
