#![doc = include_str!("README.md")]

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

use crate::{
    chain::{Block, Build, BuildError, Directive, Keys, Role},
    corefile::{Error, Errors, Stanza, Token},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "bind", parse };

/// Words of all `bind` lines of a block: addresses and interface names.
#[derive(Default)]
struct Bind {
    places: Vec<Token>,
    except: Vec<Token>,
}

fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    let mut bind = Bind::default();
    for instance in &stanza.instances {
        let mut args = instance.args();
        bind.places.push(args.require("an address or an interface")?.clone());
        bind.places.extend_from_slice(args.rest());
        for line in &instance.lines {
            if line.word.text != "except" {
                return Err(line.unknown(&["except"]).into());
            }
            let within = |error: Error| error.within("except");
            line.args().require("an address or an interface").map_err(within)?;
            line.no_block().map_err(within)?;
            bind.except.extend_from_slice(&line.args);
        }
    }
    Ok(Box::new(bind))
}

impl Build for Bind {
    fn role(&self) -> Role {
        Role::sets("listens on these addresses only")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let interfaces = interfaces()?;
        let mut hosts = Vec::new();
        for place in &self.places {
            for host in hosts_of(place, &interfaces)? {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        for place in &self.except {
            let left_out = hosts_of(place, &interfaces)?;
            hosts.retain(|host| !left_out.contains(host));
        }
        if hosts.is_empty() {
            return Err(BuildError("no address is left to listen on".to_owned()));
        }
        block.listen_on(hosts);
        Ok(())
    }
}

/// The addresses that a word means.
fn hosts_of(place: &Token, interfaces: &[(String, String)]) -> Result<Vec<String>, BuildError> {
    let text = &place.text;
    if let Ok(address) = text.split('%').next().unwrap_or(text).parse::<IpAddr>() {
        let zone = text.split_once('%').map(|(_, zone)| format!("%{zone}")).unwrap_or_default();
        return Ok(vec![format!("{address}{zone}")]);
    }
    let found: Vec<String> =
        interfaces.iter().filter(|(name, _)| name == text).map(|(_, address)| address.clone()).collect();
    if found.is_empty() {
        return Err(BuildError(format!("`{text}` is neither an IP address nor an interface with one")));
    }
    Ok(found)
}

/// Interface names with their addresses, link-local ones with their zone.
fn interfaces() -> Result<Vec<(String, String)>, BuildError> {
    let all = getifaddrs().map_err(|error| BuildError(format!("cannot list interfaces: {error}")))?;
    let text = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        if let Some(v4) = address.as_sockaddr_in() {
            return Some((interface.interface_name, v4.ip().to_string()));
        }
        let v6 = address.as_sockaddr_in6()?.ip();
        let zone = if v6.is_unicast_link_local() { format!("%{}", interface.interface_name) } else { String::new() };
        Some((interface.interface_name, format!("{v6}{zone}")))
    };
    Ok(all.filter_map(text).collect())
}
