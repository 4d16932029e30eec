//! A name server that does what a test says, name by name. `upstream.rs` is the one with fixed manners.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    message::{Asked, Reply, asked},
    server::{free_port, open, pause},
};

/// What is done about a query, one step after the other.
#[derive(Clone)]
pub(crate) enum Act {
    /// Milliseconds in which nothing happens.
    Wait(u64),
    /// A reply.
    Answer(Reply),
    /// Any octets as a message: over TCP with their length in front.
    Message(Arc<Forge>),
    /// Any octets as they are.
    Octets(Arc<Forge>),
    /// The connection ends. Over UDP nothing.
    Close,
}

/// Makes octets from a query and a good reply to it, which ends with its one record: owner, TYPE, CLASS, TTL, RDLENGTH and
/// four octets of data, 16 octets in all.
pub(crate) type Forge = dyn Fn(&[u8], Vec<u8>) -> Vec<u8> + Send + Sync;

/// What is done over each transport.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    pub(crate) udp: Vec<Act>,
    pub(crate) tcp: Vec<Act>,
}

impl Manner {
    /// The same over both.
    pub(crate) fn both(acts: impl Into<Vec<Act>>) -> Self {
        let udp = acts.into();
        Self { tcp: udp.clone(), udp }
    }
}

/// How often it was asked for names that it has a manner for.
#[derive(Clone, Default)]
pub(crate) struct Count {
    pub(crate) udp: usize,
    pub(crate) tcp: usize,
    pub(crate) connections: usize,
    pub(crate) names: BTreeMap<String, usize>,
}

#[derive(Default)]
struct State {
    /// By name and type; type 0 is any, a name `*.zone.` all below a zone.
    manners: BTreeMap<(String, u16), Manner>,
    count: Count,
    connections: Vec<TcpStream>,
}

/// A running name server.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    up: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// How often a thread looks whether it shall end.
const LOOK: Duration = Duration::from_millis(20);

impl NameServer {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], free_port())))
    }

    /// Starts one on port 53 of a loopback address of its own, for files that cannot name a port.
    pub(crate) fn start_on_port_53() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let process = std::process::id();
        let address = Ipv4Addr::new(127, 53, process as u8, NEXT.fetch_add(1, Relaxed));
        Self::at(SocketAddr::new(IpAddr::V4(address), 53))
    }

    fn at(address: SocketAddr) -> Self {
        let (state, up) = (Arc::default(), Arc::default());
        let mut server = Self { address, state, up, threads: Vec::new() };
        server.restart();
        server
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// Says what to do about a name, whatever the type.
    pub(crate) fn set(&self, name: &str, manner: Manner) {
        self.set_kind(name, 0, manner);
    }

    /// Says what to do about a name and a type.
    pub(crate) fn set_kind(&self, name: &str, kind: u16, manner: Manner) {
        self.state().manners.insert((name.to_lowercase(), kind), manner);
    }

    /// What was said about a name and a type.
    pub(crate) fn manner(&self, name: &str, kind: u16) -> Manner {
        self.state().manners.get(&(name.to_lowercase(), kind)).cloned().unwrap_or_default()
    }

    /// Forgets what was said.
    pub(crate) fn clear(&self) {
        self.state().manners.clear();
    }

    /// What was asked since the last time.
    pub(crate) fn take_count(&self) -> Count {
        std::mem::take(&mut self.state().count)
    }

    /// What was asked since it was taken last.
    pub(crate) fn count(&self) -> Count {
        self.state().count.clone()
    }

    /// Closes its sockets: a datagram to it brings "port unreachable", a connection is refused.
    pub(crate) fn stop(&mut self) {
        self.up.store(false, Relaxed);
        for thread in self.threads.drain(..) {
            _ = thread.join();
        }
        for connection in self.state().connections.drain(..) {
            _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Opens them again.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let (udp, tcp) = open(self.address);
        udp.set_read_timeout(Some(LOOK)).expect("a time-out");
        tcp.set_nonblocking(true).expect("a mode");
        self.up = Arc::new(AtomicBool::new(true));
        let (state, up) = (Arc::clone(&self.state), Arc::clone(&self.up));
        self.threads.push(thread::spawn(move || serve_udp(&udp, &state, &up)));
        let (state, up) = (Arc::clone(&self.state), Arc::clone(&self.up));
        self.threads.push(thread::spawn(move || serve_tcp(&tcp, &state, &up)));
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve_udp(socket: &UdpSocket, state: &Mutex<State>, up: &AtomicBool) {
    let mut buffer = [0; 4096];
    while up.load(Relaxed) {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        let query = buffer[..length].to_vec();
        let Some((asked, acts)) = learn(state, &query, false) else { continue };
        let socket = socket.try_clone().expect("a socket");
        let send = move |octets: &[u8]| socket.send_to(octets, peer).is_ok();
        perform(query, asked, acts, false, send, || ());
    }
}

fn serve_tcp(listener: &TcpListener, state: &Arc<Mutex<State>>, up: &AtomicBool) {
    while up.load(Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a mode");
                let state = Arc::clone(state);
                let mut known = state.lock().expect("no panic");
                known.count.connections += 1;
                known.connections.push(stream.try_clone().expect("a stream"));
                drop(known);
                thread::spawn(move || serve_connection(stream, &state));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => pause(2),
            Err(_) => return,
        }
    }
}

fn serve_connection(mut stream: TcpStream, state: &Mutex<State>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut query).is_err() {
            return;
        }
        let Some((asked, acts)) = learn(state, &query, true) else { continue };
        let (mut writer, closer) = (stream.try_clone().expect("a stream"), stream.try_clone().expect("a stream"));
        perform(
            query,
            asked,
            acts,
            true,
            move |octets| writer.write_all(octets).is_ok(),
            move || {
                _ = closer.shutdown(Shutdown::Both);
            },
        );
    }
}

