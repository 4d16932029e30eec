//! `proxyproto`: clients behind a proxy that says who they are, asked of seamark by `make test` and of CoreDNS by
//! `make e2e`.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream, UdpSocket},
    path::Path,
    time::Duration,
};

use crate::support::{
    callers::{Caller, call, framed, over_http2, over_http3, over_quic, post, put, run, take},
    certificates::Authority,
    message::query,
    server::{Server, directory, eventually, free_port, metric, pause, program},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// How long nobody answers until it is sure that nobody will.
const SILENCE: Duration = Duration::from_millis(700);

/// What every server of these tests writes about a query, in a file of its own: `{port}` of a Corefile is the server's.
const LOG: &str = "import queries.log";
const LINE: &str = "log . \"{name} is of {remote}:{port}, {/proxyproto/tlv}.\"\n";

/// Starts a server that knows how to log, with a certificate in `dns.pem` and `dns.key`.
fn launch(program: &Path, corefile: &str, authority: &Authority) -> Server {
    let home = directory();
    authority.certify(&["dns.test", "127.0.0.1"]).write(&home, "dns");
    fs::write(home.join("queries.log"), LINE).expect("a file");
    let server = Server::launch(program, corefile, home, free_port());
    server.wait_until_it_answers();
    server
}

fn authority() -> Authority {
    Authority::new("the authority of this test")
}

/// A header of version 2: command and family, the client 198.51.100.7:99 (or 2001:db8::7), and TLVs.
fn v2(command: u8, family: u8, tlvs: &[u8]) -> Vec<u8> {
    let addresses: &[u8] = match family >> 4 {
        1 => &[198, 51, 100, 7, 198, 51, 100, 53, 0, 99, 0, 53],
        2 => b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x35\0\x63\0\x35",
        _ => &[],
    };
    let mut octets = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    octets.extend([command, family]);
    octets.extend(((addresses.len() + tlvs.len()) as u16).to_be_bytes());
    octets.extend(addresses);
    octets.extend(tlvs);
    octets
}

/// Sends datagrams from one port; whether an answer comes.
fn datagrams(port: u16, all: &[Vec<u8>]) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for datagram in all {
        socket.send_to(datagram, ("127.0.0.1", port)).expect("sent");
    }
    socket.set_read_timeout(Some(SILENCE)).expect("a time-out");
    let mut reply = [0; 4096];
    socket.recv(&mut reply).is_ok_and(|length| length >= 12 && reply[2] & 0x80 != 0)
}

/// Sends octets over one connection, in parts; whether an answer comes.
fn stream(port: u16, parts: &[Vec<u8>]) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_nodelay(true).expect("a socket");
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            pause(40);
        }
        if stream.write_all(part).is_err() {
            return false;
        }
    }
    stream.set_read_timeout(Some(SILENCE)).expect("a time-out");
    let mut reply = [0; 14];
    let is_answered = stream.read_exact(&mut reply).is_ok();
    _ = stream.shutdown(Shutdown::Both);
    is_answered
}

/// What the log says of a name; its own lines are of names that are asked once.
fn said(server: &Server, name: &str) -> Option<String> {
    let log = server.log();
    let line = log.lines().find_map(|line| line.split(&format!("{name} is of ")).nth(1).map(str::to_owned));
    line.map(|line| line.trim_end_matches('.').to_owned())
}

/// The client of a query: with `PEER` in place of the port of a client that speaks for itself.
fn client(server: &Server, name: &str) -> String {
    eventually(&format!("the line of {name}"), PATIENCE, || said(server, name).is_some());
    let line = said(server, name).expect("a line");
    let (address, rest) = line.split_once(", ").expect("a label");
    if address.starts_with("127.0.0.1:") { format!("itself, {rest}") } else { line }
}

/// What is sent in front of a query, or instead of it.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    Udp,
    Tcp,
}

/// Where, over what, what stands in front of the query, who has asked, and what CoreDNS finds if that is another thing.
type Row = (u16, Over, Vec<u8>, &'static str, Option<&'static str>);

