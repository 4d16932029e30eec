//! `seamark check`: what a Corefile says, and what is wrong with it, without serving it.

mod explain;
mod report;
mod rights;
mod sources;
mod warnings;

use std::{path::PathBuf, process::ExitCode};

use super::{
    flags::{self, Flag, Parsed},
    picture,
};
use crate::{
    corefile,
    node::{KubeDns, LocalAddresses, Pillars, render},
    plugins::DIRECTIVES,
    server,
};
use report::{Finding, Form};
use sources::{Sources, Text};

const FLAGS: &[Flag] = &[
    Flag { name: "format", value: Some("text|json|github"), help: "how to say what was found (default text)" },
    Flag { name: "explain", value: None, help: "say what each listener and zone does, in order" },
    Flag { name: "strict", value: None, help: "warnings count as errors" },
    Flag { name: "node", value: None, help: "a template of the node cache: put values for its variables" },
    Flag { name: "localip", value: Some("IPS"), help: "with -node: local addresses (default 169.254.20.10)" },
    Flag { name: "clusterdns", value: Some("IPS"), help: "with -node: the cluster's DNS (default 10.96.0.10)" },
    Flag { name: "clusterdomain", value: Some("ZONE"), help: "with -node: the cluster's zone (default cluster.local)" },
    Flag { name: "dns.port", value: Some("PORT"), help: "port of zones that name none (default 53)" },
    Flag { name: "p", value: Some("PORT"), help: "the same as -dns.port" },
    Flag { name: "help", value: None, help: "print this text" },
];

/// What the command line asks for.
struct Options {
    places: Vec<String>,
    form: Form,
    explain: bool,
    strict: bool,
    pillars: Option<Pillars>,
    port: u16,
}

pub(super) fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let (places, rest) = split(args);
    let parsed = match flags::read(FLAGS, rest.into_iter()) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    if parsed.is_on("help") {
        print!("usage: seamark check [FLAGS] [FILE|DIR|-]...\n\n{}", flags::usage(FLAGS));
        return ExitCode::SUCCESS;
    }
    let looked = options(&parsed, places).and_then(|options| Ok((sources::read(&options.places)?, options)));
    match looked {
        Ok((sources, options)) => check(&sources, &options),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Parts what names a place from the flags with their values.
fn split(args: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let (mut places, mut rest) = (Vec::new(), Vec::new());
    let mut is_value = false;
    for arg in args {
        let name = arg.trim_start_matches('-');
        if is_value || arg != "-" && arg.starts_with('-') {
            is_value = !is_value && FLAGS.iter().any(|flag| flag.name == name && flag.value.is_some());
            rest.push(arg);
        } else {
            places.push(arg);
        }
    }
    (places, rest)
}

fn options(parsed: &Parsed, mut places: Vec<String>) -> Result<Options, String> {
    if places.is_empty() {
        places.push(PathBuf::from("Corefile").display().to_string());
    }
    let addresses = |name: &str, default: &str| {
        LocalAddresses::parse(parsed.value(name).unwrap_or(default)).map_err(|error| format!("flag `-{name}`: {error}"))
    };
    let pillars = Pillars {
        local: addresses("localip", "169.254.20.10")?,
        cluster_dns: Some(addresses("clusterdns", "10.96.0.10")?.to_string()),
        domain: Some(parsed.value("clusterdomain").unwrap_or("cluster.local").to_owned()),
        port: parsed.port()?,
        // What the node cache puts in unless it is told otherwise.
        stale: Some(super::node_flags::STALE.to_owned()),
    };
    Ok(Options {
        places,
        form: Form::parse(parsed.value("format").unwrap_or("text"))?,
        explain: parsed.is_on("explain"),
        strict: parsed.is_on("strict"),
        pillars: parsed.is_on("node").then_some(pillars),
        port: parsed.port()?,
    })
}

fn check(sources: &Sources, options: &Options) -> ExitCode {
    let mut findings = Vec::new();
    let mut words = String::new();
    for text in &sources.texts {
        match read(text, options) {
            Ok(corefile) => {
                let pictures = picture::of(&corefile, options.port);
                findings.extend(warnings::of(&corefile, &pictures));
                findings.extend(rights::missing(&pictures, &sources.manifests));
                if options.explain {
                    words += &explain::text(&text.name, &pictures);
                }
            }
            Err(errors) => findings.extend(errors),
        }
    }
    print!("{words}{}", report::text(&findings, options.form));
    let fatal = findings.iter().any(|finding| finding.is_error || options.strict);
    if fatal { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Reads a Corefile as a start would, short of touching the outside world.
fn read(text: &Text, options: &Options) -> Result<corefile::Corefile, Vec<Finding>> {
    let environment = |name: &str| std::env::var(name).ok();
    let filled = match &options.pillars {
        None => text.text.clone(),
        Some(pillars) => render(&text.text, pillars, &KubeDns::default())
            .map_err(|error| vec![Finding::of_file(&text.name, error.to_string())])?,
    };
    let wrong = |errors| report::of_errors(&text.name, &errors);
    server::check(&text.name, &filled, &text.directory, &environment, DIRECTIVES).map_err(wrong)?;
    corefile::parse(&text.name, &filled, &text.directory, &environment).map_err(wrong)
}
