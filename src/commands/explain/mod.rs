//! `seamark explain`: how a client finds a name. Which names its resolver asks, who answers each, what it costs.

mod cost;
mod resolver;
mod step;

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::{
    flags::{self, Flag, Parsed},
    picture::{self, Picture},
};
use crate::{
    corefile::{self, Corefile},
    node::ask,
    plugins::DIRECTIVES,
    server,
    wire::{Name, Rcode, RecordType},
};
use resolver::{Resolver, Way};
use step::{Files, Outcome, Step, address};

const FLAGS: &[Flag] = &[
    Flag { name: "pod", value: Some("NS/POD"), help: "a pod asks, or any of namespace NS (default: of `default`)" },
    Flag { name: "resolv-conf", value: Some("FILE"), help: "whoever has this resolv.conf asks" },
    Flag { name: "corefile", value: Some("FILE"), help: "the Corefile of the server (default Corefile)" },
    Flag { name: "server", value: Some("ADDRESS"), help: "ask this server, at `IP` or `IP:PORT`" },
    Flag { name: "clusterdomain", value: Some("ZONE"), help: "the cluster's zone, if the Corefile does not say it" },
    Flag { name: "dns.port", value: Some("PORT"), help: "port of zones that name none (default 53)" },
    Flag { name: "p", value: Some("PORT"), help: "the same as -dns.port" },
    Flag { name: "help", value: None, help: "print this text" },
];

/// How long a server may take for an answer, as glibc waits.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(mut args: impl Iterator<Item = String>) -> ExitCode {
    let wanted = args.next().unwrap_or_default();
    let is_name = !wanted.is_empty() && !wanted.starts_with('-');
    let parsed = match flags::read(FLAGS, args) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    if parsed.is_on("help") || !is_name {
        print!("usage: seamark explain NAME [FLAGS]\n\n{}", flags::usage(FLAGS));
        return if is_name || wanted.ends_with("-help") { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    match explain(&wanted, &parsed) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn explain(wanted: &str, parsed: &Parsed) -> Result<String, String> {
    let server = parsed.value("server").map(server_address).transpose()?;
    let path = PathBuf::from(parsed.value("corefile").unwrap_or("Corefile"));
    // A running server can be asked without its Corefile; who answers is not known then.
    let needed = server.is_none() || parsed.value("corefile").is_some();
    let corefile = if needed || path.exists() { Some(load(&path)?) } else { None };
    let port = parsed.port()?;
    let pictures = corefile.as_ref().map_or_else(Vec::new, |corefile| picture::of(corefile, port));
    let (client, resolver) = client(parsed, &pictures)?;
    let names = resolver.names(wanted)?;
    let files = Files::new(&pictures, port)?;
    let own = Name::parse(wanted).map_err(|error| error.to_string())?;

    let mut text = format!("{wanted}, asked by {client}\n{resolver}\n{}\n", way(&resolver, wanted));
    let mut steps: Vec<Step> = Vec::new();
    for name in names {
        let mut step = files.step(name, name == own);
        if let Some(server) = server {
            step.outcome = asked(server, &step.name);
        }
        let who = if corefile.is_some() { format!("   {}\n", step.who) } else { String::new() };
        text += &format!("\n{}. {}\n{who}   {}\n", steps.len() + 1, step.name, step.outcome);
        let ends = step.outcome.ends();
        steps.push(step);
        if ends {
            break;
        }
    }
    let autopath = steps.first().and_then(|step| files.autopath(&step.name));
    text += &cost::text(wanted, &steps, autopath);
    Ok(text)
}

/// Reads a Corefile as a start would.
fn load(path: &Path) -> Result<Corefile, String> {
    let environment = |name: &str| std::env::var(name).ok();
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let text = String::from_utf8_lossy(&text);
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    server::check(&name, &text, directory, &environment, DIRECTIVES).map_err(|errors| errors.to_string())?;
    corefile::parse(&name, &text, directory, &environment).map_err(|errors| errors.to_string())
}

/// Who asks, in words, and its resolver.
fn client(parsed: &Parsed, pictures: &[Picture<'_>]) -> Result<(String, Resolver), String> {
    if let Some(file) = parsed.value("resolv-conf") {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: cannot be read: {error}"))?;
        return Ok((format!("whoever has {file}"), Resolver::read(&text)));
    }
    let pod = parsed.value("pod").unwrap_or("default");
    let (namespace, name) = pod.split_once('/').unwrap_or((pod, ""));
    let zone = match parsed.value("clusterdomain") {
        Some(zone) => Name::parse(zone).map_err(|error| format!("flag `-clusterdomain`: {error}"))?,
        None => cluster_zone(pictures)?,
    };
    let who = if name.is_empty() { "a pod".to_owned() } else { format!("pod {name}") };
    Ok((format!("{who} of namespace {namespace}"), Resolver::of_pod(namespace, &zone)?))
}

/// The first zone of the first `kubernetes` that is not a reverse one, else `cluster.local`.
fn cluster_zone(pictures: &[Picture<'_>]) -> Result<Name, String> {
    let words = pictures.iter().filter_map(|picture| picture.part("kubernetes")).flat_map(|part| part.words());
    let zones = words.filter_map(|word| word.zones().ok()).flatten().filter(|zone| !zone.ends_with(".arpa."));
    Name::parse(&zones.into_iter().next().unwrap_or_else(|| "cluster.local".to_owned()))
        .map_err(|error| error.to_string())
}

fn way(resolver: &Resolver, wanted: &str) -> String {
    let dots = |number: usize| if number == 1 { "1 dot".to_owned() } else { format!("{number} dots") };
    match resolver.way(wanted) {
        Way::Absolute => "The last dot says that the name is whole: the list does not count.".to_owned(),
        Way::ListFirst { dots: found } => {
            format!("{} in the name, fewer than {}: the list goes first.", dots(found), resolver.ndots)
        }
        Way::ListLast { dots: found } => format!("{} in the name: it is asked as it is first.", dots(found)),
    }
}

fn server_address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    bare.or_else(|_| text.parse()).map_err(|_| format!("flag `-server` needs an address, found `{text}`"))
}

/// What a running server says.
fn asked(server: SocketAddr, name: &Name) -> Outcome {
    let mut found = Vec::new();
    for kind in [RecordType::A, RecordType::AAAA] {
        let message = match ask(server, name, kind, PATIENCE) {
            Ok(message) => message,
            Err(error) => return Outcome::Other(format!("{server} does not answer: {error}")),
        };
        match message.flags.rcode() {
            Rcode::NOERROR => found.extend(message.records().answer.iter().filter_map(|record| address(&record.data))),
            Rcode::NXDOMAIN => return Outcome::NoName,
            code => return Outcome::Other(code.to_string()),
        }
    }
    if found.is_empty() { Outcome::NoData } else { Outcome::Addresses(found) }
}