const CLIENT: &str = "198.51.100.7:99, -";
const ITSELF: &str = "itself, -";
const SILENT: &str = "no answer";

/// The ports of a server for each policy.
struct Ports {
    allow_all: u16,
    ignore: u16,
    reject: u16,
    skip: u16,
    sessions: u16,
}

fn start(program: &Path) -> (Server, Ports) {
    let ports = Ports {
        allow_all: free_port(),
        ignore: free_port(),
        reject: free_port(),
        skip: free_port(),
        sessions: free_port(),
    };
    let block = |port: u16, properties: &str| {
        format!(".:{port} {{\n bind 127.0.0.1\n metadata\n proxyproto {properties}\n {LOG}\n whoami\n}}\n")
    };
    let far = "allow 192.0.2.0/24";
    let corefile = [
        ".:{port} {\n whoami\n}\n".to_owned(),
        block(ports.allow_all, "{\n tlv_metadata\n }"),
        block(ports.ignore, &format!("{{\n {far}\n }}")),
        block(ports.reject, &format!("{{\n {far}\n default reject\n }}")),
        block(ports.skip, &format!("{{\n {far}\n default SKIP\n }}")),
        block(ports.sessions, "{\n allow 127.0.0.0/8\n udp_session_tracking 28s 100\n }"),
    ];
    (launch(program, &corefile.concat(), &authority()), ports)
}

