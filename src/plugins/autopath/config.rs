use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Autopath, Lists, node::Node};
use crate::{
    chain::{Block, Build, BuildError, Keys, Offered, Role, ZoneSet},
    corefile::{Error, Errors, Instance, Line, Stanza, Token},
    kubernetes::{Access, Served, answer::PodMode},
    upstream::resolv_conf::search_list,
    wire::Name,
};

/// The list of the host, which the kubelet hands on to pods.
const HOST: &str = "/etc/resolv.conf";
const SOURCES: [&str; 2] = ["@kubernetes", "@node"];
const PROPERTIES: [&str; 2] = ["name", "kubeconfig"];

/// The `autopath` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) zones: ZoneSet,
    pub(super) source: Source,
}

/// Where the search lists come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A file in the format of resolv.conf.
    File(PathBuf),
    /// The pods that the block's `kubernetes` knows.
    Kubernetes,
    /// The pods of a node.
    Node(Node),
}

pub(super) fn parse(stanza: &Stanza, keys: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza, keys)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza, keys: &Keys) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let Some((source, zones)) = instance.args.split_last() else {
            instance.args().require("a resolv.conf, `@kubernetes` or `@node`")?;
            return Err(instance.error("nothing to take search lists from"));
        };
        let mut names = Vec::new();
        for word in zones {
            for zone in word.zones()? {
                names.push(Name::parse(&zone).map_err(|error| word.error(error.to_string()))?);
            }
        }
        let zones = if names.is_empty() { ZoneSet::read(&keys.zones, &instance.name)? } else { ZoneSet::new(names) };
        let config = Self { zones, source: Source::read(source, instance, stanza)? };
        if matches!(config.source, Source::Node(_)) && config.zones.iter().any(Name::is_root) {
            return Err(source.error("expected the cluster's zone in front of `@node`, such as cluster.local"));
        }
        Ok(config)
    }
}

impl Source {
    fn read(word: &Token, instance: &Instance, stanza: &Stanza) -> Result<Self, Error> {
        match word.text.as_str() {
            "@node" => return node(&instance.lines).map(Self::Node),
            "@kubernetes" if !stanza.stands_beside("kubernetes") => {
                return Err(word.error("there is no `kubernetes` in this server block"));
            }
            text if text.starts_with('@') && !SOURCES.contains(&text) => {
                return Err(word.unknown("source of search lists", &SOURCES));
            }
            _ => {}
        }
        instance.no_block()?;
        Ok(if word.text == "@kubernetes" { Self::Kubernetes } else { Self::File(PathBuf::from(&word.text)) })
    }
}

fn node(lines: &[Line]) -> Result<Node, Error> {
    let mut node = Node { name: None, access: Access::InCluster };
    for line in lines {
        property(&mut node, line).map_err(|error| error.within(&line.word.text))?;
    }
    Ok(node)
}

fn property(node: &mut Node, line: &Line) -> Result<(), Error> {
    match line.word.text.as_str() {
        "name" => node.name = Some(line.args().one("the name of this node")?.text.clone()),
        "kubeconfig" => {
            let mut args = line.args();
            let file = PathBuf::from(&args.require("a file")?.text);
            let context = args.next().map(|word| word.text.clone());
            args.finish()?;
            node.access = Access::Kubeconfig { file, context };
        }
        _ => return Err(line.unknown(&PROPERTIES)),
    }
    Ok(())
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("takes a search list to its end within one query")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let lists = match self.source {
            Source::File(path) => {
                let list = read(&path)?;
                if list.is_empty() {
                    tracing::warn!(target: "plugin/autopath", "{}: no search list", path.display());
                }
                Lists::One(list)
            }
            Source::Kubernetes => {
                let served = block.offered();
                block.before_serving(warn_without_pods(served.clone()));
                Lists::Cluster { served, rest: host() }
            }
            Source::Node(node) => Lists::Node { cluster: node.watch(block)?, rest: host() },
        };
        let help = "Questions of search lists that were answered with the name that the list leads to.";
        let family = block.registry().counter("coredns_autopath_success_total", help, &["server"]);
        let answered = block.servers().iter().map(|server| family.with_label_values(&[server])).collect();
        let server = block.server();
        block.link(Autopath { zones: self.zones, lists, server, answered });
        Ok(())
    }
}

/// CoreDNS starts in silence, and answers no search list.
async fn warn_without_pods(served: Offered<Served>) {
    if served.taken().is_some_and(|served| served.policy.pods != PodMode::Verified) {
        tracing::warn!(
            target: "plugin/autopath",
            "no search list is answered: `@kubernetes` needs `pods verified` in the block of `kubernetes`"
        );
    }
}

fn read(path: &Path) -> Result<Arc<[Name]>, BuildError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| BuildError(format!("{}: cannot be read: {error}", path.display())))?;
    Ok(search_list(&text).into())
}

/// A host without the file has no list of its own.
fn host() -> Arc<[Name]> {
    read(Path::new(HOST)).unwrap_or_default()
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
    fn zones_and_source() {
        let zones = |config: &Config| config.zones.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let file = read("autopath /etc/resolv.conf").unwrap();
        assert_eq!((zones(&file).as_str(), file.source), ("example.org.", Source::File("/etc/resolv.conf".into())));
        let cluster = read("autopath cluster.local a.test @kubernetes").unwrap();
        assert!(zones(&cluster).contains("a.test.") && cluster.zones.iter().count() == 2);
        assert_eq!(cluster.source, Source::Kubernetes);
        let node = read("autopath @node {\nname one\nkubeconfig file context\n}").unwrap();
        let access = Access::Kubeconfig { file: "file".into(), context: Some("context".to_owned()) };
        assert_eq!(node.source, Source::Node(Node { name: Some("one".to_owned()), access }));
        let plain = Source::Node(Node { name: None, access: Access::InCluster });
        assert_eq!(read("autopath @node").unwrap().source, plain);
    }

    #[test]
    fn what_is_wrong() {
        for (text, message) in [
            ("autopath", "expected a resolv.conf, `@kubernetes` or `@node`"),
            ("autopath @erratic", "unknown source of search lists `@erratic`; expected one of: @kubernetes, @node"),
            ("autopath @kubernets", "unknown source of search lists `@kubernets`; did you mean `@kubernetes`?"),
            ("autopath a..b @kubernetes", "`a..b` is not a domain name"),
            ("autopath @kubernetes {\nname x\n}", "`autopath` takes no block"),
            ("autopath file {\nname x\n}", "`autopath` takes no block"),
            ("autopath @node {\nzone x\n}", "unknown property `zone`; expected one of: name, kubeconfig"),
            ("autopath . @node", "expected the cluster's zone in front of `@node`, such as cluster.local"),
            ("autopath @node {\nname\n}", "name: expected the name of this node"),
            ("autopath @node {\nname a b\n}", "name: unexpected argument `b`"),
            ("autopath @node {\nkubeconfig a b c\n}", "kubeconfig: unexpected argument `c`"),
            ("autopath a\nautopath b", "may stand only once in a server block"),
        ] {
            assert_eq!(read(text).err().as_deref(), Some(message), "{text}");
        }
        let alone = corefile::stanza("autopath @kubernetes");
        let error = Config::read(&alone, &Keys::default()).unwrap_err();
        assert_eq!(error.message(), "there is no `kubernetes` in this server block");
    }
}
