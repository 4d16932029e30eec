use std::{
    io,
    process::{Command, Output},
};

use super::rules::{Action, End, Filled, Place};

/// How long a program may wait for the lock of iptables, seconds.
const LOCK: &str = "5";
/// How many copies of one rule are removed at most; older node caches have left some behind.
const COPIES: usize = 64;

/// Why a rule is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum IptablesError {
    /// The program cannot be started.
    #[error("{program}: {error}; with `-rulesbackend nft` no program is needed")]
    Start {
        /// `iptables` or `ip6tables`.
        program: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// Another program holds the lock.
    #[error("{0}")]
    Lock(String),
    /// The program fails.
    #[error("{0}")]
    Failed(String),
}

/// Inserts the rules that are not there, each at the head of its chain. Says whether there were any.
pub(super) fn ensure(rules: &[Filled]) -> Result<bool, IptablesError> {
    let mut changed = false;
    for rule in rules {
        if !is_there(rule)? {
            succeeded(rule, run(rule, "-I")?)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Removes the rules, with all their copies.
pub(super) fn remove(rules: &[Filled]) -> Result<(), IptablesError> {
    for rule in rules {
        for _ in 0..COPIES {
            if !is_there(rule)? {
                break;
            }
            succeeded(rule, run(rule, "-D")?)?;
        }
    }
    Ok(())
}

/// `-C` ends with 1 if there is no such rule, and also if the table is not there: then the insertion says why.
fn is_there(rule: &Filled) -> Result<bool, IptablesError> {
    let output = run(rule, "-C")?;
    match output.status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => succeeded(rule, output).map(|()| true),
    }
}

fn run(rule: &Filled, operation: &'static str) -> Result<Output, IptablesError> {
    let program = program(rule);
    let output = Command::new(program).args(arguments(rule, operation)).output();
    output.map_err(|error| IptablesError::Start { program, error })
}

fn succeeded(rule: &Filled, output: Output) -> Result<(), IptablesError> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = format!("{}: {}: {}", program(rule), output.status, said.trim());
    Err(if said.contains("holding the xtables lock") { IptablesError::Lock(said) } else { IptablesError::Failed(said) })
}

const fn program(rule: &Filled) -> &'static str {
    if rule.address.is_ipv4() { "iptables" } else { "ip6tables" }
}

fn arguments(rule: &Filled, operation: &'static str) -> Vec<String> {
    let (table, chain) = match rule.place {
        Place::RawPrerouting => ("raw", "PREROUTING"),
        Place::RawOutput => ("raw", "OUTPUT"),
        Place::FilterInput => ("filter", "INPUT"),
        Place::FilterOutput => ("filter", "OUTPUT"),
    };
    let (address, port) = match rule.end {
        End::Destination => ("-d", "--dport"),
        End::Source => ("-s", "--sport"),
    };
    let target = match rule.place.action() {
        Action::Notrack => "NOTRACK",
        Action::Accept => "ACCEPT",
    };
    let (ip, number) = (rule.address.to_string(), rule.port.to_string());
    let words = [
        "-w",
        LOCK,
        "-t",
        table,
        operation,
        chain,
        "-p",
        rule.protocol.name(),
        address,
        &ip,
        port,
        &number,
        "-j",
        target,
        "-m",
        "comment",
        "--comment",
        rule.comment(),
    ];
    words.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{LocalAddresses, Ports, rules::filled};

    /// The rules as `reference` implementations list them: what other tools on the host look for.
    const EXPECTED: &str = "\
iptables raw PREROUTING tcp -d 169.254.20.53 --dport 53 NOTRACK skip conntrack
iptables raw PREROUTING udp -d 169.254.20.53 --dport 53 NOTRACK skip conntrack
iptables filter INPUT tcp -d 169.254.20.53 --dport 53 ACCEPT allow DNS traffic
iptables filter INPUT udp -d 169.254.20.53 --dport 53 ACCEPT allow DNS traffic
iptables raw OUTPUT tcp -s 169.254.20.53 --sport 53 NOTRACK skip conntrack
iptables raw OUTPUT udp -s 169.254.20.53 --sport 53 NOTRACK skip conntrack
iptables filter OUTPUT tcp -s 169.254.20.53 --sport 53 ACCEPT allow DNS traffic
iptables filter OUTPUT udp -s 169.254.20.53 --sport 53 ACCEPT allow DNS traffic
iptables raw OUTPUT tcp -d 169.254.20.53 --dport 53 NOTRACK skip conntrack
iptables raw OUTPUT udp -d 169.254.20.53 --dport 53 NOTRACK skip conntrack
iptables raw OUTPUT tcp -d 169.254.20.53 --dport 8080 NOTRACK skip conntrack
iptables raw OUTPUT tcp -s 169.254.20.53 --sport 8080 NOTRACK skip conntrack
";

    #[test]
    fn twelve_rules_for_each_address() {
        let ports = Ports { dns: 53, health: 8080 };
        let rules = filled(&LocalAddresses::parse("169.254.20.53,fd00::53").unwrap(), ports);
        let line = |rule: &Filled| {
            let words = arguments(rule, "-C");
            let comment = words[17].strip_prefix("NodeLocal DNS Cache: ").unwrap();
            assert_eq!([&words[0], &words[4], &words[12], &words[16]], ["-w", "-C", "-j", "--comment"]);
            let shown = [3, 5, 7, 8, 9, 10, 11, 13].map(|at| words[at].as_str()).join(" ");
            format!("{} {shown} {comment}\n", program(rule))
        };
        let text: String = rules.iter().map(line).collect();
        let v6 = EXPECTED.replace("iptables", "ip6tables").replace("169.254.20.53", "fd00::53");
        assert_eq!(text, format!("{EXPECTED}{v6}"));
    }
}
