//! What the commands that serve have in common: the runtime, the metrics of the process, signals.

use std::{io, path::Path, sync::Arc};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{COREDNS_VERSION, VERSION};
use crate::metrics::Registry;

/// A registry with what every process of this program tells.
pub(super) fn registry() -> Arc<Registry> {
    let registry = Arc::new(Registry::new());
    registry.register_process();
    let build = ["version", "revision", "goversion"];
    let info = registry.gauge("coredns_build_info", "The version that runs.", &build);
    info.with_label_values(&[COREDNS_VERSION, &format!("seamark-{VERSION}"), ""]).set(1);
    registry
}

/// The runtime of everything but queries, which have the workers' own.
pub(super) fn start() -> Result<Runtime, String> {
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(|error| format!("cannot start the runtime: {error}"))
}

/// Each upstream has some sockets of each core, each client over TCP one. Container runtimes start programs with a soft
/// limit of 1024 and leave it to them to take what they may have, as Go programs do by themselves.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Writes the process id, for those who look for it in a file.
pub(super) fn write_process_id(path: &Path) -> Result<(), String> {
    std::fs::write(path, format!("{}\n", std::process::id()))
        .map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

/// What a person or the system wants of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGUSR1: read the Corefile again.
    Reload,
    /// SIGTERM: end with grace.
    Terminate,
    /// SIGINT: end without lameduck. A second one ends the process at once, with code 2.
    Interrupt,
    /// SIGQUIT: end at once, without a word.
    Quit,
}

/// The wishes as they come. SIGHUP and SIGUSR2 do nothing. Needs a tokio runtime.
pub(super) fn wishes() -> io::Result<mpsc::Receiver<Wish>> {
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
                _ = terminate.recv() => Wish::Terminate,
                _ = interrupt.recv() => {
                    if interrupted {
                        std::process::exit(2);
                    }
                    interrupted = true;
                    Wish::Interrupt
                }
                _ = quit.recv() => Wish::Quit,
                _ = reload.recv() => Wish::Reload,
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
