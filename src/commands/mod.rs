//! What the binary can be told to do. Each command is a file that only puts parts together.

mod autoscale;
mod check;
mod explain;
mod flags;
mod log_format;
mod node_cache;
mod node_flags;
mod picture;
mod runtime;
mod serve;

use std::{ffi::OsStr, path::Path, process::ExitCode};

/// Version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The release of CoreDNS whose behaviour is matched.
pub const COREDNS_VERSION: &str = "1.15.0";

/// The commands, for the usage text.
const USAGE: &str = "\
usage: seamark COMMAND [FLAGS]

commands:
  check      say what is wrong with a Corefile, and what it does
  explain    say how a pod finds a name: which names are asked, who answers each, what it costs
  serve      answer DNS queries as a Corefile says (also when called `coredns`)
  autoscale  set replicas by the size of the cluster (also when called `cluster-proportional-autoscaler`)
  node-cache answer the queries of a node's pods (also when called `node-cache`)
  version    print the version

`seamark COMMAND -help` lists the flags.
";

/// Runs the command that the arguments name. Called `coredns`, the program is `serve`; called `node-cache`, it is that;
/// called `cluster-proportional-autoscaler`, it is `autoscale`.
pub fn run(args: impl IntoIterator<Item = String>) -> ExitCode {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_default();
    let name = Path::new(&program).file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned();
    match name.as_str() {
        "coredns" => return serve::run(args),
        "cluster-proportional-autoscaler" => return autoscale::run(args),
        "node-cache" => return node_cache::run(args),
        _ => {}
    }
    match args.next().as_deref() {
        Some("serve") => serve::run(args),
        Some("check") => check::run(args),
        Some("explain") => explain::run(args),
        Some("autoscale") => autoscale::run(args),
        Some("node-cache") => node_cache::run(args),
        Some("version" | "-version" | "--version") => {
            println!("{}", version());
            ExitCode::SUCCESS
        }
        Some("help" | "-help" | "--help" | "-h") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Some(other) => {
            eprintln!("seamark: unknown command `{other}`\n{USAGE}");
            ExitCode::from(2)
        }
        None => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// What `-version` prints. The first word keeps CoreDNS's form for tools that compare it.
fn version() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let arch = match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("CoreDNS-{COREDNS_VERSION} (seamark-{VERSION})\n{os}/{arch}")
}
