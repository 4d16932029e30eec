//! Which block a query comes to.

use super::{Finding, Picture};
use crate::{
    corefile::{Scheme, Token},
    wire::Name,
};

/// The same zone on the same port in two blocks stops the start, unless they are bound to different addresses or have
/// different views.
pub(super) fn zones_twice(pictures: &[Picture<'_>]) -> Vec<Finding> {
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for picture in pictures {
        for (key, zone, port) in picture.served() {
            let place = (key.scheme, zone, port, picture.hosts(), picture.view());
            if seen.contains(&place) {
                let text = format!("zone `{zone}` is already defined for port {port}");
                findings.push(Finding::error(&key.token, text));
            }
            seen.push(place);
        }
    }
    findings
}

/// A block with a view behind one for the same zone that takes every query.
pub(super) fn never_reached(pictures: &[Picture<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, picture) in pictures.iter().enumerate().filter(|(_, picture)| picture.view().is_some()) {
        let before = |zone: &String, port| {
            let mut blocks = pictures[..number].iter().filter(|block| block.view().is_none());
            blocks.find(|block| {
                let same = block.served().any(|(_, other, on)| (other, on) == (zone, port));
                same && block.hosts() == picture.hosts()
            })
        };
        let taken: Vec<_> = picture.served().map(|(key, zone, port)| (key, before(zone, port))).collect();
        if let [(key, Some(first)), ..] = taken.as_slice()
            && taken.iter().all(|(_, before)| before.is_some())
        {
            let line = first.line();
            let text = format!("no query comes here: the block of line {line} has no `view`, and takes them all");
            findings.push(Finding::warning(&key.token, text));
        }
    }
    findings
}

/// A block for a zone below the cluster's takes its names away from the block that knows them.
pub(super) fn caught_zones(pictures: &[Picture<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for picture in pictures {
        let Some(cluster) = picture.part("kubernetes") else { continue };
        let zones: Vec<Name> = cluster.words().filter_map(|zone| Name::parse(&zone.text).ok()).collect();
        let ports: Vec<u16> = picture.served().map(|(_, _, port)| port).collect();
        let others = pictures.iter().filter(|other| other.part("kubernetes").is_none());
        for (key, zone, port) in others.flat_map(Picture::served) {
            let Ok(name) = Name::parse(zone) else { continue };
            let caught = zones.iter().find(|cluster| name.is_within(cluster));
            if let Some(cluster) = caught.filter(|_| ports.contains(&port)) {
                let line = picture.line();
                let text =
                    format!("takes names below {zone} away from `kubernetes {cluster}` in the block of line {line}");
                findings.push(Finding::warning(&key.token, text));
            }
        }
    }
    findings
}

/// A key for an encrypted transport in a block that names no certificate: CoreDNS serves it in the clear.
pub(super) fn without_certificate(picture: &Picture<'_>) -> Vec<Finding> {
    if picture.part("tls").is_some() {
        return Vec::new();
    }
    let clear = [Scheme::Dns, Scheme::Unix];
    let keys = picture.block.keys.iter().filter(|key| !clear.contains(&key.scheme));
    let text = |scheme| format!("`{scheme}://` without a certificate: there is no `tls` in this block");
    keys.map(|key| Finding::warning(&key.token, text(key.scheme))).collect()
}

/// `forward` to an address and port that the block itself serves.
pub(super) fn forwards_to_itself(picture: &Picture<'_>) -> Vec<Finding> {
    let bound = picture.hosts();
    let hosts = if bound.is_empty() { vec!["127.0.0.1", "::1"] } else { bound };
    let own = |word: &&Token| {
        let text = word.text.strip_prefix("dns://").unwrap_or(&word.text);
        hosts.iter().any(|host| {
            let bracketed = if host.contains(':') { format!("[{host}]") } else { (*host).to_owned() };
            picture.served().any(|(_, _, port)| {
                let bare = port == 53 && (text == *host || text == bracketed);
                bare || text == format!("{bracketed}:{port}")
            })
        })
    };
    let targets = picture.instances("forward").iter().flat_map(|instance| instance.args.iter().skip(1)).filter(own);
    targets.map(|word| Finding::warning(word, format!("`{}` is this server itself", word.text))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{commands::picture, corefile};

    #[test]
    fn a_certificate_is_missed_where_queries_come_encrypted() {
        for (text, missed) in [
            ("tls://.:853 {\n    whoami\n}\n", 1),
            ("https://. quic://. {\n    whoami\n}\n", 2),
            ("tls://. {\n    tls cert.pem key.pem\n    whoami\n}\n", 0),
            (". {\n    whoami\n}\n", 0),
        ] {
            let corefile = corefile::parse("Corefile", text, Path::new(""), &|_| None).unwrap();
            let mut pictures = picture::of(&corefile, 53);
            // The table may not have `tls`; what counts is that it stands in the block.
            let named = corefile.blocks[0].stanzas.iter().any(|stanza| stanza.name.text == "tls");
            if named && pictures[0].part("tls").is_none() {
                let stanza = &corefile.blocks[0].stanzas[0];
                pictures[0].chain.push(picture::Part { stanza, role: crate::chain::Role::default() });
            }
            assert_eq!(without_certificate(&pictures[0]).len(), missed, "{text}");
        }
    }
}
