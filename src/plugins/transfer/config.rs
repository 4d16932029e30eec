use std::net::IpAddr;

use super::{Hosts, Rule, Transfer, notify};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Instance, Stanza},
};

const PROPERTIES: [&str; 2] = ["to", "source"];

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// All `transfer` stanzas of a server block.
#[derive(Debug)]
struct Config(Vec<Rule>);

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    let rules = stanza.instances.iter().map(|instance| read(instance, keys)).collect::<Result<_, _>>()?;
    Ok(Box::new(Config(rules)))
}

fn read(instance: &Instance, keys: &Keys) -> Result<Rule, Error> {
    let zones = ZoneSet::read(&instance.args().zones_or(&keys.zones)?, &instance.name)?;
    let mut rule = Rule { zones, to: Hosts::default(), source: None };
    let mut has_to = false;
    for line in &instance.lines {
        let within = |error: Error| error.within(&line.word.text);
        match line.word.text.as_str() {
            "to" => {
                let mut args = line.args();
                let mut next = Some(args.require("an address, or `*` for everybody").map_err(within)?);
                while let Some(word) = next {
                    match word.text.as_str() {
                        "*" => rule.to.everybody = true,
                        _ => rule.to.listed.push(word.socket_address(DNS_PORT).map_err(within)?),
                    }
                    next = args.next();
                }
                args.finish().map_err(within)?;
                has_to = true;
            }
            "source" => rule.source = Some(line.args().one("an address").and_then(|word| word.ip()).map_err(within)?),
            _ => return Err(line.unknown(&PROPERTIES)),
        }
    }
    if !has_to {
        return Err(instance.error("needs `to`: who may have the zones"));
    }
    let other_family = |source: IpAddr| rule.to.listed.iter().find(|to| to.is_ipv4() != source.is_ipv4());
    if let Some(to) = rule.source.and_then(other_family) {
        return Err(instance.error(format!("`source` is no address from which {} can be reached", to.ip())));
    }
    Ok(rule)
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("hands whole zones to those who may have them")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        for rule in self.0.iter().filter(|rule| !rule.to.listed.is_empty()) {
            let (sources, changes) = (block.sources(), block.sources().changes());
            let round = notify::Round { zones: rule.zones.clone(), to: rule.to.listed.clone(), source: rule.source };
            block.after_start(|_| notify::keep(round, sources, changes));
        }
        block.link(Transfer { rules: self.0, sources: block.sources() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn parsed(text: &str) -> Result<Rule, String> {
        let stanza = corefile::stanza(text);
        let keys = Keys { zones: vec!["example.org.".to_owned()] };
        read(&stanza.instances[0], &keys).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn who_may_have_what() {
        let rule = parsed("transfer {\nto 192.0.2.1 [2001:db8::1]:5353\nto *\n}").unwrap();
        assert_eq!(rule.to.listed, ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:5353".parse().unwrap()]);
        assert!(rule.to.everybody && rule.source.is_none());
        assert_eq!(
            parsed("transfer {\nto 192.0.2.1\nsource 192.0.2.9\n}").unwrap().source,
            Some("192.0.2.9".parse().unwrap())
        );
    }

    #[test]
    fn what_is_no_transfer() {
        for (text, message) in [
            ("transfer", "needs `to`: who may have the zones"),
            ("transfer {\nto\n}", "to: expected an address, or `*` for everybody"),
            (
                "transfer {\nto 192.0.2.0/24\n}",
                "to: expected an IP address with or without a port, found `192.0.2.0/24`",
            ),
            ("transfer {\nto *\nsource x\n}", "source: expected an IP address, found `x`"),
            ("transfer {\nto 192.0.2.1\nsource ::1\n}", "`source` is no address from which 192.0.2.1 can be reached"),
            ("transfer {\nfrom *\n}", "unknown property `from`; expected one of: to, source"),
        ] {
            assert_eq!(parsed(text).expect_err(text), message, "{text}");
        }
    }
}