/// Reads and counts a query; what to do about it. Names that nobody has spoken of are refused.
fn learn(state: &Mutex<State>, query: &[u8], tcp: bool) -> Option<(Asked, Vec<Act>)> {
    let asked = asked(query)?;
    let mut state = state.lock().expect("no panic");
    let wildcard = asked.name.split_once('.').map_or_else(String::new, |(_, zone)| format!("*.{zone}"));
    let keys = [&asked.name, &wildcard].into_iter().flat_map(|name| [(name.clone(), asked.kind), (name.clone(), 0)]);
    let manner = keys.into_iter().find_map(|key| state.manners.get(&key).cloned());
    let Some(manner) = manner else { return Some((asked, vec![Act::Answer(Reply::parse("REFUSED"))])) };
    *(if tcp { &mut state.count.tcp } else { &mut state.count.udp }) += 1;
    *state.count.names.entry(asked.name.clone()).or_default() += 1;
    Some((asked, if tcp { manner.tcp } else { manner.udp }))
}

/// Does what is to be done; in a thread of its own if that takes time.
fn perform(
    query: Vec<u8>,
    asked: Asked,
    acts: Vec<Act>,
    tcp: bool,
    mut send: impl FnMut(&[u8]) -> bool + Send + 'static,
    close: impl FnOnce() + Send + 'static,
) {
    let slow = acts.iter().any(|act| matches!(act, Act::Wait(_)));
    let play = move || {
        for act in acts {
            // Without an OPT record, so that the answer is the end of it.
            let plain = || [&query[..11], &[0], &query[12..]].concat();
            let good = || Reply::parse("answer @ 60 A 192.0.2.53").octets(&plain(), &asked);
            let message = match act {
                Act::Wait(milliseconds) => {
                    pause(milliseconds);
                    continue;
                }
                Act::Close => return close(),
                Act::Octets(forge) => {
                    send(&forge(&query, good()));
                    continue;
                }
                Act::Answer(reply) => reply.octets(&query, &asked),
                Act::Message(forge) => forge(&query, good()),
            };
            let mut octets = if tcp { (message.len() as u16).to_be_bytes().to_vec() } else { Vec::new() };
            octets.extend(message);
            send(&octets);
        }
    };
    if slow {
        thread::spawn(play);
    } else {
        play();
    }
}
