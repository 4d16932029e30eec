use std::{io::Read as _, path::PathBuf, process::ExitCode, sync::Arc};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{
    COREDNS_VERSION, VERSION,
    flags::{self, Flag, Parsed},
    log_format, version,
};
use crate::{
    metrics::Registry,
    plugins::DIRECTIVES,
    server::{Server, Settings, Signal, Source},
};

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
    let parsed = match flags::parse(FLAGS, args) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("{error}\n{}", flags::usage(FLAGS));
            return ExitCode::from(2);
        }
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
    let number = |flag: &str, text: &str| format!("flag `-{flag}` needs a number, found `{text}`");
    let port = match parsed.value("dns.port").or_else(|| parsed.value("p")) {
        Some(text) => text.parse().map_err(|_| number("dns.port", text))?,
        None => 53,
    };
    let workers = match parsed.value("workers") {
        Some(text) => text.parse::<usize>().ok().filter(|&n| n > 0).ok_or_else(|| number("workers", text))?,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let json = match parsed.value("log-format") {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => return Err(format!("flag `-log-format` takes `text` or `json`, found `{other}`")),
    };
    Ok(Options {
        source: source(parsed.value("conf"))?,
        port,
        pidfile: parsed.value("pidfile").map(PathBuf::from),
        quiet: parsed.is_on("quiet"),
        json,
        workers,
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
    raise_descriptor_limit();
    let registry = Arc::new(Registry::new());
    registry.register_process();
    let build = ["version", "revision", "goversion"];
    let info = registry.gauge("coredns_build_info", "The version that runs.", &build);
    info.with_label_values(&[COREDNS_VERSION, &format!("seamark-{VERSION}"), ""]).set(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let quiet = options.quiet;
    let settings = Settings {
        source: options.source,
        default_port: options.port,
        directives: DIRECTIVES,
        registry,
        workers: options.workers,
        set_debug: Box::new(log_format::set_debug),
    };
    let outcome = runtime.block_on(async {
        let signals = signals().map_err(|error| format!("cannot handle signals: {error}"))?;
        let mut server = Server::start(settings).await.map_err(|error| error.to_string())?;
        if let Some(path) = &options.pidfile {
            std::fs::write(path, format!("{}\n", std::process::id()))
                .map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
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

/// Each query under way to an upstream holds a socket. Container runtimes start programs with a soft limit of 1024 and
/// leave it to them to take what they may have, as Go programs do by themselves.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// SIGTERM ends with grace, SIGINT at once, SIGQUIT without a word, SIGUSR1 reloads; SIGHUP and SIGUSR2 do nothing.
fn signals() -> std::io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(8);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut reload = signal(SignalKind::user_defined1())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut ignored = signal(SignalKind::user_defined2())?;
    tokio::spawn(async move {
        let mut interrupted = false;
        loop {
            let wish = tokio::select! {
                _ = terminate.recv() => Signal::End { lameduck: true },
                _ = interrupt.recv() => {
                    if interrupted {
                        std::process::exit(2);
                    }
                    interrupted = true;
                    Signal::End { lameduck: false }
                }
                _ = quit.recv() => std::process::exit(0),
                _ = reload.recv() => Signal::Reload,
                _ = hangup.recv() => continue,
                _ = ignored.recv() => continue,
            };
            if sender.send(wish).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
