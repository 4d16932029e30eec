use super::pages;
use crate::{
    chain::{Block, Build, BuildError, HttpEndpoint, Keys, OnBindFailure, Role},
    corefile::{Error, Errors, Stanza},
};

const PORT: u16 = 6053;

/// The `pprof` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    address: String,
}

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config::read(stanza)?))
}

impl Config {
    fn read(stanza: &Stanza) -> Result<Self, Error> {
        let instance = stanza.once()?;
        let mut config = Self { address: format!("localhost:{PORT}") };
        let mut args = instance.args();
        if let Some(word) = args.next() {
            if !word.text.contains(':') {
                return Err(word.error(format!("expected an address with a port, found `{}`", word.text)));
            }
            word.listen_address(PORT)?;
            config.address.clone_from(&word.text);
        }
        args.finish()?;
        for line in &instance.lines {
            if line.word.text != "block" {
                return Err(line.unknown(&["block"]));
            }
            let mut args = line.args();
            if args.peek().is_some() {
                args.integer("block", i64::MIN..=i64::MAX)?;
            }
            args.finish()?;
        }
        Ok(config)
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::sets("shows over HTTP where the process spends its time")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        for (path, handler) in pages::all() {
            block.http(HttpEndpoint {
                address: self.address.clone(),
                path,
                handler,
                on_bind_failure: OnBindFailure::Fatal,
                directive: "pprof",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    #[test]
    fn addresses_and_what_is_wrong() {
        for (text, expected) in [
            ("pprof", Ok("localhost:6053")),
            ("pprof :6060", Ok(":6060")),
            ("pprof 127.0.0.1:1 {\nblock\n}", Ok("127.0.0.1:1")),
            ("pprof {\nblock 20\n}", Ok("localhost:6053")),
            ("pprof 127.0.0.1", Err("expected an address with a port, found `127.0.0.1`")),
            ("pprof a:b", Err("expected an address such as `:8080` or `127.0.0.1:8080`, found `a:b`")),
            ("pprof :1 :2", Err("unexpected argument `:2`")),
            ("pprof {\nblock x\n}", Err("block: expected a number, found `x`")),
            ("pprof {\nblock 1 2\n}", Err("unexpected argument `2`")),
            ("pprof {\nmutex\n}", Err("unknown property `mutex`; expected one of: block")),
            ("pprof\npprof", Err("may stand only once in a server block")),
        ] {
            let stanza = corefile::stanza(text);
            let read = Config::read(&stanza);
            let read = read.as_ref().map(|config| config.address.as_str()).map_err(Error::message);
            assert_eq!(read, expected, "{text}");
        }
    }
}
