use super::*;

const PROXY: &str = "10.0.0.1:4000";
const OTHER: &str = "192.0.2.99:4000";
const OURS: &str = "10.0.0.53:53";
const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0";

fn proxied(default: Manner, sessions: Option<(Duration, usize)>) -> Proxied {
    let allow = vec![("10.0.0.0".parse().unwrap(), 8)];
    Proxied::new(ProxyRules { allow, default, sessions, keeps_tlvs: true }, &Registry::new(), "dns://:53")
}

fn ends(peer: &str) -> Ends {
    [peer.parse().unwrap(), OURS.parse().unwrap()]
}

/// A header of version 2 for this client, with a TLV, and what is behind it.
fn datagram(command: u8, family: u8, message: &[u8]) -> Vec<u8> {
    let mut octets = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    octets.extend([command, family, 0, 16, 198, 51, 100, 7, 198, 51, 100, 53, 0, 99, 0, 53, 0xEA, 0, 1, 5]);
    octets.extend(message);
    octets
}

/// Who asks, and how long the message is; or nothing.
fn opened(proxied: &Proxied, peer: &str, datagram: &[u8], sessions: &Sessions, now: Instant) -> String {
    let opened = proxied.open(ends(peer), datagram, sessions, now);
    opened.map_or_else(|| "nothing".to_owned(), |(client, message)| format!("{} {}", client.peer, message.len()))
}

#[test]
fn datagrams_of_proxies_and_of_others() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    let with = datagram(0x21, 0x12, QUERY);
    for (default, peer, octets, found) in [
        (Manner::Ignore, PROXY, with.clone(), "198.51.100.7:99 12"),
        (Manner::Ignore, PROXY, QUERY.to_vec(), "10.0.0.1:4000 12"),
        (Manner::Ignore, "[::ffff:10.0.0.1]:4000", with.clone(), "198.51.100.7:99 12"),
        (Manner::Ignore, OTHER, with.clone(), "192.0.2.99:4000 12"),
        (Manner::Ignore, OTHER, QUERY.to_vec(), "192.0.2.99:4000 12"),
        (Manner::Use, OTHER, with.clone(), "198.51.100.7:99 12"),
        (Manner::Reject, OTHER, with.clone(), "nothing"),
        (Manner::Reject, OTHER, QUERY.to_vec(), "192.0.2.99:4000 12"),
        (Manner::Skip, OTHER, with.clone(), "192.0.2.99:4000 44"),
        // A check of the proxy's own.
        (Manner::Ignore, PROXY, datagram(0x20, 0x00, QUERY), "10.0.0.1:4000 12"),
        // No header for datagrams, a malformed one, one without an end, one alone.
        (Manner::Ignore, PROXY, datagram(0x21, 0x11, QUERY), "nothing"),
        (Manner::Ignore, PROXY, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nquery".to_vec(), "nothing"),
        (Manner::Ignore, PROXY, datagram(0x21, 0x13, QUERY), "nothing"),
        (Manner::Ignore, OTHER, datagram(0x21, 0x13, QUERY), "nothing"),
        (Manner::Ignore, PROXY, with[..20].to_vec(), "nothing"),
        (Manner::Ignore, PROXY, datagram(0x21, 0x12, b""), "nothing"),
        (Manner::Ignore, PROXY, b"PRO".to_vec(), "10.0.0.1:4000 3"),
    ] {
        let proxied = proxied(default, None);
        assert_eq!(opened(&proxied, peer, &octets, &sessions, now), found, "{default:?} {peer} {octets:?}");
    }
}

#[test]
fn a_header_holds_for_the_datagrams_behind_it() {
    let (sessions, start) = (Sessions::default(), Instant::now());
    let proxied = proxied(Manner::Ignore, Some((Duration::from_secs(28), 2)));
    let ask = |peer: &str, octets: &[u8], seconds| {
        opened(&proxied, peer, octets, &sessions, start + Duration::from_secs(seconds))
    };
    let alone = datagram(0x21, 0x12, b"");
    assert_eq!(ask(PROXY, QUERY, 0), "10.0.0.1:4000 12");
    assert_eq!(ask(PROXY, &alone, 0), "nothing");
    assert_eq!(ask(PROXY, QUERY, 20), "198.51.100.7:99 12");
    assert_eq!(ask("10.0.0.1:4001", QUERY, 20), "10.0.0.1:4001 12", "another port is another client");
    assert_eq!(ask(PROXY, QUERY, 47), "198.51.100.7:99 12");
    assert_eq!(ask(PROXY, &datagram(0x20, 0, QUERY), 48), "10.0.0.1:4000 12", "its own check");
    assert_eq!(ask(PROXY, QUERY, 49), "198.51.100.7:99 12");
    assert_eq!(ask(PROXY, QUERY, 77), "10.0.0.1:4000 12", "too late");
    assert_eq!(ask(OTHER, &alone, 78), "nothing");
    assert_eq!(ask(OTHER, QUERY, 78), "192.0.2.99:4000 12", "nobody whose headers are used");
    let (client, _) = proxied.open(ends(PROXY), &datagram(0x21, 0x12, QUERY), &sessions, start).unwrap();
    let known = proxied.open(ends(PROXY), QUERY, &sessions, start).unwrap().0;
    assert_eq!(known, client);
    assert_eq!(client.local, "198.51.100.53:53".parse().unwrap());
    assert_eq!(client.tlvs.as_deref(), Some(&[0xEA, 0, 1, 5][..]));
    assert_eq!(proxied.sessions.get(), 1);
}

#[test]
fn connections_of_quic_begin_for_a_client() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    let with = datagram(0x21, 0x12, QUERY);
    for tracks in [false, true] {
        let proxied = proxied(Manner::Ignore, tracks.then_some((Duration::from_secs(28), 10)));
        let beginner = || proxied.beginner(ends(PROXY), &sessions, now).peer.to_string();
        assert_eq!(proxied.uncover(ends(PROXY), &with, &sessions, now), Some(QUERY));
        assert_eq!(beginner(), "198.51.100.7:99");
        assert_eq!(proxied.uncover(ends(PROXY), QUERY, &sessions, now), Some(QUERY));
        let expected = if tracks { "198.51.100.7:99" } else { PROXY };
        assert_eq!(beginner(), expected, "after a datagram without a header, tracks: {tracks}");
        assert_eq!(proxied.uncover(ends(OTHER), &with, &sessions, now), Some(QUERY));
        assert_eq!(proxied.beginner(ends(OTHER), &sessions, now).peer.to_string(), OTHER);
    }
}