fn clients_are_known(program: &Path, is_coredns: bool) {
    let (server, ports) = start(program);
    let (mut wrong, mut number) = (Vec::new(), 0);
    let udp = v2(0x21, 0x12, &[]);
    let tcp = v2(0x21, 0x11, &[]);
    let line = b"PROXY TCP4 198.51.100.7 198.51.100.53 99 53\r\n".to_vec();
    let table: Vec<Row> = vec![
        (ports.allow_all, Over::Udp, vec![], ITSELF, None),
        (ports.allow_all, Over::Tcp, vec![], ITSELF, None),
        (ports.allow_all, Over::Udp, udp.clone(), CLIENT, None),
        (ports.allow_all, Over::Udp, v2(0x21, 0x22, &[]), "[2001:db8::7]:99, -", None),
        (ports.allow_all, Over::Udp, v2(0x21, 0x12, &[0xEA, 0, 2, 0xCA, 0xFE]), "198.51.100.7:99, ea0002cafe", None),
        (ports.allow_all, Over::Udp, v2(0x21, 0x12, &[4, 0, 1, 9, 0xEA, 0, 0]), "198.51.100.7:99, 040000ea0000", None),
        (ports.allow_all, Over::Udp, v2(0x21, 0x12, &[0xEA, 0, 2, 0xCA]), CLIENT, None),
        (ports.allow_all, Over::Tcp, tcp.clone(), CLIENT, None),
        (ports.allow_all, Over::Tcp, v2(0x21, 0x12, &[]), CLIENT, None),
        (ports.allow_all, Over::Tcp, v2(0x21, 0x21, &[1, 0, 1, 7]), "[2001:db8::7]:99, 01000107", None),
        (ports.allow_all, Over::Tcp, line.clone(), CLIENT, None),
        (ports.allow_all, Over::Tcp, b"PROXY TCP6 2001:db8::7 ::1 99 53\r\n".to_vec(), "[2001:db8::7]:99, -", None),
        (ports.allow_all, Over::Tcp, b"PROXY UNKNOWN\r\n".to_vec(), ITSELF, None),
        (ports.allow_all, Over::Tcp, v2(0x20, 0, &[]), ITSELF, None),
        (ports.allow_all, Over::Tcp, v2(0x20, 0x11, &[0xEA, 0, 0]), ITSELF, None),
        // The proxy's own check over UDP.
        (ports.allow_all, Over::Udp, v2(0x20, 0, &[]), ITSELF, Some(SILENT)),
        (ports.allow_all, Over::Udp, v2(0x20, 0x12, &[]), ITSELF, None),
        // No header of datagrams, no header at all.
        (ports.allow_all, Over::Udp, tcp.clone(), SILENT, None),
        (ports.allow_all, Over::Udp, line.clone(), SILENT, None),
        (ports.allow_all, Over::Udp, v2(0x21, 0x13, &[]), SILENT, None),
        (ports.allow_all, Over::Udp, v2(0x21, 0, &[]), SILENT, None),
        (ports.allow_all, Over::Tcp, v2(0x21, 0x13, &[]), SILENT, None),
        (ports.allow_all, Over::Tcp, v2(0x21, 0, &[]), SILENT, None),
        (ports.allow_all, Over::Tcp, v2(0x22, 0x11, &[]), SILENT, None),
        (ports.allow_all, Over::Tcp, v2(0x21, 0x11, &[0xEA; 4090]), SILENT, None),
        (ports.allow_all, Over::Tcp, b"PROXY TCP4 198.51.100.7 198.51.100.53 99\r\n".to_vec(), SILENT, None),
        (ports.allow_all, Over::Tcp, b"PROXY TCP4 fd00::1 198.51.100.53 99 53\r\n".to_vec(), SILENT, None),
        // Other policies.
        (ports.ignore, Over::Udp, udp.clone(), ITSELF, None),
        (ports.ignore, Over::Tcp, tcp.clone(), ITSELF, None),
        (ports.ignore, Over::Tcp, line.clone(), ITSELF, None),
        (ports.ignore, Over::Udp, vec![], ITSELF, None),
        (ports.reject, Over::Udp, udp.clone(), SILENT, None),
        (ports.reject, Over::Tcp, tcp.clone(), SILENT, None),
        (ports.reject, Over::Udp, vec![], ITSELF, None),
        (ports.reject, Over::Tcp, vec![], ITSELF, None),
        (ports.skip, Over::Tcp, line.clone(), SILENT, None),
        (ports.skip, Over::Udp, vec![], ITSELF, None),
        (ports.sessions, Over::Udp, udp.clone(), CLIENT, None),
    ];
    for (port, over, front, ours, coredns) in table {
        number += 1;
        let name = format!("n{number}.test.");
        let message = query(number, &name, "A");
        let (is_answered, how) = match over {
            Over::Udp => (datagrams(port, &[[front.clone(), message].concat()]), "UDP"),
            Over::Tcp => (stream(port, &[[front.clone(), framed(&message)].concat()]), "TCP"),
        };
        let found = if is_answered { client(&server, &name) } else { SILENT.to_owned() };
        let expected = coredns.filter(|_| is_coredns).unwrap_or(ours);
        if found != expected {
            wrong.push(format!("{how} behind {:?}: {found}, not {expected}", String::from_utf8_lossy(&front)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The header of a session alone, and then queries without one.
    let ask = |port: u16, name: &str, front: Vec<u8>| {
        let all = [front, query(1, name, "A")];
        assert!(datagrams(port, &all), "{name}");
        client(&server, name)
    };
    assert_eq!(ask(ports.sessions, "session.test.", udp.clone()), CLIENT);
    assert_eq!(ask(ports.sessions, "other-session.test.", v2(0x21, 0x22, &[])), "[2001:db8::7]:99, -");
    // Two queries of one connection are of one client; a header may come in parts.
    let message = |name: &str| framed(&query(1, name, "A"));
    let parts = [tcp[..5].to_vec(), tcp[5..20].to_vec(), [&tcp[20..], &message("parts.test.")].concat()];
    assert!(stream(ports.allow_all, &parts));
    assert_eq!(client(&server, "parts.test."), CLIENT);
    assert!(stream(ports.allow_all, &[[tcp, message("one.test."), message("two.test.")].concat()]));
    assert_eq!([client(&server, "one.test."), client(&server, "two.test.")], [CLIENT, CLIENT]);
}

#[test]
fn clients_behind_a_proxy_are_known() {
    clients_are_known(program(), false);
}

#[test]
#[ignore = "make e2e"]
fn clients_behind_a_proxy_are_known_to_coredns() {
    clients_are_known(&crate::live::coredns(), true);
}

/// The encrypted listeners: a header in front of the handshake, or in a datagram before it.
fn clients_are_known_to_encrypted_listeners(program: &Path) {
    let authority = authority();
    let [tls, https, quic, grpc] = std::array::from_fn(|_| free_port());
    let proxyproto = "proxyproto {\n allow 127.0.0.1/32\n udp_session_tracking 28s\n tlv_metadata\n }";
    let schemes = [("tls", tls), ("https", https), ("https3", https), ("quic", quic), ("grpc", grpc)];
    let block = |(scheme, port): (&str, u16)| {
        format!(
            "{scheme}://.:{port} {{\n bind 127.0.0.1\n tls dns.pem dns.key\n metadata\n {proxyproto}\n {LOG}\n whoami\n}}\n"
        )
    };
    let corefile = ".:{port} {\n whoami\n}\n".to_owned() + &schemes.map(block).concat();
    let server = launch(program, &corefile, &authority);
    let tlvs = [0xEA, 0, 1, 7];
    let (stream, datagram) = (v2(0x21, 0x11, &tlvs), v2(0x21, 0x12, &tlvs));
    let caller = |port| Caller::new(&authority, port);
    run(async {
        let mut line = caller(tls).behind(&stream).tls(b"dot").await.expect("TLS");
        put(&mut line, &query(1, "tls.test.", "A")).await;
        take(&mut line).await.expect("an answer");
        let line = caller(https).behind(&stream).http2().await.expect("HTTP/2");
        over_http2(&line, post(), &query(1, "https.test.", "A")).await.expect("an answer");
        let line = caller(grpc).behind(&stream).http2().await.expect("HTTP/2");
        call(&line, &query(1, "grpc.test.", "A")).await.expect("an answer");
        let connection = caller(quic).behind(&datagram).quic(b"doq").await.expect("QUIC");
        let message = framed(&query(0, "quic.test.", "A"));
        assert_eq!(over_quic(&connection, &message).await.expect("an answer").len(), 1);
        let connection = caller(https).behind(&datagram).quic(b"h3").await.expect("QUIC");
        assert_eq!(over_http3(connection, &query(0, "https3.test.", "A")).await.0, 200);
        let connection = caller(quic).quic(b"doq").await.expect("QUIC");
        let message = framed(&query(0, "itself.test.", "A"));
        assert_eq!(over_quic(&connection, &message).await.expect("an answer").len(), 1);
    });
    for name in ["tls.test.", "https.test.", "grpc.test.", "quic.test.", "https3.test."] {
        assert_eq!(client(&server, name), "198.51.100.7:99, ea000107", "{name}");
    }
    assert_eq!(client(&server, "itself.test."), ITSELF);
}

#[test]
fn clients_behind_a_proxy_are_known_to_encrypted_listeners() {
    clients_are_known_to_encrypted_listeners(program());
}

#[test]
#[ignore = "make e2e"]
fn clients_behind_a_proxy_are_known_to_coredns_with_encryption() {
    clients_are_known_to_encrypted_listeners(&crate::live::coredns());
}

/// Whoever decides by address decides by the client's, metrics count, and a reload takes effect on sockets that stay.
#[test]
fn a_client_is_judged_by_the_address_that_its_proxy_names() {
    let (metrics, quic, authority) = (free_port(), free_port(), authority());
    let block = |directives: &str| {
        format!(
            ".:{{port}} quic://.:{quic} {{\n bind 127.0.0.1\n tls dns.pem dns.key\n prometheus 127.0.0.1:{metrics}\n{directives}\n \
             acl {{\n block net 198.51.100.0/24\n }}\n {LOG}\n whoami\n}}\n"
        )
    };
    let strict = " proxyproto {\n udp_session_tracking 1h 1\n }";
    let server = launch(program(), &block(strict), &authority);
    let rcode = |front: &[u8]| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(SILENCE)).expect("a time-out");
        let datagram = [front, &query(9, "judged.test.", "A")].concat();
        socket.send_to(&datagram, ("127.0.0.1", server.port)).expect("sent");
        let mut reply = [0; 512];
        socket.recv(&mut reply).ok().map(|_| reply[3] & 0xF)
    };
    let header = v2(0x21, 0x12, &[]);
    // Asked often enough to be given again without a walk, if that were possible.
    for _ in 0..5 {
        assert_eq!([rcode(&header), rcode(&[])], [Some(5), Some(0)]);
    }
    assert_eq!(rcode(&v2(0x21, 0x13, &[])), None);
    assert_eq!(metric(metrics, "seamark_proxyproto_refused_total"), 1.0);
    assert_eq!(metric(metrics, "seamark_proxyproto_sessions"), 1.0, "the last of five ports");
    let over_quic = |header: Option<&[u8]>| {
        run(async {
            let caller = Caller::new(&authority, quic);
            let caller = header.map_or_else(|| caller.clone(), |header| caller.behind(header));
            let connection = caller.quic(b"doq").await?;
            Ok::<_, String>(over_quic(&connection, &framed(&query(0, "quic.test.", "A"))).await?[0][3] & 0xF)
        })
    };
    assert_eq!(over_quic(Some(&header)), Ok(5));
    // Without the directive nobody looks for headers, on the same sockets.
    server.rewrite(&block(""));
    server.signal("USR1");
    eventually("the reload", PATIENCE, || server.log().contains("Reloading complete"));
    assert_ne!(rcode(&header), Some(5));
    assert_eq!(rcode(&[]), Some(0));
    assert_eq!(over_quic(Some(&header)), Ok(0), "a datagram that is no QUIC does no harm");
    server.rewrite(&block(strict));
    server.signal("USR1");
    eventually("the reload", PATIENCE, || server.log().matches("Reloading complete").count() == 2);
    assert_eq!([rcode(&header), rcode(&[])], [Some(5), Some(0)]);
    assert_eq!(over_quic(Some(&header)), Ok(5));
}

/// A proxy that writes its header in front of every datagram of a QUIC connection.
fn headers_in_every_datagram(program: &Path) {
    let (authority, quic) = (authority(), free_port());
    let corefile = format!(
        ".:{{port}} {{\n whoami\n}}\nquic://.:{quic} {{\n tls dns.pem dns.key\n metadata\n proxyproto\n {LOG}\n whoami\n}}\n"
    );
    let server = launch(program, &corefile, &authority);
    run(async {
        let front = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let back = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let port = front.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let (mut there, mut here) = (vec![0; 2048], vec![0; 2048]);
            let mut caller = None;
            loop {
                tokio::select! {
                    Ok((length, from)) = front.recv_from(&mut there) => {
                        caller = Some(from);
                        let datagram = [&v2(0x21, 0x12, &[]), &there[..length]].concat();
                        _ = back.send_to(&datagram, ("127.0.0.1", quic)).await;
                    }
                    Ok((length, _)) = back.recv_from(&mut here) => if let Some(caller) = caller {
                        _ = front.send_to(&here[..length], caller).await;
                    },
                }
            }
        });
        let connection = Caller::new(&authority, port).quic(b"doq").await.expect("QUIC");
        for number in 0..50 {
            let message = framed(&query(0, &format!("q{number}.test."), "A"));
            assert_eq!(over_quic(&connection, &message).await.expect("an answer").len(), 1);
        }
    });
    for name in ["q0.test.", "q49.test."] {
        assert_eq!(client(&server, name), CLIENT, "{name}");
    }
}

#[test]
fn every_datagram_of_a_quic_connection_may_have_a_header() {
    headers_in_every_datagram(program());
}

#[test]
#[ignore = "make e2e"]
fn every_datagram_of_a_quic_connection_to_coredns_may_have_a_header() {
    headers_in_every_datagram(&crate::live::coredns());
}
