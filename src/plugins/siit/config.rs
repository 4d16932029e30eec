use std::{net::IpAddr, sync::Arc};

use super::{Siit, mapping::Mapping};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role},
    corefile::{Error, Errors, Line, Stanza},
};

/// The `siit` directive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Config(Mapping);

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let mut config = Self::default();
        for instance in &stanza.instances {
            instance.no_args()?;
            for line in &instance.lines {
                config.property(line).map_err(|error| error.within(&line.word.text))?;
            }
        }
        Ok(config)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        match line.word.text.as_str() {
            "ipv6_prefix" => {
                let word = line.args().one("a prefix such as `64:ff9b::/96`")?;
                let Ok((IpAddr::V6(address), length)) = word.cidr() else {
                    let text = format!("expected an IPv6 prefix such as `64:ff9b::/96`, found `{}`", word.text);
                    return Err(word.error(text));
                };
                if !self.0.set_prefix(address, length) {
                    return Err(word.error("the length of a prefix is 32, 40, 48, 56, 64 or 96 (RFC 6052)"));
                }
                Ok(())
            }
            "eam" => {
                let mut args = line.args();
                let word = args.require("an IPv4 address")?;
                let IpAddr::V4(v4) = word.ip()? else {
                    return Err(word.error(format!("expected an IPv4 address, found `{}`", word.text)));
                };
                let word = args.require("an IPv6 address")?;
                let IpAddr::V6(v6) = word.ip()? else {
                    return Err(word.error(format!("expected an IPv6 address, found `{}`", word.text)));
                };
                self.0.explicit.insert(v6, v4);
                args.finish()
            }
            _ => Err(line.unknown(&["ipv6_prefix", "eam"])),
        }
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("makes IPv4 addresses of IPv6 addresses where there are none")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let help = "Questions for IPv4 addresses for which IPv6 addresses were asked.";
        let family = block.registry().counter("coredns_siit_requests_translated_total", help, &["server"]);
        let translated = block.servers().iter().map(|server| family.with_label_values(&[server])).collect();
        block.link(Siit { mapping: Arc::new(self.0), translated });
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    #[test]
    fn what_is_refused() {
        for (text, message) in [
            ("siit x", "unexpected argument `x`"),
            ("siit {\nipv6_prefix\n}", "ipv6_prefix: expected a prefix such as `64:ff9b::/96`"),
            (
                "siit {\nipv6_prefix 10.0.0.0/8\n}",
                "ipv6_prefix: expected an IPv6 prefix such as `64:ff9b::/96`, found `10.0.0.0/8`",
            ),
            (
                "siit {\nipv6_prefix 2001:db8::/97\n}",
                "ipv6_prefix: the length of a prefix is 32, 40, 48, 56, 64 or 96 (RFC 6052)",
            ),
            ("siit {\neam 192.0.2.1\n}", "eam: expected an IPv6 address"),
            ("siit {\neam 2001:db8::1 192.0.2.1\n}", "eam: expected an IPv4 address, found `2001:db8::1`"),
            ("siit {\neam 192.0.2.1 2001:db8::/64\n}", "eam: expected an IP address, found `2001:db8::/64`"),
            ("siit {\nam 192.0.2.1\n}", "unknown property `am`; did you mean `eam`?"),
        ] {
            let stanza = corefile::stanza(text);
            let error = Config::read(&stanza).expect_err(text);
            assert_eq!(error.message(), message, "{text}");
        }
    }
}
