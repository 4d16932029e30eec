//! The scripted name servers of a scenario.

use std::collections::BTreeMap;

use super::{
    expect::{blocks, duration},
    message::{Reply, kind_number},
    nameserver::{Act, Manner, NameServer},
};

/// The name servers by name.
#[derive(Default)]
pub(crate) struct Cast(BTreeMap<String, NameServer>);

impl Cast {
    /// `upstream NAME [53]`: starts one, or tells one that is there something else.
    pub(crate) fn instruct(&mut self, words: &[&str], body: &str) {
        let server = self.0.entry(words[0].to_owned()).or_insert_with(|| {
            if words.get(1) == Some(&"53") { NameServer::start_on_port_53() } else { NameServer::start() }
        });
        server.clear();
        for (question, lines) in blocks(body) {
            let words: Vec<&str> = question.split(' ').collect();
            let acts = acts(&lines);
            let manner = match words.get(2) {
                Some(&"udp") => Manner { udp: acts, tcp: server.manner(words[0], kind_number(words[1])).tcp },
                Some(&"tcp") => Manner { tcp: acts, udp: server.manner(words[0], kind_number(words[1])).udp },
                _ => Manner::both(acts),
            };
            server.set_kind(words[0], kind_number(words[1]), manner);
        }
    }

    pub(crate) fn named(&mut self, name: &str) -> &mut NameServer {
        self.0.get_mut(name).unwrap_or_else(|| panic!("there is no upstream {name}"))
    }

    /// Puts addresses into a text: `{one}` is address and port, `{one.ip}` the address.
    pub(crate) fn fill_in(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, server)| {
            let text = text.replace(&format!("{{{name}}}"), &server.address.to_string());
            text.replace(&format!("{{{name}.ip}}"), &server.address.ip().to_string())
        })
    }

    /// A count: `one`, `one/udp`, `one/tcp`, `one/connections`, `one/www.test.`.
    pub(crate) fn count(&self, what: &str) -> Option<String> {
        let (name, what) = what.split_once('/').unwrap_or((what, ""));
        let count = self.0.get(name)?.count();
        let number = match what {
            "" => count.udp + count.tcp,
            "udp" => count.udp,
            "tcp" => count.tcp,
            "connections" => count.connections,
            name => count.names.get(name).copied().unwrap_or(0),
        };
        Some(number.to_string())
    }

    /// Begins to count anew.
    pub(crate) fn forget_counts(&self) {
        for server in self.0.values() {
            server.take_count();
        }
    }
}

/// `delay TIME`, `drop`, or a reply.
fn acts(lines: &[String]) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut reply = Vec::new();
    let mut dropped = false;
    for line in lines {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("delay", time) => acts.push(Act::Wait(duration(time).as_millis() as u64)),
            ("drop", _) => dropped = true,
            _ => reply.push(line.as_str()),
        }
    }
    if !dropped {
        acts.push(Act::Answer(Reply::parse(&reply.join("\n"))));
    }
    acts
}
