use std::{io::Read as _, path::PathBuf, process::ExitCode};

use tokio::sync::mpsc;

use super::{
    flags::{self, Flag, Parsed},
    log_format,
    runtime::{self, Wish, write_process_id},
    version,
};
use crate::{
    plugins::DIRECTIVES,
    server::{Server, Settings, Signal, Source},
};

/// How many answers all workers together give again without a walk: the names that the pods of a large cluster ask for.
const REMEMBERED: usize = 16_384;
/// What each worker has of them at least.
const REMEMBERED_EACH: usize = 1_024;

const FLAGS: &[Flag] = &[
    Flag { name: "conf", value: Some("FILE"), help: "Corefile to load; `stdin` reads it from standard input" },
    Flag { name: "dns.port", value: Some("PORT"), help: "port of zones that name none (default 53)" },
    Flag { name: "p", value: Some("PORT"), help: "the same as -dns.port" },
    Flag { name: "pidfile", value: Some("FILE"), help: "file to write the process id to" },
    Flag { name: "plugins", value: None, help: "list the directives" },
    Flag { name: "quiet", value: None, help: "do not print zones and version at start" },
    Flag { name: "version", value: None, help: "print the version" },
    Flag { name: "log-format", value: Some("text|json"), help: "form of log lines (default text)" },
    Flag { name: "workers", value: Some("N"), help: "threads that answer queries (default: one per core)" },
    Flag { name: "help", value: None, help: "print this text" },
];

/// What the command line asks for.
struct Options {
    source: Source,
    port: u16,
    pidfile: Option<PathBuf>,
    quiet: bool,
    json: bool,
    workers: usize,
}

pub(super) fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let parsed = match flags::read(FLAGS, args) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    if parsed.is_on("help") {
        print!("{}", flags::usage(FLAGS));
        return ExitCode::SUCCESS;
    }
    if parsed.is_on("version") {
        println!("{}", version());
        return ExitCode::SUCCESS;
    }
    if parsed.is_on("plugins") {
        DIRECTIVES.iter().for_each(|directive| println!("dns.{}", directive.name));
        return ExitCode::SUCCESS;
    }
    match options(&parsed).and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn options(parsed: &Parsed) -> Result<Options, String> {
    Ok(Options {
        source: source(parsed.value("conf"))?,
        port: parsed.port()?,
        pidfile: parsed.value("pidfile").map(PathBuf::from),
        quiet: parsed.is_on("quiet"),
        json: parsed.json_log()?,
        workers: parsed.workers(usize::MAX)?,
    })
}

/// The Corefile that is named, else the one of the working directory, else none: then the built-in default serves.
fn source(conf: Option<&str>) -> Result<Source, String> {
    match conf {
        Some("stdin") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| format!("stdin: {error}"))?;
            Ok(Source::Text { name: "stdin".to_owned(), text })
        }
        Some(path) => Ok(Source::File(PathBuf::from(path))),
        None if PathBuf::from("Corefile").exists() => Ok(Source::File(PathBuf::from("Corefile"))),
        None => Ok(Source::Text { name: "(built-in)".to_owned(), text: String::new() }),
    }
}

fn serve(options: Options) -> Result<(), String> {
    log_format::install(options.json);
    let runtime = runtime::start()?;
    let quiet = options.quiet;
    let settings = Settings {
        source: options.source,
        default_port: options.port,
        directives: DIRECTIVES,
        registry: runtime::registry(),
        workers: options.workers,
        remembered: (REMEMBERED / options.workers.max(1)).max(REMEMBERED_EACH),
        set_debug: Box::new(log_format::set_debug),
        overlap: false,
        readiness: None,
    };
    let outcome = runtime.block_on(async {
        let signals = signals().map_err(|error| format!("cannot handle signals: {error}"))?;
        let mut server = Server::start(settings).await.map_err(|error| error.to_string())?;
        if let Some(path) = &options.pidfile {
            write_process_id(path)?;
        }
        if !quiet {
            server.banner().iter().for_each(|line| println!("{line}"));
            println!("{}", version());
        }
        match server.run(signals).await {
            Some(reason) => Err(format!("[FATAL] {reason}")),
            None => Ok(()),
        }
    });
    runtime.shutdown_background();
    outcome
}

/// What the signals mean to a server; SIGQUIT ends the process right here.
fn signals() -> std::io::Result<mpsc::Receiver<Signal>> {
    let mut wishes = runtime::wishes()?;
    let (sender, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(wish) = wishes.recv().await {
            let signal = match wish {
                Wish::Reload => Signal::Reload,
                Wish::Terminate => Signal::End { lameduck: true },
                Wish::Interrupt => Signal::End { lameduck: false },
                Wish::Quit => std::process::exit(0),
            };
            if sender.send(signal).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
