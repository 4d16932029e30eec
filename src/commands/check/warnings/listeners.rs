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
        let listeners: Vec<(Scheme, u16)> = picture.served().map(|(key, _, port)| (key.scheme, port)).collect();
        let others = pictures.iter().filter(|other| other.part("kubernetes").is_none());
        for (key, zone, port) in others.flat_map(Picture::served) {
            let Ok(name) = Name::parse(zone) else { continue };
            let caught = zones.iter().find(|cluster| name.is_within(cluster));
            if let Some(cluster) = caught.filter(|_| listeners.contains(&(key.scheme, port))) {
                let line = picture.line();
                let text =
                    format!("takes names below {zone} away from `kubernetes {cluster}` in the block of line {line}");
                findings.push(Finding::warning(&key.token, text));
            }
        }
    }
    findings
}

/// Directives of encrypted listeners in a block that has none: it would be served for everybody to read.
pub(super) fn not_encrypted(picture: &Picture<'_>) -> Vec<Finding> {
    let has = |wanted: &[Scheme]| picture.block.keys.iter().any(|key| wanted.contains(&key.scheme));
    let mut findings = Vec::new();
    for (name, schemes) in [
        ("tls", &[Scheme::Tls, Scheme::Https, Scheme::Https3, Scheme::Quic, Scheme::Grpc][..]),
        ("https", &[Scheme::Https]),
        ("https3", &[Scheme::Https3]),
        ("quic", &[Scheme::Quic]),
        ("grpc_server", &[Scheme::Grpc]),
    ] {
        if let Some(part) = picture.part(name).filter(|_| !has(schemes)) {
            let text = format!("`{name}` changes nothing here: no key of this block begins with `{}://`", schemes[0]);
            findings.push(Finding::warning(&part.stanza.name, text));
        }
    }
    findings
}

/// `forward` to an address and port that the block itself serves.
pub(super) fn forwards_to_itself(picture: &Picture<'_>) -> Vec<Finding> {
    let bound = picture.hosts();
    let hosts = if bound.is_empty() { vec!["127.0.0.1", "::1"] } else { bound };
    let own = |word: &&Token| {
        let text = word.text.strip_prefix("dns://").unwrap_or(&word.text);
        hosts.iter().any(|host| {
            let bracketed = if host.contains(':') { format!("[{host}]") } else { (*host).to_owned() };
            picture.served().filter(|(key, ..)| key.scheme == Scheme::Dns).any(|(_, _, port)| {
                let bare = port == 53 && (text == *host || text == bracketed);
                bare || text == format!("{bracketed}:{port}")
            })
        })
    };
    let targets = picture.instances("forward").iter().flat_map(|instance| instance.args.iter().skip(1)).filter(own);
    targets.map(|word| Finding::warning(word, format!("`{}` is this server itself", word.text))).collect()
}
