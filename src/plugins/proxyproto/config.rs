use std::time::Duration;

use super::Marks;
use crate::{
    chain::{Block, Build, BuildError, Keys, Manner, ProxyRules, Role},
    corefile::{Error, Errors, Line, Stanza, Token},
};

/// How many addresses of proxies are remembered if nothing else is said, as in CoreDNS.
const SESSIONS: i64 = 10_240;
const PROPERTIES: [&str; 4] = ["allow", "default", "udp_session_tracking", "tlv_metadata"];

/// The `proxyproto` directive.
pub(super) struct Config(ProxyRules);

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Config(read(stanza)?)))
}

fn read(stanza: &Stanza) -> Result<ProxyRules, Error> {
    let mut rules = ProxyRules { allow: Vec::new(), default: Manner::Ignore, sessions: None, keeps_tlvs: false };
    let mut said = None;
    for instance in &stanza.instances {
        instance.no_args()?;
        for line in &instance.lines {
            property(line, &mut rules, &mut said)?;
        }
    }
    // Without networks every peer is one of those whose headers are used.
    let default = if rules.allow.is_empty() { Manner::Use } else { Manner::Ignore };
    rules.default = said.unwrap_or(default);
    Ok(rules)
}

fn property(line: &Line, rules: &mut ProxyRules, said: &mut Option<Manner>) -> Result<(), Error> {
    let mut args = line.args();
    match line.word.text.as_str() {
        "allow" => {
            let networks = args.rest().iter().map(Token::cidr).collect::<Result<Vec<_>, _>>()?;
            rules.allow.extend(networks);
        }
        "default" => *said = Some(manner(args.require("`use`, `ignore`, `reject` or `skip`")?)?),
        "udp_session_tracking" => {
            let time = args.require("how long a header holds, such as `28s`")?.duration()?;
            let most = match args.peek() {
                Some(_) => args.integer("number of sessions", 1..=10_000_000)?,
                None => SESSIONS,
            };
            rules.sessions = (time > Duration::ZERO).then_some((time, most as usize));
        }
        "tlv_metadata" => rules.keeps_tlvs = true,
        _ => return Err(line.unknown(&PROPERTIES)),
    }
    args.finish()
}

fn manner(word: &Token) -> Result<Manner, Error> {
    match word.text.to_ascii_lowercase().as_str() {
        "use" => Ok(Manner::Use),
        "ignore" => Ok(Manner::Ignore),
        "reject" => Ok(Manner::Reject),
        "skip" => Ok(Manner::Skip),
        _ => Err(word.unknown("policy", &["use", "ignore", "reject", "skip"])),
    }
}

impl Build for Config {
    fn role(&self) -> Role {
        Role::sets("takes clients' addresses from the headers of proxies")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        if self.0.keeps_tlvs {
            block.label_source(Marks);
            block.link(Marks);
        }
        block.parts().proxied = Some(self.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::corefile;

    fn rules(text: &str) -> Result<ProxyRules, String> {
        let stanza = corefile::stanza(text);
        read(&stanza).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn whom_it_believes() {
        for (text, from_allowed, from_others) in [
            ("proxyproto", Manner::Use, Manner::Use),
            ("proxyproto {\n}", Manner::Use, Manner::Use),
            ("proxyproto {\nallow\n}", Manner::Use, Manner::Use),
            ("proxyproto {\ndefault reject\n}", Manner::Reject, Manner::Reject),
            ("proxyproto {\ndefault IGNORE\n}", Manner::Ignore, Manner::Ignore),
            ("proxyproto {\nallow 10.0.0.0/8\n}", Manner::Use, Manner::Ignore),
            ("proxyproto {\nallow fd00::/8 10.0.0.0/8\ndefault skip\n}", Manner::Use, Manner::Skip),
            ("proxyproto {\nallow 10.1.2.3\nallow fd00::/8\ndefault use\n}", Manner::Use, Manner::Use),
        ] {
            let rules = rules(text).unwrap();
            let manners = ["10.1.2.3", "192.0.2.1"].map(|peer| rules.manner(peer.parse().unwrap()));
            assert_eq!(manners, [from_allowed, from_others], "{text}");
        }
    }

    #[test]
    fn sessions_and_labels() {
        let sessions =
            |words: &str| rules(&format!("proxyproto {{\nudp_session_tracking {words}\n}}")).unwrap().sessions;
        assert_eq!(sessions("28s"), Some((Duration::from_secs(28), 10_240)));
        assert_eq!(sessions("1m 500"), Some((Duration::from_secs(60), 500)));
        assert_eq!(sessions("0s"), None);
        assert!(rules("proxyproto {\ntlv_metadata\n}").unwrap().keeps_tlvs);
        assert!(!rules("proxyproto").unwrap().keeps_tlvs);
    }

    #[test]
    fn what_is_wrong() {
        for (text, message) in [
            ("proxyproto x", "unexpected argument `x`"),
            ("proxyproto {\nallow 10.0.0.0/33\n}", "expected a network such as `10.0.0.0/8`, found `10.0.0.0/33`"),
            ("proxyproto {\ndefault\n}", "expected `use`, `ignore`, `reject` or `skip`"),
            (
                "proxyproto {\ndefault require\n}",
                "unknown policy `require`; expected one of: use, ignore, reject, skip",
            ),
            ("proxyproto {\ndefault use skip\n}", "unexpected argument `skip`"),
            ("proxyproto {\nudp_session_tracking\n}", "expected how long a header holds, such as `28s`"),
            ("proxyproto {\nudp_session_tracking 28\n}", "expected a duration such as `30s` or `1h5m`, found `28`"),
            (
                "proxyproto {\nudp_session_tracking 28s 0\n}",
                "number of sessions: expected a number between 1 and 10000000, found `0`",
            ),
            ("proxyproto {\nudp_session_tracking 28s 1 2\n}", "unexpected argument `2`"),
            ("proxyproto {\ntlv_metadata on\n}", "unexpected argument `on`"),
            (
                "proxyproto {\ntlv\n}",
                "unknown property `tlv`; expected one of: allow, default, udp_session_tracking, tlv_metadata",
            ),
        ] {
            assert_eq!(rules(text).err().as_deref(), Some(message), "{text}");
        }
    }
}
