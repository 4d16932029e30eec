use std::sync::Arc;

use crate::{
    chain::{Block, Build, BuildError, DnsFamilies, HttpEndpoint, Keys, OnBindFailure, Role},
    corefile::{Error, Errors, Stanza},
    http::{Handler, Reply},
    metrics::Registry,
};

/// The `prometheus` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) address: String,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let mut config = Self { address: "localhost:9153".to_owned() };
        let mut args = instance.args();
        if let Some(word) = args.next() {
            if !word.text.contains(':') {
                return Err(word.error("expected an address with a port, such as `:9153`"));
            }
            word.listen_address(9153)?;
            config.address.clone_from(&word.text);
        }
        args.finish()?;
        for line in &instance.lines {
            match line.word.text.as_str() {
                "runtime_metrics" => line.no_args().map_err(|error| error.within("runtime_metrics"))?,
                "tls" => {
                    return Err(
                        line.error("tls: not built into seamark for metrics; a proxy in front of them can speak it")
                    );
                }
                _ => return Err(line.unknown(&["runtime_metrics", "tls"])),
            }
        }
        Ok(config)
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::passes("counts every answer")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let registry = Arc::clone(block.registry());
        let handler = move || Reply { status: 200, content_type: Registry::CONTENT_TYPE, body: registry.render() };
        block.http(HttpEndpoint {
            address: self.address,
            path: "/metrics",
            handler: Handler::now(handler),
            on_bind_failure: OnBindFailure::Log,
            directive: "prometheus",
        });
        let families = DnsFamilies::register(block.registry());
        let handles = block.servers().iter().map(|server| {
            let zones = block.zones().iter().map(|zone| families.bind(server, &zone.to_string(), block.view()));
            zones.collect()
        });
        let handles = handles.collect();
        block.link(super::Counting { handles });
        Ok(())
    }
}
