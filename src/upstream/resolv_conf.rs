//! The nameservers of a file in the format of resolv.conf.

use std::net::{IpAddr, SocketAddr};

/// The addresses of its `nameserver` lines, each once, on port 53. An IPv6 zone is left out.
pub fn nameservers(text: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let address = words.next().and_then(|word| word.split('%').next()).and_then(|word| word.parse::<IpAddr>().ok());
        if let Some(address) = address.map(|ip| SocketAddr::new(ip, 53)).filter(|address| !found.contains(address)) {
            found.push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameserver_lines_count() {
        let text = "# x\nsearch a b\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n nameserver 10.0.0.1\nnameserver x\noptions ndots:5\n";
        let expected: Vec<SocketAddr> = ["10.0.0.1:53", "[fe80::1]:53"].iter().map(|a| a.parse().unwrap()).collect();
        assert_eq!(nameservers(text), expected);
    }
}
