//! A name server that answers every question with one address, as quickly as threads can.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::server::free_port;

const THREADS: usize = 2;
/// How often a thread looks whether it shall end.
const LOOK: Duration = Duration::from_millis(20);

/// A quick name server over UDP.
pub(crate) struct Quick {
    pub(crate) address: SocketAddr,
    answered: Arc<AtomicUsize>,
    silent: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Quick {
    pub(crate) fn start() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let socket = UdpSocket::bind(address).expect("a socket");
        socket.set_read_timeout(Some(LOOK)).expect("a time-out");
        _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
        let (answered, silent, ended) = (Arc::default(), Arc::default(), Arc::default());
        let mut server = Self { address, answered, silent, ended, threads: Vec::new() };
        for _ in 0..THREADS {
            let socket = socket.try_clone().expect("a socket");
            let (answered, silent) = (Arc::clone(&server.answered), Arc::clone(&server.silent));
            let ended = Arc::clone(&server.ended);
            server.threads.push(thread::spawn(move || serve(&socket, &answered, &silent, &ended)));
        }
        server
    }

    /// How many answers it has given.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Relaxed)
    }

    /// From now on it takes questions and says nothing.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Relaxed);
    }

    /// Closes its socket: who asks is told that the port is unreachable.
    pub(crate) fn close(&mut self) {
        self.ended.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            _ = thread.join();
        }
    }
}

impl Drop for Quick {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve(socket: &UdpSocket, answered: &AtomicUsize, silent: &AtomicBool, ended: &AtomicBool) {
    let mut buffer = [0; 600];
    while !ended.load(Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer[..512]) else { continue };
        let Some(name) = buffer[12..length].iter().position(|&octet| octet == 0) else { continue };
        if silent.load(Relaxed) {
            continue;
        }
        let end = 12 + name + 5;
        buffer[2..4].copy_from_slice(&[0x81, 0x80]);
        buffer[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
        buffer[end..end + 16].copy_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53]);
        if socket.send_to(&buffer[..end + 16], peer).is_ok() {
            answered.fetch_add(1, Relaxed);
        }
    }
}
