//! `seamark autoscale`: the flags of cluster-proportional-autoscaler, and ours.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use super::{
    VERSION,
    flags::{self, Flag, Parsed},
    log_format,
};
use crate::{
    autoscale::{
        defaults,
        explain::explain,
        hold::Caution,
        lease::Election,
        params::{Data, Params, Refusal, Rules},
        quantity::Cpu,
        round::Policy,
        run::{self, Settings},
        size::{Count, Size},
        target::{self, Target},
    },
    kubernetes::Access,
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

/// Flags that mean nothing beside `-compat`, which leaves no choice.
const NOT_COMPAT: [&str; 5] =
    ["scale-down-window-seconds", "scale-down-unready-percent", "allow-zero", "leader-elect", "lease-name"];

pub(super) fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let parsed = match flags::parse(FLAGS, args.map(dashes)) {
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
        println!("{VERSION}");
        return ExitCode::SUCCESS;
    }
    if parsed.is_on("explain") {
        return show(&parsed);
    }
    let json = parsed.value("log-format") == Some("json");
    match settings(&parsed) {
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

fn show(parsed: &Parsed) -> ExitCode {
    let refused = |refusal: Refusal| {
        let excerpt = refusal.excerpt.as_ref().map(|excerpt| format!("\n{excerpt}")).unwrap_or_default();
        eprintln!("{refusal}{excerpt}");
        ExitCode::FAILURE
    };
    let (data, size) = match parameters(parsed).and_then(|data| Ok((data, size(parsed)?))) {
        Ok(found) => found,
        Err(refusal) => return refused(refusal),
    };
    match explain(&data, size, rules(parsed)) {
        Ok(lines) => {
            println!("{}", lines.join("\n"));
            ExitCode::SUCCESS
        }
        Err(refusal) => refused(refusal),
    }
}

fn rules(parsed: &Parsed) -> Rules {
    Rules { compat: parsed.is_on("compat"), allow_zero: parsed.is_on("allow-zero") }
}

fn parameters(parsed: &Parsed) -> Result<Data, Refusal> {
    for name in ["params", "default-params"] {
        if let Some(text) = parsed.value(name) {
            return defaults::read(&format!("--{name}"), text);
        }
    }
    Err(Refusal::new("flag `--explain` needs `--params`, such as '{\"linear\":{\"nodesPerReplica\":16}}'"))
}

fn size(parsed: &Parsed) -> Result<Size, Refusal> {
    let nodes = |text: &str| text.parse::<i64>().ok();
    // A sum of cores need not be whole, and is rounded up as the nodes' own sum is.
    let cores = |text: &str| Cpu::parse(text).map(Cpu::rounded_up);
    let count = |name: &str, read: &dyn Fn(&str) -> Option<i64>| {
        let Some(text) = parsed.value(name) else { return Ok(None) };
        let number = read(text).filter(|number| *number >= 0);
        number.map(Some).ok_or_else(|| Refusal::new(format!("flag `--{name}` needs a number, found `{text}`")))
    };
    let (all_nodes, all_cores) = (count("nodes", &nodes)?, count("cores", &cores)?);
    if all_nodes.is_none() && all_cores.is_none() {
        return Err(Refusal::new("flag `--explain` needs `--nodes` or `--cores`, or both"));
    }
    let (all_nodes, all_cores) = (all_nodes.unwrap_or(0), all_cores.unwrap_or(0));
    Ok(Size {
        nodes: Count { all: all_nodes, schedulable: count("schedulable-nodes", &nodes)?.unwrap_or(all_nodes) },
        cores: Count { all: all_cores, schedulable: count("schedulable-cores", &cores)?.unwrap_or(all_cores) },
        unready: 0,
    })
}

/// Reads everything that the command line says; all errors at once, as the original.
fn settings(parsed: &Parsed) -> Result<Settings, Vec<String>> {
    let mut errors = Vec::new();
    let compat = parsed.is_on("compat");
    let namespace = parsed.value("namespace").map(str::to_owned).or_else(|| std::env::var("MY_POD_NAMESPACE").ok());
    let namespace = namespace.unwrap_or_default();
    if namespace.is_empty() {
        errors.push("flag `--namespace` is missing, and MY_POD_NAMESPACE is not set".to_owned());
    }
    let config_map = parsed.value("configmap").unwrap_or_default().to_owned();
    if config_map.is_empty() {
        errors.push("flag `--configmap` is missing".to_owned());
    }
    let targets = match parsed.value("target").filter(|text| !text.is_empty()) {
        Some(text) => target::read(text, &namespace, compat).unwrap_or_else(|error| {
            errors.push(format!("flag `--target`: {error}"));
            Vec::new()
        }),
        None => {
            errors.push("flag `--target` is missing".to_owned());
            Vec::new()
        }
    };
    let mut number = |name: &str, default: u32, least: u32| match parsed.value(name).map(str::parse::<u32>) {
        None => default,
        Some(Ok(number)) if number >= least => number,
        Some(_) => {
            errors.push(format!("flag `--{name}` needs a number of at least {least}"));
            default
        }
    };
    let caution = Caution::default();
    let period = number("poll-period-seconds", 10, 1);
    let max_failures = number("max-sync-failures", 0, 0);
    let window = number("scale-down-window-seconds", u32::try_from(caution.window.as_secs()).unwrap_or(0), 0);
    let unready_percent = number("scale-down-unready-percent", caution.unready_percent, 1);
    let caution = Caution { window: Duration::from_secs(window.into()), unready_percent };
    let election = match parsed.value("leader-elect") {
        None | Some("auto") if !compat => Election::Auto,
        Some("true") => Election::Required,
        None | Some("false") => Election::Off,
        Some(other) => {
            errors.push(format!("flag `--leader-elect` takes `auto`, `true` or `false`, found `{other}`"));
            Election::Off
        }
    };
    if !matches!(parsed.value("log-format"), None | Some("text" | "json")) {
        errors.push("flag `--log-format` takes `text` or `json`".to_owned());
    }
    for name in NOT_COMPAT.iter().filter(|name| compat && parsed.value(name).is_some()) {
        errors.push(format!("flag `--{name}` means nothing beside `--compat`"));
    }
    let defaults = parsed.value("default-params").filter(|text| !text.is_empty());
    let defaults = defaults.and_then(|text| match defaults::read("--default-params", text) {
        Ok(data) => Some(data),
        Err(refusal) => {
            errors.push(refusal.to_string());
            None
        }
    });
    if !errors.is_empty() {
        return Err(errors);
    }
    let rules = rules(parsed);
    if let Some(Err(refusal)) = defaults.as_ref().map(|data| Params::read(data, rules)) {
        eprintln!("the default parameters will not do, should the ConfigMap be missing: {refusal}");
    }
    let access = match parsed.value("kubeconfig") {
        Some(file) => Access::Kubeconfig { file: PathBuf::from(file), context: None },
        None => Access::InCluster,
    };
    Ok(Settings {
        access,
        lease: parsed.value("lease-name").map_or_else(|| lease_name(&config_map, &targets), str::to_owned),
        identity: format!("{}_{:08x}", host_name(), rand::random::<u32>()),
        namespace,
        config_map,
        targets,
        defaults,
        period: Duration::from_secs(period.into()),
        node_labels: parsed.value("nodelabels").unwrap_or_default().to_owned(),
        max_failures,
        policy: Policy { rules, caution: if compat { Caution::NONE } else { caution } },
        election,
        address: parsed.value("health-address").unwrap_or(":8080").to_owned(),
    })
}

/// Two autoscalers that share a ConfigMap and scale different things do not wait for each other.
fn lease_name(config_map: &str, targets: &[Target]) -> String {
    let mut name = config_map.to_owned();
    for Target { resource, name: target, .. } in targets {
        name += &format!("-{}-{target}", resource.plural);
    }
    name.truncate(250);
    name.trim_end_matches(['-', '.']).to_owned()
}

/// In a pod this is its name.
fn host_name() -> String {
    let name = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let read = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    name.or_else(read).unwrap_or_else(|| "seamark".to_owned())
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
