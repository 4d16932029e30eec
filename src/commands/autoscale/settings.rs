//! From flags to settings.

use std::{path::PathBuf, time::Duration};

use super::Parsed;
use crate::{
    autoscale::{
        defaults,
        hold::Caution,
        lease::Election,
        params::{Data, Params, Rules},
        round::Policy,
        run::Settings,
        target::{self, Target},
    },
    kubernetes::Access,
};

/// Flags that mean nothing beside `-compat`, which leaves no choice.
const NOT_COMPAT: [&str; 5] =
    ["scale-down-window-seconds", "scale-down-unready-percent", "allow-zero", "leader-elect", "lease-name"];

/// Reads everything that the command line says; all errors at once, as the original.
pub(super) fn read(parsed: &Parsed) -> Result<Settings, Vec<String>> {
    let mut reader = Reader { parsed, errors: Vec::new() };
    let rules = rules(parsed);
    let namespace = parsed.value("namespace").map(str::to_owned).or_else(|| std::env::var("MY_POD_NAMESPACE").ok());
    let namespace = reader.needed(namespace, "`--namespace` is missing, and MY_POD_NAMESPACE is not set");
    let config_map = reader.needed(parsed.value("configmap").map(str::to_owned), "`--configmap` is missing");
    let targets = reader.targets(&namespace, rules.compat);
    let defaults = reader.defaults(rules);
    let period = reader.number("poll-period-seconds", 10, 1);
    let max_failures = reader.number("max-sync-failures", 0, 0);
    let caution = reader.caution(rules.compat);
    let election = reader.election(rules.compat);
    if !matches!(parsed.value("log-format"), None | Some("text" | "json")) {
        reader.errors.push("flag `--log-format` takes `text` or `json`".to_owned());
    }
    for name in NOT_COMPAT.iter().filter(|name| rules.compat && parsed.value(name).is_some()) {
        reader.errors.push(format!("flag `--{name}` means nothing beside `--compat`"));
    }
    if !reader.errors.is_empty() {
        return Err(reader.errors);
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
        policy: Policy { rules, caution },
        election,
        address: parsed.value("health-address").unwrap_or(":8080").to_owned(),
    })
}

/// Reads flags, and goes on behind an error.
struct Reader<'a> {
    parsed: &'a Parsed,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn needed(&mut self, value: Option<String>, problem: &str) -> String {
        let value = value.unwrap_or_default();
        if value.is_empty() {
            self.errors.push(format!("flag {problem}"));
        }
        value
    }

    fn number(&mut self, name: &str, default: u32, least: u32) -> u32 {
        match self.parsed.value(name).map(str::parse::<u32>) {
            None => default,
            Some(Ok(number)) if number >= least => number,
            Some(_) => {
                self.errors.push(format!("flag `--{name}` needs a number of at least {least}"));
                default
            }
        }
    }

    fn targets(&mut self, namespace: &str, compat: bool) -> Vec<Target> {
        let Some(text) = self.parsed.value("target").filter(|text| !text.is_empty()) else {
            self.errors.push("flag `--target` is missing".to_owned());
            return Vec::new();
        };
        target::read(text, namespace, compat).unwrap_or_else(|error| {
            self.errors.push(format!("flag `--target`: {error}"));
            Vec::new()
        })
    }

    /// Parameters that would be refused are no error: they matter only if the ConfigMap should be missing.
    fn defaults(&mut self, rules: Rules) -> Option<Data> {
        let text = self.parsed.value("default-params").filter(|text| !text.is_empty())?;
        match defaults::read("--default-params", text) {
            Ok(data) => {
                if let Err(refusal) = Params::read(&data, rules) {
                    eprintln!("the default parameters will not do, should the ConfigMap be missing: {refusal}");
                }
                Some(data)
            }
            Err(refusal) => {
                self.errors.push(refusal.to_string());
                None
            }
        }
    }

    fn caution(&mut self, compat: bool) -> Caution {
        let default = Caution::default();
        let seconds = u32::try_from(default.window.as_secs()).unwrap_or(u32::MAX);
        let window = self.number("scale-down-window-seconds", seconds, 0);
        let unready_percent = self.number("scale-down-unready-percent", default.unready_percent, 1);
        let window = Duration::from_secs(window.into());
        if compat { Caution::NONE } else { Caution { window, unready_percent } }
    }

    fn election(&mut self, compat: bool) -> Election {
        match self.parsed.value("leader-elect") {
            None if compat => Election::Off,
            None | Some("auto") => Election::Auto,
            Some("true") => Election::Required,
            Some("false") => Election::Off,
            Some(other) => {
                let problem = format!("flag `--leader-elect` takes `auto`, `true` or `false`, found `{other}`");
                self.errors.push(problem);
                Election::Off
            }
        }
    }
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

/// Which parameters are taken.
pub(super) fn rules(parsed: &Parsed) -> Rules {
    Rules { compat: parsed.is_on("compat"), allow_zero: parsed.is_on("allow-zero") }
}
