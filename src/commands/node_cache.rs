use std::{
    fs,
    io::Write as _,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, time::interval};

use super::{
    flags::{self, Parsed},
    log_format,
    node_flags::{FLAGS, Options},
    runtime::{self, Wish, write_process_id},
    version,
};
use crate::{
    http,
    metrics::Registry,
    node::{Check, Host, Keeping, Look, Renderer, SetupErrors},
    plugins::DIRECTIVES,
    server::{self, Server, Settings, Signal, Source},
};

/// How often to look at the mounted ConfigMaps; the kubelet is slower than that.
const LOOK: Duration = Duration::from_secs(2);

pub(super) fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let parsed = match flags::read(FLAGS, args) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    match command(&parsed) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn command(parsed: &Parsed) -> Result<ExitCode, String> {
    if parsed.is_on("help") {
        print!("{}", flags::usage(FLAGS));
    } else if parsed.is_on("version") {
        println!("{}", version());
    } else if parsed.is_on("plugins") {
        DIRECTIVES.iter().for_each(|directive| println!("dns.{}", directive.name));
    } else {
        let options = match Options::read(parsed, &|name| std::env::var(name).ok()) {
            Ok(options) => options,
            Err(error) => {
                eprintln!("{error}");
                return Ok(ExitCode::from(2));
            }
        };
        log_format::install(options.json);
        let runtime = runtime::start()?;
        let outcome =
            runtime.block_on(async { if options.cleanup { clean_up(&options).await } else { serve(options).await } });
        runtime.shutdown_background();
        outcome?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn clean_up(options: &Options) -> Result<(), String> {
    match Host::clean_up(&options.wanted("")).await.map_err(|error| error.to_string())? {
        0 => println!("nothing is left on this host"),
        living => println!("{living} running: everything goes when the last one ends"),
    }
    Ok(())
}

async fn serve(options: Options) -> Result<(), String> {
    let registry = runtime::registry();
    let errors = SetupErrors::register(&registry);
    let (renderer, corefile) =
        Renderer::start(options.sources(), options.pillars(), check(options.directory()), errors.clone())?;
    write(&options.conf, &corefile)?;
    let wishes = runtime::wishes().map_err(|error| format!("cannot handle signals: {error}"))?;
    let mut host = Host::prepare(options.wanted(&corefile), errors).await.map_err(|error| error.to_string())?;
    let _pages = serve_pages(&options.metrics, &registry, host.readiness()).await;
    let mut server = match start(&options, Arc::clone(&registry), host.readiness()).await {
        Ok(server) => server,
        Err(error) => {
            host.leave().await;
            return Err(error);
        }
    };
    // Only now: while nobody answers here, pods go on asking cluster DNS.
    let keeping = host.keep(&registry).await.map_err(|error| error.to_string())?;
    let (sender, signals) = mpsc::channel(8);
    tokio::spawn(follow(renderer, options.conf.clone(), sender.clone()));
    tokio::spawn(obey(wishes, sender, keeping.clone()));
    let outcome = server.run(signals).await;
    keeping.leave().await;
    match outcome {
        Some(reason) => Err(format!("[FATAL] {reason}")),
        None => Ok(()),
    }
}

/// Binds everything and answers queries.
async fn start(options: &Options, registry: Arc<Registry>, ready: Arc<AtomicBool>) -> Result<Server, String> {
    let settings = Settings {
        source: Source::File(options.conf.clone()),
        default_port: options.port,
        directives: DIRECTIVES,
        registry,
        workers: options.workers,
        // The names of one node's pods.
        remembered: 1024,
        set_debug: Box::new(log_format::set_debug),
        overlap: true,
        readiness: Some(("node", ready)),
    };
    let server = Server::start(settings).await.map_err(|error| error.to_string())?;
    if let Some(path) = &options.pidfile {
        write_process_id(path)?;
    }
    if !options.quiet {
        server.banner().iter().for_each(|line| println!("{line}"));
        println!("{}", version());
    }
    Ok(server)
}

/// The metrics of the set-up have a port of their own, as node-cache has it, with `/ready` for those whose Corefile does
/// not say `ready`. Without it the node is served all the same.
async fn serve_pages(address: &str, registry: &Arc<Registry>, ready: Arc<AtomicBool>) -> Option<http::Listener> {
    let listener = match http::Listener::bind(address, true).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("cannot serve setup metrics on {address}: {error}");
            return None;
        }
    };
    let registry = Arc::clone(registry);
    let metrics = http::Handler::now(move || http::Reply {
        status: 200,
        content_type: Registry::CONTENT_TYPE,
        body: registry.render(),
    });
    let ready = http::Handler::now(move || match ready.load(Ordering::Relaxed) {
        true => http::Reply::text(200, "OK"),
        false => http::Reply::text(503, "node"),
    });
    listener.serve([("/metrics".to_owned(), metrics), ("/ready".to_owned(), ready)].into());
    Some(listener)
}

fn check(directory: &Path) -> Check {
    let directory = directory.to_owned();
    Box::new(move |text| {
        let environment = |name: &str| std::env::var(name).ok();
        server::check("Corefile", text, &directory, &environment, DIRECTIVES).map_err(|errors| errors.to_string())
    })
}

/// Puts a new Corefile in the place of the old one, whole.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let next = path.with_extension("next");
    let written = fs::File::create(&next).and_then(|mut file| file.write_all(text.as_bytes()));
    let written = written.and_then(|()| fs::rename(&next, path));
    written.map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

/// Lets the server take over what changes in the ConfigMaps.
async fn follow(mut renderer: Renderer, conf: std::path::PathBuf, signals: mpsc::Sender<Signal>) {
    let mut ticks = interval(LOOK);
    loop {
        ticks.tick().await;
        // It may have to wait for name servers.
        let looked = tokio::task::spawn_blocking(move || {
            let look = renderer.look();
            (renderer, look)
        });
        let Ok((back, look)) = looked.await else { return };
        renderer = back;
        if let Look::New(text) = look {
            match write(&conf, &text) {
                Ok(()) => _ = signals.send(Signal::Reload).await,
                Err(error) => tracing::error!("{error}"),
            }
        }
    }
}

/// Before the server ends, queries are sent elsewhere; those that are here already are still answered.
async fn obey(mut wishes: mpsc::Receiver<Wish>, signals: mpsc::Sender<Signal>, host: Keeping) {
    while let Some(wish) = wishes.recv().await {
        let signal = match wish {
            Wish::Reload => Signal::Reload,
            Wish::Terminate => Signal::End { lameduck: true },
            Wish::Interrupt | Wish::Quit => Signal::End { lameduck: false },
        };
        if signal != Signal::Reload {
            host.stop_intercepting().await;
        }
        if signals.send(signal).await.is_err() {
            return;
        }
    }
}
