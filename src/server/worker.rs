//! One thread per core, each with its own runtime and its own sockets.

use std::{io, sync::Arc, thread};

use tokio::{
    sync::{mpsc, watch},
    task::{LocalSet, spawn_local},
};

use super::{
    limits::Parking,
    listen::{ListenAddress, Sockets},
    site::Site,
    tcp, udp,
};

/// What a socket's task needs to know: the site that serves now, and when to end.
#[derive(Clone)]
pub(crate) struct Duty {
    address: ListenAddress,
    sites: watch::Receiver<Arc<Site>>,
    current: Arc<Site>,
    listener: Option<usize>,
    end: watch::Receiver<bool>,
    parking: Arc<Parking>,
}

impl Duty {
    pub(crate) fn new(
        address: ListenAddress,
        mut sites: watch::Receiver<Arc<Site>>,
        end: watch::Receiver<bool>,
        parking: Arc<Parking>,
    ) -> Self {
        let current = Arc::clone(&sites.borrow_and_update());
        let listener = current.listener(&address);
        Self { address, sites, current, listener, end, parking }
    }

    /// Takes over the site that serves now, if it has changed.
    pub(crate) fn refresh(&mut self) {
        if self.sites.has_changed().unwrap_or(false) {
            let next = Arc::clone(&self.sites.borrow_and_update());
            // The old site goes on for what is left in the queue of an address that the new one has given up.
            if let Some(listener) = next.listener(&self.address) {
                self.listener = Some(listener);
                self.current = next;
            }
        }
    }

    /// The site as of the last refresh, and the number of this address in it; `None` if it does not serve the address.
    pub(crate) fn site(&self) -> Option<(&Arc<Site>, usize)> {
        self.listener.map(|listener| (&self.current, listener))
    }

    pub(crate) const fn parking(&self) -> &Arc<Parking> {
        &self.parking
    }

    /// Waits until the address is given up.
    pub(crate) async fn ended(&mut self) {
        // An error means that the server is gone, which is an end as well.
        _ = self.end.wait_for(|end| *end).await;
    }
}

/// The worker threads.
pub(crate) struct Workers {
    senders: Vec<mpsc::UnboundedSender<(Sockets, Duty)>>,
}

impl Workers {
    /// Starts this many threads.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let senders = (0..count).map(start_one).collect::<io::Result<_>>()?;
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

fn start_one(number: usize) -> io::Result<mpsc::UnboundedSender<(Sockets, Duty)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, mut orders) = mpsc::unbounded_channel::<(Sockets, Duty)>();
    thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        // The batch buffers of UDP hold pointers for the kernel, so that their task cannot change threads.
        LocalSet::new().block_on(&runtime, async {
            while let Some((sockets, duty)) = orders.recv().await {
                spawn_local(logged(udp::serve(sockets.udp, duty.clone())));
                spawn_local(logged(tcp::serve(sockets.tcp, duty)));
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
