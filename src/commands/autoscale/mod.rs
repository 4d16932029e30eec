//! `seamark autoscale`: the flags of cluster-proportional-autoscaler, and ours.

mod explain;
mod settings;

use std::{process::ExitCode, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};

use super::{
    VERSION,
    flags::{self, Flag, Parsed},
    log_format,
};
use crate::{
    autoscale::run::{self, Settings},
    metrics::Registry,
};

const fn flag(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag { name, value: Some(value), help }
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, value: None, help }
}

const FLAGS: &[Flag] = &[
    flag(
        "target",
        "KIND/NAME",
        "what to scale: deployment, replicaset, replicationcontroller, statefulset, or RESOURCE.GROUP; NAMESPACE/KIND/NAME; a list with commas",
    ),
    flag("configmap", "NAME", "the ConfigMap that holds the parameters"),
    flag("namespace", "NAME", "where the ConfigMap and the targets are (default: $MY_POD_NAMESPACE)"),
    flag("default-params", "JSON", "what to write when the ConfigMap is missing"),
    flag("poll-period-seconds", "N", "seconds from poll to poll (default 10)"),
    flag("nodelabels", "SELECTOR", "count only nodes with these labels"),
    flag("max-sync-failures", "N", "end after so many failed polls in a row (default 0: never)"),
    switch("version", "print the version"),
    switch("compat", "do as cluster-proportional-autoscaler does, to the letter"),
    flag("scale-down-window-seconds", "N", "the largest number wanted within this time counts (default 300)"),
    flag(
        "scale-down-unready-percent",
        "N",
        "no scale-down while so many of the nodes are not Ready (default 33; 101: never)",
    ),
    switch("allow-zero", "a result of 0 replicas is meant"),
    flag("leader-elect", "auto|true|false", "write only while holding a Lease (default auto: where RBAC allows it)"),
    flag("lease-name", "NAME", "the Lease (default: from the names of the ConfigMap and the targets)"),
    flag("health-address", "ADDRESS", "where /healthz, /last-poll and /metrics are served (default :8080)"),
    flag("kubeconfig", "FILE", "how to reach the API server (default: as a pod of the cluster)"),
    flag("log-format", "text|json", "form of log lines (default text)"),
    switch("explain", "print the number and each step that leads to it, without a cluster"),
    flag("params", "JSON", "explain: the parameters, in the form of -default-params"),
    flag("nodes", "N", "explain: all nodes"),
    flag("cores", "N", "explain: all cores"),
    flag("schedulable-nodes", "N", "explain: nodes that are Ready and not cordoned (default: all)"),
    flag("schedulable-cores", "N", "explain: their cores (default: all)"),
    switch("help", "print this text"),
    // glog's: accepted, and all lines are written in any case.
    switch("logtostderr", "accepted, without effect, as are the next ones"),
    switch("alsologtostderr", ""),
    flag("v", "LEVEL", ""),
    flag("vmodule", "PATTERN", ""),
    flag("stderrthreshold", "LEVEL", ""),
    flag("log-dir", "DIRECTORY", ""),
    flag("log-backtrace-at", "PLACE", ""),
];

pub(super) fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let parsed = match flags::read(FLAGS, args.map(dashes)) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    if parsed.is_on("help") {
        print!("{}", flags::usage(FLAGS));
        return ExitCode::SUCCESS;
    }
    if parsed.is_on("version") {
        println!("{VERSION}");
        return ExitCode::SUCCESS;
    }
    if parsed.is_on("explain") {
        return explain::show(&parsed);
    }
    let json = parsed.value("log-format") == Some("json");
    match settings::read(&parsed) {
        Ok(settings) => {
            log_format::install(json);
            scale(settings)
        }
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("{error}"));
            ExitCode::FAILURE
        }
    }
}

/// Underscores in the names of flags are dashes.
fn dashes(arg: String) -> String {
    if !arg.starts_with('-') {
        return arg;
    }
    match arg.split_once('=') {
        Some((name, value)) => format!("{}={value}", name.replace('_', "-")),
        None => arg.replace('_', "-"),
    }
}

fn scale(settings: Settings) -> ExitCode {
    let registry = Arc::new(Registry::new());
    registry.register_process();
    let info = registry.gauge("seamark_build_info", "The version that runs.", &["version"]);
    info.with_label_values(&[VERSION]).set(1);
    // One thread: it waits nearly all the time.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
            return Err("cannot handle signals".to_owned());
        };
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        run::run(settings, &registry, stop).await.map_err(|end| end.to_string())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
