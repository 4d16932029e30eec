use crate::{
    chain::{Keys, Role},
    corefile::{Block, Corefile, Instance, Key, Line, Stanza, Token},
    plugins::DIRECTIVES,
    wire::Name,
};

/// A server block as a query sees it.
pub(super) struct Picture<'a> {
    pub(super) block: &'a Block,
    /// What it answers for.
    pub(super) zones: Vec<Name>,
    /// Its directives, in the order in which queries meet them.
    pub(super) chain: Vec<Part<'a>>,
    /// The port of keys that name none.
    port: u16,
}

/// A directive of a block.
pub(super) struct Part<'a> {
    pub(super) stanza: &'a Stanza,
    pub(super) role: Role,
}

impl Part<'_> {
    pub(super) fn name(&self) -> &str {
        &self.stanza.name.text
    }

    /// The lines in braces of all its instances.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.stanza.instances.iter().flat_map(|instance| &instance.lines)
    }

    /// The words of all its instances.
    pub(super) fn words(&self) -> impl Iterator<Item = &Token> {
        self.stanza.instances.iter().flat_map(|instance| &instance.args)
    }
}

/// All blocks of a Corefile that reads well.
pub(super) fn of(corefile: &Corefile, port: u16) -> Vec<Picture<'_>> {
    corefile.blocks.iter().map(|block| Picture::of(block, port)).collect()
}

impl<'a> Picture<'a> {
    fn of(block: &'a Block, port: u16) -> Self {
        let keys = Keys { zones: block.keys.iter().flat_map(|key| key.zones.iter().cloned()).collect() };
        let zones = keys.zones.iter().filter_map(|zone| Name::parse(zone).ok()).collect();
        let part = |directive: &crate::chain::Directive| {
            let stanza = block.stanzas.iter().find(|stanza| stanza.name.text == directive.name)?;
            let role = (directive.parse)(stanza, &keys).map(|build| build.role()).unwrap_or_default();
            Some(Part { stanza, role })
        };
        Self { block, zones, chain: DIRECTIVES.iter().filter_map(part).collect(), port }
    }

    pub(super) fn part(&self, name: &str) -> Option<&Part<'a>> {
        self.chain.iter().find(|part| part.name() == name)
    }

    /// Each time that a directive stands in the block.
    pub(super) fn instances(&self, name: &str) -> &[Instance] {
        self.part(name).map_or(&[], |part| &part.stanza.instances)
    }

    /// Where it stands.
    pub(super) fn line(&self) -> u32 {
        self.block.keys[0].token.span.line
    }

    /// Each key with a zone of it, and the port.
    pub(super) fn served(&self) -> impl Iterator<Item = (&'a Key, &'a String, u16)> {
        let port = move |key: &Key| key.port_or(self.port);
        self.block.keys.iter().flat_map(move |key| key.zones.iter().map(move |zone| (key, zone, port(key))))
    }

    /// The hosts that it is bound to; none are all.
    pub(super) fn hosts(&self) -> Vec<&str> {
        self.part("bind").into_iter().flat_map(Part::words).map(|word| word.text.as_str()).collect()
    }

    /// The name of its `view`.
    pub(super) fn view(&self) -> Option<&str> {
        self.part("view")?.words().next().map(|word| word.text.as_str())
    }

    /// Whether a name below `zone` may come to this block, as far as its keys say.
    pub(super) fn holds(&self, zone: &Name) -> bool {
        self.zones.iter().any(|own| own.is_within(zone) || zone.is_within(own))
    }
}
