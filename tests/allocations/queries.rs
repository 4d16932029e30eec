//! What the server allocates between two system calls: it runs in this process, and so does the asker.

use std::{
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use seamark::{
    metrics::Registry,
    plugins::DIRECTIVES,
    server::{Server, Settings, Signal, Source},
};

use super::{Since, alone};

/// Names of the sample cluster with types, and outside names, which the cache holds once they have been asked.
const NAMES: [(&str, u16); 9] = [
    ("kubernetes.default.svc.cluster.local", 1),
    ("kube-dns.kube-system.svc.cluster.local", 1),
    ("kube-dns.kube-system.svc.cluster.local", 28),
    ("nowhere.default.svc.cluster.local", 1),
    ("db.data.svc.cluster.local", 1),
    ("_postgres._tcp.db.data.svc.cluster.local", 33),
    ("www.example.org", 1),
    ("mail.example.org", 1),
    ("deep.below.www.example.org", 1),
];
/// How many are asked while it is counted.
const ASKED: usize = 4_000;
/// What the process does besides, such as timers, may allocate so often meanwhile.
const BESIDES: usize = 40;

/// A query with names in a spelling of its own if `spelling` is not 0: the server has not seen the same octets before.
fn query(buffer: &mut [u8; 512], id: u16, (name, kind): (&str, u16), spelling: usize) -> usize {
    buffer[..12].copy_from_slice(&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    buffer[..2].copy_from_slice(&id.to_be_bytes());
    let mut at = 12;
    for label in name.split('.') {
        buffer[at] = label.len() as u8;
        buffer[at + 1..][..label.len()].copy_from_slice(label.as_bytes());
        at += 1 + label.len();
    }
    let mut bits = spelling;
    for octet in buffer[12..at].iter_mut().filter(|octet| octet.is_ascii_lowercase()) {
        if bits & 1 == 1 {
            octet.make_ascii_uppercase();
        }
        bits >>= 1;
    }
    buffer[at..at + 5].copy_from_slice(&[0, (kind >> 8) as u8, kind as u8, 0, 1]);
    at + 5
}

/// Answers each query with one address, or whatever the type is, and an hour to live.
fn upstream(socket: UdpSocket) {
    let mut buffer = [0; 1024];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        // Whatever stands behind the question (OPT) is left out.
        let end = 12 + buffer[12..length].iter().position(|&octet| octet == 0).unwrap_or(0) + 5;
        buffer[2] |= 0x80;
        buffer[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
        buffer[end..end + 16].copy_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 1]);
        _ = socket.send_to(&buffer[..end + 16], peer);
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address").port()
}

/// Starts a server with the usual plugins over the sample cluster; ends it when the returned sender is dropped.
fn serve(port: u16, upstream: SocketAddr) -> tokio::sync::mpsc::Sender<Signal> {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cluster");
    let text = format!(
        ".:{port} {{
            bind 127.0.0.1
            errors
            kubernetes cluster.local in-addr.arpa ip6.arpa {{
                manifests {}
                pods insecure
                fallthrough in-addr.arpa ip6.arpa
            }}
            prometheus 127.0.0.1:{}
            forward . {upstream}
            cache 3600
            loop
            loadbalance
        }}",
        manifests.display(),
        free_port()
    );
    let settings = Settings {
        source: Source::Text { name: "text".to_owned(), text },
        default_port: port,
        directives: DIRECTIVES,
        registry: Arc::new(Registry::new()),
        workers: 1,
        remembered: 2048,
        set_debug: Box::new(|_| ()),
        overlap: false,
        readiness: None,
    };
    let (end, signals) = tokio::sync::mpsc::channel(1);
    let (started, start) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut server = Server::start(settings).await.expect("a server");
            started.send(()).expect("a test");
            server.run(signals).await
        })
    });
    start.recv_timeout(Duration::from_secs(20)).expect("a server that serves");
    end
}

#[test]
fn answers_from_memory_allocate_nothing() {
    let _alone = alone();
    let world = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let upstream_address = world.local_addr().expect("an address");
    thread::spawn(move || upstream(world));
    let port = free_port();
    let _end = serve(port, upstream_address);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(("127.0.0.1", port)).expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
    let mut buffer = [0; 512];
    let mut answer = [0; 4096];
    // Each name has letters for more than 5,000 spellings, so that none comes twice.
    let mut ask = |id: usize, name: (&str, u16), spelling: usize| {
        let length = query(&mut buffer, id as u16, name, spelling);
        socket.send(&buffer[..length]).expect("sent");
        let received = socket.recv(&mut answer).expect("an answer");
        assert!(received > length && answer[..2] == buffer[..2] && answer[3] & 0x0F != 2, "{name:?}");
    };
    for name in NAMES {
        for (spelled, spelling) in [("always alike", false), ("in ever new spellings", true)] {
            // What is made once is made before: room, series of the metrics, the entry of the cache.
            (0..300).for_each(|id| ask(id, name, if spelling { 1 + id } else { 0 }));
            let since = Since::now();
            (0..ASKED).for_each(|id| ask(id, name, if spelling { 1_000 + id } else { 0 }));
            let times = since.times();
            assert!(times <= BESIDES, "{name:?} {spelled}: {times} allocations for {ASKED} answers");
        }
    }
}
