use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// A name server for `resolver`: knows the IPv4 addresses that a test gives it, with a TTL of a second.
pub(crate) struct HostServer {
    pub(crate) address: SocketAddr,
    known: Arc<Mutex<Vec<(String, IpAddr)>>>,
}

impl HostServer {
    pub(crate) fn start(known: &[(&str, &str)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let server = Self { address: socket.local_addr().expect("an address"), known: Arc::default() };
        server.set(known);
        let known = Arc::clone(&server.known);
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let known = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
                _ = socket.send_to(&reply(&buffer[..length], &known), peer);
            }
        });
        server
    }

    /// What it knows from now on.
    pub(crate) fn set(&self, known: &[(&str, &str)]) {
        let known = known.iter().map(|(name, address)| ((*name).to_owned(), address.parse().expect("an address")));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known.collect();
    }
}

/// The address, no data, or NXDOMAIN.
fn reply(query: &[u8], known: &[(String, IpAddr)]) -> Vec<u8> {
    let mut at = 12;
    let mut labels = Vec::new();
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let end = at + 5;
    let is_a = query[end - 4..end - 2] == [0, 1];
    let name = labels.join(".");
    let found = known.iter().find(|(host, _)| *host == name);
    let mut reply = query[..end].to_vec();
    reply[2..4].copy_from_slice(&[0x81, if found.is_some() { 0x80 } else { 0x83 }]);
    reply[6..12].copy_from_slice(&[0, 0, 0, 0, 0, 0]);
    if let Some((_, IpAddr::V4(address))) = found.filter(|_| is_a) {
        reply[7] = 1;
        reply.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        reply.extend(address.octets());
    }
    reply
}
