//! CPU per query beside CoreDNS. Run by `make bench`.

use std::{fs, process::Command, time::Duration};

use crate::{
    live::{coredns, examples, kubeadm},
    support::{
        apiserver::ApiServer,
        server::{Server, eventually, free_port},
        upstream::Upstream,
    },
};

/// User and system time of a process, seconds.
fn cpu(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).expect("a process");
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    // Fields 14 and 15 of proc(5), counted behind the name, in hundredths of a second.
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap_or(0.);
    (ticks(11) + ticks(12)) / 100.
}

fn memory(id: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.trim_start_matches("VmRSS:").trim().to_owned()
}

#[test]
#[ignore = "make bench"]
fn cluster_names() {
    let cluster = ApiServer::start();
    cluster.apply_directory(&examples());
    let upstream = Upstream::start();
    let corefile = || kubeadm(&cluster.kubeconfig(), &upstream, free_port(), free_port(), free_port());
    for round in 1..=3 {
        for (name, server) in [
            ("seamark", Server::start(&corefile())),
            ("CoreDNS 1.15.0", Server::start_program(&coredns(), &corefile())),
        ] {
            eventually("the cluster is known", Duration::from_secs(20), || {
                server.ask("api.shop.svc.cluster.local. A").status == "NOERROR"
            });
            let file = server.directory.join("queries");
            fs::write(
                &file,
                "api.shop.svc.cluster.local A\nweb.shop.svc.cluster.local AAAA\nnobody.shop.svc.cluster.local A\n",
            )
            .expect("a file");
            let before = cpu(server.id());
            let port = server.port.to_string();
            let output = Command::new("dnsperf")
                .args(["-s", "127.0.0.1", "-p", &port, "-l", "5", "-c", "8", "-q", "200", "-d"])
                .arg(&file)
                .output()
                .expect("dnsperf");
            let used = cpu(server.id()) - before;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let number = |label: &str| {
                let line = text.lines().find(|line| line.contains(label)).unwrap_or_default();
                let word = line.split(':').nth(1).and_then(|rest| rest.split_whitespace().next());
                word.and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.)
            };
            let (done, rate) = (number("Queries completed"), number("Queries per second"));
            assert!(done > 0., "{text}");
            println!(
                "round {round}: {name}: {:.1} us CPU per query, {rate:.0} queries/s, {} lost, RSS {}",
                used / done * 1e6,
                number("Queries lost"),
                memory(server.id())
            );
        }
    }
}
