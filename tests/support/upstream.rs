use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A name server that does as it is told: the first label of a question says how.
///
/// `ok.` answers 192.0.2.53, `nx.` NXDOMAIN with an SOA, `fail.` SERVFAIL, `drop.` nothing, `wrong-id.` first with
/// another id and then well, `wrong-question.` first to another question and then well, `garbage.` first nonsense and
/// then well, `cut.` TC over UDP and two addresses over TCP.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Upstream {
    /// Starts one on loopback. It ends with the test process.
    pub(crate) fn start() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], super::server::free_port()));
        let (udp, tcp) = super::server::open(address);
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                if is_probe(&buffer[..length]) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                for reply in replies(&buffer[..length], false) {
                    _ = udp.send_to(&reply, peer);
                }
            }
        });
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
        Self { address, asked }
    }

    /// How many questions for `test` names came over UDP.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn is_probe(query: &[u8]) -> bool {
    query.windows(5).any(|part| part.eq_ignore_ascii_case(b"\x04test"))
}

fn serve(mut stream: std::net::TcpStream) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut query).is_err() {
            return;
        }
        for reply in replies(&query, true) {
            let mut framed = (reply.len() as u16).to_be_bytes().to_vec();
            framed.extend(reply);
            if stream.write_all(&framed).is_err() {
                return;
            }
        }
    }
}

/// What is said to a query.
pub(crate) fn replies(query: &[u8], tcp: bool) -> Vec<Vec<u8>> {
    let Some(end) = question_end(query) else { return Vec::new() };
    let first = query[13..13 + usize::from(query[12])].to_ascii_lowercase();
    let a = query[end - 4..end - 2] == [0, 1];
    let good = || answer(query, end, 0, if a { 1 } else { 0 }, false);
    match first.as_slice() {
        b"drop" => Vec::new(),
        b"nx" => vec![answer(query, end, 3, 0, false)],
        b"fail" => vec![answer(query, end, 2, 0, false)],
        b"wrong-id" => {
            let mut wrong = good();
            wrong[0] ^= 0xFF;
            vec![wrong, good()]
        }
        b"wrong-question" => {
            let mut wrong = good();
            wrong[13] ^= 1;
            vec![wrong, good()]
        }
        b"garbage" => vec![vec![0xFF; 40], query[..2].to_vec(), good()],
        b"cut" if !tcp => vec![answer(query, end, 0, 0, true)],
        b"cut" => vec![answer(query, end, 0, 2, false)],
        _ => vec![good()],
    }
}

fn question_end(query: &[u8]) -> Option<usize> {
    let mut at = 12;
    while *query.get(at)? != 0 {
        at += 1 + usize::from(query[at]);
    }
    (at + 5 <= query.len()).then_some(at + 5)
}

fn answer(query: &[u8], end: usize, rcode: u8, addresses: u8, cut: bool) -> Vec<u8> {
    let mut reply = query[..end].to_vec();
    reply[2] = 0x80 | (query[2] & 1) | if cut { 2 } else { 0 };
    reply[3] = 0x80 | rcode;
    let soa = rcode == 3 || (rcode == 0 && addresses == 0 && !cut);
    reply[4..12].copy_from_slice(&[0, 1, 0, addresses, 0, u8::from(soa), 0, 0]);
    for number in 0..addresses {
        reply.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53 + number]);
    }
    if soa {
        reply.extend([0xC0, 12, 0, 6, 0, 1, 0, 0, 0, 60, 0, 24, 0xC0, 12, 0xC0, 12]);
        for value in [1u32, 2, 3, 4, 20] {
            reply.extend(value.to_be_bytes());
        }
    }
    reply
}
