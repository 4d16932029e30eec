use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    chain::{Block, Build, BuildError, HttpEndpoint, Keys, OnBindFailure, Role},
    corefile::{Error, Errors, Line, Stanza},
    http::{Handler, Reply},
};

/// The `ready` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) address: String,
    pub(super) until_ready: bool,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    pub(super) fn read(stanza: &Stanza) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let mut config = Self { address: ":8181".to_owned(), until_ready: false };
        let mut args = instance.args();
        if let Some(word) = args.next() {
            word.listen_address(8181)?;
            config.address.clone_from(&word.text);
        }
        args.finish()?;
        for line in &instance.lines {
            if line.word.text != "monitor" {
                return Err(line.unknown(&["monitor"]));
            }
            config.until_ready = until_ready(line).map_err(|error| error.within("monitor"))?;
        }
        Ok(config)
    }
}

fn until_ready(line: &Line) -> Result<bool, Error> {
    let word = line.args().one("`continuously` or `until-ready`")?;
    match word.text.as_str() {
        "until-ready" => Ok(true),
        "continuously" => Ok(false),
        _ => Err(word.unknown("way to monitor", &["continuously", "until-ready"])),
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::sets("says over HTTP whether all is ready")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let probes = block.probes();
        let until_ready = self.until_ready;
        let was_ready = AtomicBool::new(false);
        let handler = move || {
            if until_ready && was_ready.load(Ordering::Relaxed) && !probes.is_ending() {
                return Reply::text(200, "OK");
            }
            let not_ready = probes.not_ready();
            if not_ready.is_empty() {
                was_ready.store(true, Ordering::Relaxed);
                return Reply::text(200, "OK");
            }
            Reply::text(503, not_ready.join(","))
        };
        block.http(HttpEndpoint {
            address: self.address,
            path: "/ready",
            handler: Handler::now(handler),
            on_bind_failure: OnBindFailure::Log,
            directive: "ready",
        });
        Ok(())
    }
}
