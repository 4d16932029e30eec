use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza},
    kubernetes::external::Outside,
    wire::Name,
};

const PROPERTIES: [&str; 4] = ["apex", "ttl", "headless", "fallthrough"];

/// The `k8s_external` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) zones: Vec<Name>,
    pub(super) outside: Outside,
    pub(super) fallthrough: ZoneSet,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let instance = stanza.once()?;
        if !stanza.stands_beside("kubernetes") {
            return Err(instance.error("needs `kubernetes` in this server block"));
        }
        let mut zones = Vec::new();
        for word in &instance.args {
            for zone in word.zones()? {
                zones.push(Name::parse(&zone).map_err(|error| word.error(error.to_string()))?);
            }
        }
        if zones.is_empty() {
            zones = ZoneSet::read(&keys.zones, &instance.name)?.iter().copied().collect();
        }
        let primary = zones.iter().find(|zone| !is_reverse(zone)).or_else(|| zones.first());
        let primary = *primary.ok_or_else(|| instance.error("expected a zone"))?;
        let outside = Outside { apex: Box::from(*b"dns"), ttl: 5, headless: false, primary };
        let mut config = Self { zones, outside, fallthrough: ZoneSet::default() };
        for line in &instance.lines {
            config.property(line).map_err(|error| error.within(&line.word.text))?;
        }
        Ok(config)
    }

    fn property(&mut self, line: &Line) -> Result<(), Error> {
        match line.word.text.as_str() {
            "apex" => {
                let word = line.args().one("a label")?;
                let name = Name::parse(&word.text).ok().filter(|name| name.label_count() == 1);
                let name = name.ok_or_else(|| word.error(format!("expected one label, found `{}`", word.text)))?;
                self.outside.apex = name.to_lowercase().labels().next().unwrap_or_default().into();
            }
            "ttl" => self.outside.ttl = line.args().one("seconds")?.integer("seconds", 0..=3600)? as u32,
            "headless" => {
                line.no_args()?;
                self.outside.headless = true;
            }
            "fallthrough" => self.fallthrough = ZoneSet::read(&line.args().fallthrough()?, &line.word)?,
            _ => return Err(line.unknown(&PROPERTIES)),
        }
        Ok(())
    }
}

fn is_reverse(zone: &Name) -> bool {
    ["in-addr.arpa", "ip6.arpa"].iter().any(|tree| Name::parse(tree).is_ok_and(|tree| zone.is_within(&tree)))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers(
            "answers with the cluster's outside addresses",
            ZoneSet::new(self.zones.clone()),
            self.fallthrough.clone(),
        )
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self { zones, outside, fallthrough } = *self;
        let (served, server) = (block.offered(), block.server());
        block.link(super::ExternalNames { zones: ZoneSet::new(zones), outside, fallthrough, served, server });
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    fn read(text: &str) -> Result<Config, String> {
        let stanza = corefile::stanza(&format!("{text}\nkubernetes"));
        let keys = Keys { zones: vec!["example.org.".to_owned()] };
        Config::read(&stanza, &keys).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn zones_and_properties() {
        let plain = read("k8s_external").unwrap();
        assert_eq!((plain.zones.len(), plain.outside.primary.to_string().as_str()), (1, "example.org."));
        assert_eq!((&*plain.outside.apex, plain.outside.ttl, plain.outside.headless), (&b"dns"[..], 5, false));
        let full =
            read("k8s_external 192.0.2.0/24 a.test {\napex Zone\nttl 60\nheadless\nfallthrough b.test\n}").unwrap();
        assert_eq!((full.zones.len(), full.outside.primary.to_string().as_str()), (2, "a.test."));
        assert_eq!((&*full.outside.apex, full.outside.ttl, full.outside.headless), (&b"zone"[..], 60, true));
        assert!(full.fallthrough.contains(&Name::parse("x.b.test").unwrap()));
    }

    #[test]
    fn what_is_wrong() {
        for (text, message) in [
            ("k8s_external a..b", "`a..b` is not a domain name"),
            ("k8s_external {\napex\n}", "apex: expected a label"),
            ("k8s_external {\napex a b\n}", "apex: unexpected argument `b`"),
            ("k8s_external {\napex a.b\n}", "apex: expected one label, found `a.b`"),
            ("k8s_external {\nttl\n}", "ttl: expected seconds"),
            ("k8s_external {\nttl 3601\n}", "ttl: seconds: expected a number between 0 and 3600, found `3601`"),
            ("k8s_external {\nheadless x\n}", "headless: unexpected argument `x`"),
            ("k8s_external {\nhedless\n}", "unknown property `hedless`; did you mean `headless`?"),
            ("k8s_external a.test\nk8s_external b.test", "may stand only once in a server block"),
        ] {
            assert_eq!(read(text).err().as_deref(), Some(message), "{text}");
        }
    }
}
