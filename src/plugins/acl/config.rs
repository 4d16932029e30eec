use super::{AccessControl, Action, List, Networks, Policy, Refusals};
use crate::{
    chain::{Block, Build, BuildError, Keys, Role, ZoneSet},
    corefile::{Error, Errors, Line, Stanza, Token},
    wire::RecordType,
};

/// All `acl` blocks of a server block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) lists: Vec<(ZoneSet, Vec<Policy>)>,
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let mut lists = Vec::new();
        for instance in &stanza.instances {
            let zones = ZoneSet::read(&instance.args().zones_or(&keys.zones)?, &instance.name)?;
            let policies = instance.lines.iter().map(policy).collect::<Result<_, _>>()?;
            lists.push((zones, policies));
        }
        Ok(Self { lists })
    }
}

/// `ACTION [type TYPES...] [net NETWORKS...]`, the two in any order.
fn policy(line: &Line) -> Result<Policy, Error> {
    let action = match line.word.text.to_ascii_lowercase().as_str() {
        "allow" => Action::Allow,
        "block" => Action::Block,
        "filter" => Action::Filter,
        "drop" => Action::Drop,
        _ => return Err(line.word.unknown("action", &["allow", "block", "filter", "drop"])),
    };
    line.no_block()?;
    let (mut types, mut networks) = (None::<Vec<RecordType>>, None::<Vec<_>>);
    let mut words = line.args.as_slice();
    while let Some((section, rest)) = words.split_first() {
        let is_section = |word: &Token| ["type", "net"].iter().any(|name| word.text.eq_ignore_ascii_case(name));
        if !is_section(section) {
            return Err(section.unknown("section", &["type", "net"]));
        }
        let (values, next) = rest.split_at(rest.iter().position(is_section).unwrap_or(rest.len()));
        if values.is_empty() {
            return Err(section.error(format!("expected something behind `{}`", section.text)));
        }
        let is_all = values.iter().any(|word| word.text == "*");
        match section.text.to_ascii_lowercase().as_str() {
            _ if is_all => {}
            "type" => {
                let read = values.iter().map(record_type).collect::<Result<Vec<_>, _>>()?;
                types.get_or_insert_default().extend(read);
            }
            _ => {
                let read = values.iter().map(Token::cidr).collect::<Result<Vec<_>, _>>()?;
                networks.get_or_insert_default().extend(read);
            }
        }
        words = next;
    }
    Ok(Policy { action, types, networks: networks.map(|networks| Networks::new(&networks)) })
}

fn record_type(word: &Token) -> Result<RecordType, Error> {
    let found = RecordType::from_mnemonic(&word.text);
    found
        .ok_or_else(|| word.error(format!("expected a record type such as `AAAA`, in capitals, found `{}`", word.text)))
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::answers_some(
            "turns clients away, and lets others go on",
            self.lists.iter().flat_map(|(zones, _)| zones.iter().copied()).collect(),
        )
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let (registry, view) = (block.registry(), block.view());
        let family = |name: &str, help: &str| registry.counter(name, help, &["server", "zone", "view"]);
        let blocked = family("coredns_acl_blocked_requests_total", "Queries that were refused.");
        let filtered = family("coredns_acl_filtered_requests_total", "Queries that were answered with nothing.");
        let dropped = family("coredns_acl_dropped_requests_total", "Queries that were not answered.");
        let help = "Queries that were let pass.";
        let allowed = registry.counter("coredns_acl_allowed_requests_total", help, &["server", "view"]);
        let lists = self.lists.into_iter().map(|(zones, policies)| {
            let refusals = |zone: &str, server: &String| Refusals {
                blocked: blocked.with_label_values(&[server.as_str(), zone, view]),
                filtered: filtered.with_label_values(&[server.as_str(), zone, view]),
                dropped: dropped.with_label_values(&[server.as_str(), zone, view]),
            };
            let names = zones.iter().map(ToString::to_string);
            let of_zone = |zone: String| block.servers().iter().map(|server| refusals(&zone, server)).collect();
            let refusals = names.map(of_zone).collect();
            List { zones, policies, refusals }
        });
        let lists = lists.collect();
        let servers = block.servers().iter();
        let allowed = servers.map(|server| allowed.with_label_values(&[server.as_str(), view])).collect();
        block.link(AccessControl { lists, allowed });
        Ok(())
    }
}
