//! The replica autoscaler: `--explain` and flags without a cluster, the rest against a real API server (`make e2e`).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::support::{
    apiserver::ApiServer,
    server::{directory, eventually, free_port, http, is_as_released, pause, program},
};

const NAME: &str = "cluster-proportional-autoscaler";
const COREDNS: &str = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
const CONFIG: &str = "/api/v1/namespaces/kube-system/configmaps/dns-autoscaler";
const PATIENCE: Duration = Duration::from_secs(20);
/// As people have it from kubespray.
const KUBESPRAY: &str = r#"{"coresPerReplica":256,"min":2,"nodesPerReplica":16,"preventSinglePointFailure":true}"#;

/// A running autoscaler, called by the original's name. Killed when it is dropped.
struct Autoscaler {
    child: Child,
    directory: PathBuf,
    health: u16,
}

impl Autoscaler {
    fn start(kubeconfig: &Path, flags: &[&str]) -> Self {
        let (directory, health) = (directory(), free_port());
        let log = fs::File::create(directory.join("log")).expect("a log");
        let child = called(&directory, NAME)
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--health-address=127.0.0.1:{health}"))
            .args(["--namespace=kube-system", "--configmap=dns-autoscaler", "--logtostderr=true", "--v=2"])
            .args(flags)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("the program");
        Self { child, directory, health }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn get(&self, path: &str) -> (u16, String) {
        http(&format!("http://127.0.0.1:{}{path}", self.health))
    }

    /// The value of a metric with its labels as they are written.
    fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics").1;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Requests to the API server so far.
    fn requests(&self) -> f64 {
        let text = self.get("/metrics").1;
        let lines = text.lines().filter(|line| line.starts_with("coredns_kubernetes_rest_client_requests_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return Some(status);
            }
            pause(20);
        }
        None
    }
}

impl Drop for Autoscaler {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the autoscaler\n{}\n{}", self.log(), self.get("/last-poll").1);
        }
        _ = self.child.kill();
        _ = self.child.wait();
        _ = fs::remove_dir_all(&self.directory);
    }
}

/// The program under another name.
fn called(directory: &Path, name: &str) -> Command {
    let link = directory.join(name);
    if !link.exists() {
        std::os::unix::fs::symlink(program(), &link).expect("a link");
    }
    let mut command = Command::new(link);
    command.env_remove("MY_POD_NAMESPACE");
    command
}

fn explain(flags: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(["autoscale", "--explain"]).args(flags).output().expect("the program")
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn explain_prints_the_number_last_and_every_step_before_it() {
    let kubespray = format!(r#"{{"linear":{KUBESPRAY}}}"#);
    let text = json!({"linear": KUBESPRAY}).to_string();
    let cores_and_nodes =
        r#"{"linear":{"coresPerReplica":2,"nodesPerReplica":2.5,"min":1,"max":100,"preventSinglePointFailure":true}}"#;
    let ladder = r#"{"ladder":{"coresToReplicas":[[0,0],[4,1],[8,2],[12,3]],"nodesToReplicas":[[0,0],[1,1],[2,2],[3,3]],"includeUnschedulableNodes":true}}"#;
    for (params, flags, replicas) in [
        (kubespray.as_str(), "--nodes 33 --cores 132", 3),
        (text.as_str(), "--nodes=1 --cores=4", 2),
        (&kubespray, "--nodes 40 --cores 3000", 12),
        (cores_and_nodes, "--cores 26 --nodes 38", 16),
        (cores_and_nodes, "--cores 40 --nodes 49 --schedulable-cores 30 --schedulable_nodes 5", 15),
        (ladder, "--nodes 3 --cores 12 --schedulable-nodes 1 --schedulable-cores 4", 3),
        (r#"{"linear":{"coresPerReplica":4}}"#, "--cores 11.76", 3),
        // As a value of --default-params the original writes it out anew, as 2; as a text, 2.0 is no integer.
        (r#"{"linear":{"nodesPerReplica":9,"min":2.0}}"#, "--nodes 1", 2),
    ] {
        let mut words = vec!["--params", params];
        words.extend(flags.split(' '));
        let output = explain(&words);
        assert!(output.status.success(), "{params} {flags}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(last_line(&output), format!("replicas: {replicas}"), "{params} {flags}");
    }
    let output = explain(&["--params", &kubespray, "--nodes", "33", "--cores", "132"]);
    let steps = String::from_utf8_lossy(&output.stdout).into_owned();
    for step in [
        "by cores: 132 / 256 = 0.515625, rounded up 1, at least min 2: 2",
        "by nodes: 33 / 16 = 2.0625, rounded up 3: 3",
    ] {
        assert!(steps.contains(step), "{steps}");
    }
}

#[test]
fn a_text_that_would_be_refused_ends_explain_with_1_and_the_place() {
    for (params, error, compat) in [
        (r#"{"linear":"{\"min\":2.0,\"nodesPerReplica\":1}"}"#, "linear:1:8: `min`: expected an integer", None),
        (r#"{"linear":"{\"nodesPerReplica\": \"16\"}"}"#, "linear:1:21: `nodesPerReplica`: expected a number", None),
        (r#"{"linear":{}}"#, "`coresPerReplica` and `nodesPerReplica`", None),
        (r#"{"linear":{"nodesPerReplica":1},"ladder":{}}"#, "exactly one key", None),
        ("{", "--params:1:2: expected a key in quotes, found the end", None),
        (r#"{"ladder":{}}"#, "no rungs", Some("replicas: 0")),
        (r#"{"ladder":{"nodesToReplicas":[[5]]}}"#, "expected a rung", Some("replicas: 0")),
        (r#"{"ladder":{"nodesToReplicas":[[0,0],[3,3]]}}"#, "allowZero", Some("replicas: 0")),
    ] {
        let output = explain(&["--params", params, "--nodes", "2"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{params}: {text}");
        assert!(text.contains(error), "{params}: {text}");
        let output = explain(&["--params", params, "--nodes", "2", "--compat"]);
        match compat {
            Some(line) => assert_eq!(last_line(&output), line, "{params}"),
            None => assert_eq!(output.status.code(), Some(1), "{params}"),
        }
    }
}

#[test]
fn all_errors_of_the_command_line_at_once() {
    let directory = directory();
    let output =
        called(&directory, NAME).args(["--target=pod/x", "--poll_period_seconds=0", "--default-params=["]).output();
    let output = output.expect("the program");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    for error in ["--namespace", "--configmap", "unknown kind `pod`", "--poll-period-seconds", "--default-params:1:2"] {
        assert!(text.contains(error), "{error} is missing in\n{text}");
    }
    let output = called(&directory, NAME).arg("--version").output().expect("the program");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), env!("CARGO_PKG_VERSION"));
    _ = fs::remove_dir_all(directory);
}

/// A kubeconfig for a server that is not there.
fn nobody(directory: &Path) -> PathBuf {
    let path = directory.join("nobody.kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
         users: [{{name: a, user: {{token: x}}}}]\nclusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n",
        free_port()
    );
    fs::write(&path, text).expect("a kubeconfig");
    path
}

#[test]
fn without_an_api_server_it_lives_and_says_so() {
    let place = directory();
    let scaler = Autoscaler::start(&nobody(&place), &["--target=deployment/coredns", "--poll-period-seconds=1"]);
    eventually("it listens", PATIENCE, || scaler.get("/healthz") == (200, String::new()));
    eventually("it says why", PATIENCE, || {
        let (code, text) = scaler.get("/last-poll");
        code == 500 && text.contains("the nodes are not known: cannot watch nodes")
    });
    assert!(scaler.metric("seamark_autoscaler_errors_total{reason=\"unreachable\"}").is_some_and(|count| count > 0.));
    drop(scaler);
    let flags = ["--target=deployment/coredns", "--poll-period-seconds=1", "--max-sync-failures=3"];
    let mut scaler = Autoscaler::start(&nobody(&place), &flags);
    let status = scaler.wait(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(1));
    assert!(scaler.log().contains("3 polls have failed in a row"), "{}", scaler.log());
    _ = fs::remove_dir_all(place);
}

/// The manifest says what the program takes, and both ways to run it are sound.
#[test]
fn the_manifest_agrees_with_the_program() {
    let manifest = manifest();
    let deployment = manifest.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let beside = sidecar();
    for container in [&deployment["spec"]["template"]["spec"]["containers"][0], &beside["containers"][0]] {
        let args: Vec<&str> = container["args"].as_array().expect("args").iter().filter_map(Value::as_str).collect();
        let params = args.iter().find_map(|arg| arg.strip_prefix("--default-params=")).expect("default parameters");
        let mut flags = args.clone();
        flags.extend(["--nodes", "33", "--cores", "132"]);
        assert_eq!(last_line(&explain(&flags)), "replicas: 3", "{params}");
        let port = args.iter().find_map(|arg| arg.strip_prefix("--health-address=:")).unwrap_or("8080");
        assert_eq!(container["ports"][0]["containerPort"].to_string(), port);
        assert_eq!(container["livenessProbe"]["httpGet"]["port"].to_string(), port);
    }
}

fn deploy(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file);
    fs::read_to_string(path).expect("a manifest")
}

fn manifest() -> Vec<Value> {
    let text = deploy("autoscaler.yaml");
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).expect("YAML")).collect()
}

/// The container that stands in the comment at the end.
fn sidecar() -> Value {
    let text = deploy("autoscaler.yaml");
    // Only the first two characters belong to the comment.
    let block: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != "# containers:")
        .map(|line| line.get(2..).unwrap_or_default())
        .collect();
    serde_yaml::from_str(&block.join("\n")).expect("YAML")
}

fn mk_node(name: &str, cpu: &str, ready: bool, cordoned: bool, pool: &str) -> Value {
    let status = if ready { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"pool": pool}},
        "spec": {"unschedulable": cordoned},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi"}, "capacity": {"cpu": cpu, "memory": "8Gi"},
            "conditions": [{"type": "Ready", "status": status}]},
    })
}

fn nodes(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(|number| mk_node(&format!("node-{number}"), "4", true, false, "a")).collect()
}

fn mk_scalable(kind: &str, version: &str, name: &str, replicas: u32) -> String {
    let labels = json!({"k8s-app": name});
    let selector = if kind == "ReplicationController" { labels.clone() } else { json!({"matchLabels": labels}) };
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "c"}]}});
    let spec = json!({"replicas": replicas, "selector": selector, "template": template, "serviceName": name});
    let mut spec = spec;
    if kind != "StatefulSet" {
        spec.as_object_mut().expect("an object").remove("serviceName");
    }
    let metadata = json!({"name": name, "namespace": "kube-system"});
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}).to_string()
}

/// A cluster with the rights of deploy/ and a Deployment `coredns` that nobody has asked to scale yet. Gives the
/// kubeconfig of the autoscaler's ServiceAccount, too.
fn cluster(replicas: u32) -> (ApiServer, PathBuf) {
    let cluster = ApiServer::start();
    cluster.apply(&mk_scalable("Deployment", "apps/v1", "coredns", replicas));
    let rights = deploy("autoscaler.yaml");
    // All but the Deployment of the autoscaler itself: the test runs it.
    let rights: Vec<&str> = rights.split("---\n").filter(|text| !text.contains("kind: Deployment")).collect();
    cluster.apply(&rights.join("---\n"));
    let kubeconfig = cluster.kubeconfig_with(&cluster.token("kube-system", "dns-autoscaler"));
    (cluster, kubeconfig)
}

fn write_config(cluster: &ApiServer, mode: &str, text: &str) {
    let metadata = json!({"name": "dns-autoscaler", "namespace": "kube-system"});
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {mode: text}});
    cluster.apply(&body.to_string());
}

fn replicas(cluster: &ApiServer, path: &str) -> i64 {
    cluster.read(path)["spec"]["replicas"].as_i64().unwrap_or(-1)
}

fn becomes(cluster: &ApiServer, path: &str, expected: i64) {
    let start = Instant::now();
    while replicas(cluster, path) != expected {
        assert!(start.elapsed() < PATIENCE, "{path} has {} replicas and not {expected}", replicas(cluster, path));
        pause(50);
    }
}

/// Kubespray's pair over 1 to 300 nodes, among them cordoned ones, some that are not Ready, and other labels.
#[test]
#[ignore = "make e2e"]
fn replicas_follow_the_nodes_with_the_rights_of_the_manifest() {
    let (cluster, kubeconfig) = cluster(1);
    write_config(&cluster, "linear", KUBESPRAY);
    cluster.create_all("/api/v1/nodes", &nodes(0..1));
    let flags = ["--target=deployment/coredns", "--lease-name=dns-autoscaler", "--poll-period-seconds=1"];
    let scaler = Autoscaler::start(
        &kubeconfig,
        &[&flags[..], &["--scale-down-window-seconds=1", "--nodelabels=pool=a"]].concat(),
    );
    becomes(&cluster, COREDNS, 2);
    cluster.create_all("/api/v1/nodes", &nodes(1..32));
    pause(2500);
    assert_eq!(replicas(&cluster, COREDNS), 2, "32 nodes");
    cluster.create_all("/api/v1/nodes", &nodes(32..33));
    becomes(&cluster, COREDNS, 3);
    cluster.create_all("/api/v1/nodes", &nodes(33..300));
    becomes(&cluster, COREDNS, 19);
    // None of these counts: another label, cordoned, not Ready.
    let others: Vec<Value> = (0..40)
        .map(|number| match number % 4 {
            0 => mk_node(&format!("other-{number}"), "64", true, false, "b"),
            1 | 2 => mk_node(&format!("cordoned-{number}"), "64", true, true, "a"),
            _ => mk_node(&format!("unready-{number}"), "64", false, false, "a"),
        })
        .collect();
    cluster.create_all("/api/v1/nodes", &others);
    eventually("all are known", PATIENCE, || scaler.metric("seamark_autoscaler_nodes{state=\"all\"}") == Some(330.));
    assert_eq!(scaler.metric("seamark_autoscaler_nodes{state=\"schedulable\"}"), Some(300.));
    assert_eq!(scaler.metric("seamark_autoscaler_nodes{state=\"unready\"}"), Some(10.));
    assert_eq!(scaler.metric("seamark_autoscaler_cores{state=\"schedulable\"}"), Some(1200.));
    assert_eq!(scaler.metric("seamark_autoscaler_cores{state=\"all\"}"), Some(3120.));
    pause(2500);
    assert_eq!(replicas(&cluster, COREDNS), 19, "330 nodes, of which 300 count");
    // All of them count now: 330 nodes, 3120 cores.
    let all = KUBESPRAY.replace("true}", "true,\"includeUnschedulableNodes\":true}");
    write_config(&cluster, "linear", &all);
    becomes(&cluster, COREDNS, 21);
    write_config(&cluster, "linear", &KUBESPRAY.replace("256", "30"));
    becomes(&cluster, COREDNS, 40);
    // Another mode on the fly, and down again.
    write_config(&cluster, "linear", KUBESPRAY);
    becomes(&cluster, COREDNS, 19);
    let metadata =
        json!({"data": {"linear": null, "ladder": r#"{"nodesToReplicas":[[1,1],[100,4],[299,7],[301,9]]}"#}});
    cluster.merge(CONFIG, &metadata);
    becomes(&cluster, COREDNS, 7);
    // A person's number is put right, zero included.
    cluster.merge(COREDNS, &json!({"spec": {"replicas": 0}}));
    becomes(&cluster, COREDNS, 7);
    cluster.merge(COREDNS, &json!({"spec": {"replicas": 30}}));
    becomes(&cluster, COREDNS, 7);
    // Cordon enough, and the next rung below counts.
    for number in 0..2 {
        cluster.merge(&format!("/api/v1/nodes/node-{number}"), &json!({"spec": {"unschedulable": true}}));
    }
    becomes(&cluster, COREDNS, 4);
    assert_eq!(scaler.get("/last-poll"), (200, String::new()));
    every_metric_is_documented(&scaler.get("/metrics").1);
    let events = cluster.read("/api/v1/namespaces/kube-system/events");
    let of = |event: &&Value| event["reason"] == "ScaledWithCluster" && event["involvedObject"]["name"] == "coredns";
    let scaled: Vec<&Value> = events["items"].as_array().expect("items").iter().filter(of).collect();
    assert!(
        scaled.iter().any(|event| event["message"].as_str().is_some_and(|text| text.contains("from 3 to"))),
        "{scaled:?}"
    );
    assert_eq!(scaled[0]["involvedObject"]["uid"], cluster.read(COREDNS)["metadata"]["uid"]);
}

/// And the other way round.
fn every_metric_is_documented(metrics: &str) {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/autoscaler.md")).expect("the page");
    let names = |text: &str| {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.filter(|word| word.starts_with("seamark_autoscaler_")).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(names(metrics), names(&page));
}

#[test]
#[ignore = "make e2e"]
fn a_bad_text_a_missing_target_and_default_parameters() {
    let (cluster, kubeconfig) = cluster(1);
    cluster.create_all("/api/v1/nodes", &nodes(0..33));
    let targets = "--target=deployment/nobody,deployment/coredns";
    let defaults = format!("--default-params={{\"linear\":{KUBESPRAY}}}");
    let flags =
        [targets, &defaults, "--lease-name=dns-autoscaler", "--poll-period-seconds=1", "--scale-down-window-seconds=1"];
    let scaler = Autoscaler::start(&kubeconfig, &flags);
    becomes(&cluster, COREDNS, 3);
    assert_eq!(cluster.read(CONFIG)["data"]["linear"], KUBESPRAY);
    eventually("the missing one is named", PATIENCE, || {
        let (code, text) = scaler.get("/last-poll");
        code == 500 && text.contains("deployments.apps/scale `nobody` in namespace kube-system: it does not exist")
    });
    // Deleted, it is made anew.
    cluster.delete(CONFIG);
    eventually("it is made anew", PATIENCE, || {
        cluster.request("GET", CONFIG, "application/json", None, "admin-token-for-tests").0 == 200
    });
    // A bad text changes nothing, and new nodes still count by the last good one.
    write_config(&cluster, "linear", "{\"coresPerReplica\": 256,\n \"nodesPerReplica\": \"16\"}");
    eventually("it is refused", PATIENCE, || scaler.metric("seamark_autoscaler_parameters_refused") == Some(1.));
    cluster.create_all("/api/v1/nodes", &nodes(33..65));
    becomes(&cluster, COREDNS, 5);
    let error = "linear:2:21: `nodesPerReplica`: expected a number, found the string \"16\"";
    assert!(scaler.get("/last-poll").1.contains(error), "{:?}", scaler.get("/last-poll"));
    assert!(scaler.log().contains(error));
    let events = cluster.read("/api/v1/namespaces/kube-system/events").to_string();
    assert!(events.contains("ParametersRefused") && events.contains("linear:2:21"), "{events}");
    // Put right, all is well, but for the target that is not there. When it comes, it is scaled.
    write_config(&cluster, "linear", KUBESPRAY);
    eventually("it is taken", PATIENCE, || scaler.metric("seamark_autoscaler_parameters_refused") == Some(0.));
    cluster.apply(&mk_scalable("Deployment", "apps/v1", "nobody", 1));
    becomes(&cluster, "/apis/apps/v1/namespaces/kube-system/deployments/nobody", 5);
    eventually("all is well", PATIENCE, || scaler.get("/last-poll").0 == 200);
}

#[test]
#[ignore = "make e2e"]
fn fewer_replicas_wait_for_the_window_and_for_the_nodes_to_be_well() {
    let (cluster, kubeconfig) = cluster(1);
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 2}"#);
    cluster.create_all("/api/v1/nodes", &nodes(0..20));
    let flags = ["--target=deployment/coredns", "--lease-name=dns-autoscaler", "--poll-period-seconds=1"];
    let scaler = Autoscaler::start(&kubeconfig, &[&flags[..], &["--scale-down-window-seconds=6"]].concat());
    becomes(&cluster, COREDNS, 10);
    pause(7000);
    // A few nodes go: not before the window is over.
    for number in 16..20 {
        cluster.delete(&format!("/api/v1/nodes/node-{number}"));
    }
    let gone = Instant::now();
    becomes(&cluster, COREDNS, 8);
    assert!(gone.elapsed() > Duration::from_millis(4500), "after {:?}", gone.elapsed());
    assert!(scaler.log().contains("keeps 10 replicas, 8 would do"), "{}", scaler.log());
    // Half of the nodes are lost: nothing happens, however long that takes.
    let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
    for number in 0..8 {
        cluster.merge(&format!("/api/v1/nodes/node-{number}/status"), &unready);
    }
    pause(9000);
    assert_eq!(replicas(&cluster, COREDNS), 8);
    assert_eq!(scaler.metric("seamark_autoscaler_replicas_wanted"), Some(4.));
    let held = "seamark_autoscaler_scale_down_held{target=\"kube-system/deployment/coredns\"}";
    assert_eq!(scaler.metric(held), Some(1.));
    // The line may have been written before the last of them was lost.
    assert!(scaler.log().contains("of 16 nodes are not Ready"), "{}", scaler.log());
    // They are taken out of the cluster: now it is true.
    (0..8).for_each(|number| cluster.delete(&format!("/api/v1/nodes/node-{number}")));
    becomes(&cluster, COREDNS, 4);
}

#[test]
#[ignore = "make e2e"]
fn of_two_copies_one_writes_and_the_other_takes_over() {
    let (cluster, kubeconfig) = cluster(1);
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 2}"#);
    cluster.create_all("/api/v1/nodes", &nodes(0..10));
    let flags = ["--target=deployment/coredns", "--lease-name=dns-autoscaler", "--poll-period-seconds=1"];
    let mut one = Autoscaler::start(&kubeconfig, &flags);
    becomes(&cluster, COREDNS, 5);
    let two = Autoscaler::start(&kubeconfig, &flags);
    eventually("two stands by", PATIENCE, || two.log().contains("is the one that scales; this copy stands by"));
    assert_eq!(two.metric("seamark_autoscaler_leader"), Some(0.));
    assert_eq!(one.metric("seamark_autoscaler_leader"), Some(1.));
    cluster.create_all("/api/v1/nodes", &nodes(10..20));
    becomes(&cluster, COREDNS, 10);
    eventually("two knows, too", PATIENCE, || two.metric("seamark_autoscaler_replicas_wanted") == Some(10.));
    let written = "seamark_autoscaler_scalings_total{direction=\"up\",target=\"kube-system/deployment/coredns\"}";
    // The new nodes may have come in two parts.
    assert!(one.metric(written) >= Some(2.) && two.metric(written).is_none());
    // Asked to end, it gives the Lease up.
    one.signal("TERM");
    assert_eq!(one.wait(PATIENCE).and_then(|status| status.code()), Some(0));
    eventually("two leads", PATIENCE, || two.metric("seamark_autoscaler_leader") == Some(1.));
    cluster.create_all("/api/v1/nodes", &nodes(20..30));
    becomes(&cluster, COREDNS, 15);
    let lease = cluster.read("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/dns-autoscaler");
    assert_eq!(lease["spec"]["leaseTransitions"], 1, "{lease}");
}

/// Killed, it cannot give the Lease up; deleted, the Lease is made anew; where it is required and forbidden, nothing is
/// written and that is told.
#[test]
#[ignore = "make e2e"]
fn a_lease_that_is_left_behind_deleted_or_forbidden() {
    let (cluster, kubeconfig) = cluster(1);
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 2}"#);
    cluster.create_all("/api/v1/nodes", &nodes(0..10));
    let flags = ["--target=deployment/coredns", "--lease-name=dns-autoscaler", "--poll-period-seconds=1"];
    let mut one = Autoscaler::start(&kubeconfig, &flags);
    becomes(&cluster, COREDNS, 5);
    let two = Autoscaler::start(&kubeconfig, &flags);
    eventually("two stands by", PATIENCE, || two.log().contains("this copy stands by"));
    _ = one.child.kill();
    _ = one.child.wait();
    let start = Instant::now();
    cluster.create_all("/api/v1/nodes", &nodes(10..20));
    eventually("two takes over", Duration::from_secs(60), || replicas(&cluster, COREDNS) == 10);
    println!("taken over after {:?}", start.elapsed());
    assert!(start.elapsed() > Duration::from_secs(20), "not before the Lease has run out");
    cluster.delete("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/dns-autoscaler");
    cluster.create_all("/api/v1/nodes", &nodes(20..30));
    becomes(&cluster, COREDNS, 15);
    eventually("it is made anew", PATIENCE, || {
        let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/dns-autoscaler";
        cluster.request("GET", lease, "application/json", None, "admin-token-for-tests").0 == 200
    });
    assert_eq!(two.metric("seamark_autoscaler_leader"), Some(1.));
    drop(two);
    let required =
        ["--target=deployment/coredns", "--lease-name=another", "--leader-elect=true", "--poll-period-seconds=1"];
    let three = Autoscaler::start(&kubeconfig, &required);
    eventually("it says what is missing", PATIENCE, || {
        let (code, text) = three.get("/last-poll");
        code == 500 && text.contains("forbidden to get leases.coordination.k8s.io `another` in namespace kube-system")
    });
    cluster.create_all("/api/v1/nodes", &nodes(30..40));
    pause(3000);
    assert_eq!(replicas(&cluster, COREDNS), 15);
}

/// With the default period a new node is not waited for.
#[test]
#[ignore = "make e2e"]
fn changes_are_seen_at_once() {
    let (cluster, kubeconfig) = cluster(1);
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 2}"#);
    cluster.create_all("/api/v1/nodes", &nodes(0..10));
    let _scaler = Autoscaler::start(&kubeconfig, &["--target=deployment/coredns", "--lease-name=dns-autoscaler"]);
    becomes(&cluster, COREDNS, 5);
    pause(1500);
    for (what, change, expected) in [
        ("nodes", &(|| cluster.create_all("/api/v1/nodes", &nodes(10..20))) as &dyn Fn(), 10),
        ("parameters", &|| write_config(&cluster, "linear", r#"{"nodesPerReplica": 1}"#), 20),
        ("a target", &|| cluster.merge(COREDNS, &json!({"spec": {"replicas": 3}})), 20),
    ] {
        let start = Instant::now();
        change();
        becomes(&cluster, COREDNS, expected);
        println!("{what}: seen after {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(4), "{what}: {:?}", start.elapsed());
    }
}

/// As a Deployment of its own, and as a container beside cluster DNS with its ServiceAccount.
#[test]
#[ignore = "make e2e"]
fn both_ways_of_the_manifest_are_taken_by_the_api_server() {
    let cluster = ApiServer::start();
    cluster.apply(&deploy("autoscaler.yaml"));
    cluster.apply(&deploy("rbac.yaml"));
    let text = deploy("cluster-dns.yaml");
    let objects = serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).expect("YAML"));
    let mut dns = objects.into_iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let containers = dns["spec"]["template"]["spec"]["containers"].as_array_mut().expect("containers");
    containers.push(sidecar()["containers"][0].clone());
    cluster.apply(&dns.to_string());
    let taken = cluster.read(COREDNS);
    assert_eq!(taken["spec"]["template"]["spec"]["containers"][1]["name"], "autoscaler");
    let own = cluster.read("/apis/apps/v1/namespaces/kube-system/deployments/dns-autoscaler");
    assert_eq!(own["spec"]["template"]["spec"]["serviceAccountName"], "dns-autoscaler");
}

#[test]
#[ignore = "make e2e"]
fn an_api_server_that_is_away_is_told_and_waited_for() {
    let (mut cluster, kubeconfig) = cluster(1);
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 2}"#);
    cluster.create_all("/api/v1/nodes", &nodes(0..10));
    let flags = ["--target=deployment/coredns", "--lease-name=dns-autoscaler", "--poll-period-seconds=1"];
    let mut scaler = Autoscaler::start(&kubeconfig, &flags);
    becomes(&cluster, COREDNS, 5);
    eventually("it is well", PATIENCE, || scaler.get("/last-poll").0 == 200);
    cluster.kill();
    eventually("it says so", PATIENCE, || {
        let (code, text) = scaler.get("/last-poll");
        code == 500 && text.contains("cannot")
    });
    assert_eq!(scaler.get("/healthz").0, 200);
    assert!(scaler.wait(Duration::from_secs(5)).is_none(), "it goes on");
    cluster.restart();
    cluster.create_all("/api/v1/nodes", &nodes(10..20));
    let start = Instant::now();
    eventually("it scales again", Duration::from_secs(60), || replicas(&cluster, COREDNS) == 10);
    println!("recovered {:?} after the API server", start.elapsed());
    eventually("it is well again", PATIENCE, || scaler.get("/last-poll").0 == 200);
}

/// The rights that the original has: no watch but that of nodes, no Lease, no Events, no create.
#[test]
#[ignore = "make e2e"]
fn the_rights_of_the_original_suffice() {
    let (cluster, kubeconfig) = cluster(1);
    let role = |rules: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: 'system:dns-autoscaler', namespace: kube-system}}\nrules: [{rules}]\n"
        )
    };
    let config = "{apiGroups: [''], resources: [configmaps], verbs: [get]}";
    let scale = "{apiGroups: [apps], resources: [deployments/scale], verbs: [get, update]}";
    cluster.apply(&role(&format!("{config}, {scale}")));
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 2}"#);
    cluster.create_all("/api/v1/nodes", &nodes(0..10));
    let flags = ["--target=deployment/coredns", "--poll-period-seconds=1", "--scale-down-window-seconds=0"];
    let scaler = Autoscaler::start(&kubeconfig, &flags);
    becomes(&cluster, COREDNS, 5);
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 5}"#);
    becomes(&cluster, COREDNS, 2);
    cluster.merge(COREDNS, &json!({"spec": {"replicas": 9}}));
    becomes(&cluster, COREDNS, 2);
    eventually("it is well", PATIENCE, || scaler.get("/last-poll").0 == 200);
    let log = scaler.log();
    for line in [
        "alone, without a Lease: forbidden to get leases",
        "configmaps are read at every poll",
        "no Event: forbidden to create events",
    ] {
        assert!(log.contains(line), "{line} is missing in\n{log}");
    }
    // One right less, and its absence is named.
    cluster.apply(&role(&format!("{config}, {}", scale.replace(", update", ""))));
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 1}"#);
    eventually("the verb is named", PATIENCE, || {
        let text = scaler.get("/last-poll").1;
        text.contains("forbidden to update deployments.apps/scale `coredns`")
            && text.contains("give the ServiceAccount `update`")
    });
    cluster.apply(&role(scale));
    eventually("the resource is named", PATIENCE, || {
        scaler.get("/last-poll").1.contains("forbidden to get configmaps `dns-autoscaler` in namespace kube-system")
    });
    drop(scaler);
    let nobody = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: 'system:dns-autoscaler'}\nrules: []\n";
    cluster.apply(nobody);
    let scaler = Autoscaler::start(&kubeconfig, &flags);
    eventually("nodes are named", PATIENCE, || {
        let (code, text) = scaler.get("/last-poll");
        code == 500 && text.contains("forbidden to watch nodes: give the ServiceAccount `watch` on nodes")
    });
}

/// Everything that has a scale subresource, in one autoscaler.
#[test]
#[ignore = "make e2e"]
fn other_kinds_and_custom_resources() {
    let (cluster, _) = cluster(1);
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let scale = json!({"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count"});
    let version = json!({"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
        "subresources": {"scale": scale, "status": {}}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "resolvers.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "resolvers", "kind": "Resolver"}, "versions": [version]}});
    cluster.apply(&definition.to_string());
    let resolver = "/apis/example.com/v1alpha1/namespaces/kube-system/resolvers/dns";
    let object = json!({"apiVersion": "example.com/v1alpha1", "kind": "Resolver",
        "metadata": {"name": "dns", "namespace": "kube-system"}, "spec": {"count": 1}});
    eventually("the kind is served", PATIENCE, || {
        let create = resolver.trim_end_matches("/dns");
        let code =
            cluster.request("POST", create, "application/json", Some(&object.to_string()), "admin-token-for-tests").0;
        code == 201 || code == 409
    });
    for (kind, version) in [("ReplicaSet", "apps/v1"), ("StatefulSet", "apps/v1"), ("ReplicationController", "v1")] {
        cluster.apply(&mk_scalable(kind, version, "other", 1));
    }
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 2}"#);
    cluster.create_all("/api/v1/nodes", &nodes(0..8));
    let targets = "--target=Deployment/CoreDNS, replicaset/other,statefulset/other,replicationcontroller/other,kube-system/resolvers.example.com/dns";
    let flags = [targets, "--poll-period-seconds=1", "--scale-down-window-seconds=0"];
    let scaler = Autoscaler::start(&cluster.kubeconfig(), &flags);
    becomes(&cluster, COREDNS, 4);
    for plural in ["replicasets", "statefulsets"] {
        becomes(&cluster, &format!("/apis/apps/v1/namespaces/kube-system/{plural}/other"), 4);
    }
    becomes(&cluster, "/api/v1/namespaces/kube-system/replicationcontrollers/other", 4);
    eventually("the custom resource", PATIENCE, || cluster.read(resolver)["spec"]["count"] == 4);
    cluster.merge(resolver, &json!({"spec": {"count": 1}}));
    eventually("the custom resource again", PATIENCE, || cluster.read(resolver)["spec"]["count"] == 4);
    assert_eq!(scaler.get("/last-poll").0, 200);
}

/// The loop of the original against a real server: no window, no Lease, no Events, parameters dropped.
#[test]
#[ignore = "make e2e"]
fn compat_does_as_the_original() {
    let (cluster, kubeconfig) = cluster(9);
    write_config(&cluster, "linear", r#"{"nodesPerReplica": 2}"#);
    cluster.create_all("/api/v1/nodes", &nodes(0..10));
    let flags = ["--compat", "--target=deployment/nobody,deployment/coredns", "--poll-period-seconds=1"];
    let scaler = Autoscaler::start(&kubeconfig, &flags);
    eventually("the first target fails", PATIENCE, || scaler.get("/last-poll").1.contains("`nobody`"));
    pause(2500);
    assert_eq!(replicas(&cluster, COREDNS), 9, "the second target is not reached");
    cluster.apply(&mk_scalable("Deployment", "apps/v1", "nobody", 1));
    becomes(&cluster, COREDNS, 5);
    write_config(&cluster, "linear", "{");
    eventually("it is refused", PATIENCE, || scaler.get("/last-poll").1.contains("linear:1:2"));
    cluster.create_all("/api/v1/nodes", &nodes(10..20));
    pause(2500);
    assert_eq!(replicas(&cluster, COREDNS), 5, "no parameters, no scaling");
    write_config(&cluster, "ladder", r#"{"nodesToReplicas": [[0, 0]]}"#);
    cluster.merge(CONFIG, &json!({"data": {"linear": null}}));
    becomes(&cluster, COREDNS, 0);
    let leases = cluster.read("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases").to_string();
    assert!(!leases.contains("autoscaler"), "{leases}");
    let events = cluster.read("/api/v1/namespaces/kube-system/events").to_string();
    assert!(!events.contains("seamark"), "{events}");
    drop(scaler);
    // Three failed polls and no more.
    cluster.delete(CONFIG);
    let start = Instant::now();
    let mut scaler = Autoscaler::start(&kubeconfig, &[&flags[..], &["--max-sync-failures=3"]].concat());
    assert_eq!(scaler.wait(PATIENCE).and_then(|status| status.code()), Some(1));
    assert!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(scaler.log().contains("3 polls have failed in a row"));
}

/// Memory with 5,000 nodes of the size that real ones have, and requests while nothing changes.
#[test]
#[ignore = "make e2e"]
fn five_thousand_nodes_in_little_memory_and_few_requests() {
    let (cluster, kubeconfig) = cluster(1);
    write_config(&cluster, "linear", KUBESPRAY);
    let images: Vec<Value> = (0..50)
        .map(|number| {
            let names = [
                format!("registry.example.com/some/team/some-service-{number}@sha256:{number:064}"),
                format!("registry.example.com/some/team/some-service-{number}:v1.2.3"),
            ];
            json!({"names": names, "sizeBytes": 123_456_789})
        })
        .collect();
    for hundred in 0..50 {
        let mut some = nodes(hundred * 100..(hundred + 1) * 100);
        some.iter_mut().for_each(|node| node["status"]["images"] = json!(images));
        cluster.create_all("/api/v1/nodes", &some);
    }
    let flags = ["--target=deployment/coredns", "--lease-name=dns-autoscaler", "--poll-period-seconds=2"];
    let scaler = Autoscaler::start(&kubeconfig, &flags);
    eventually("it scales", Duration::from_secs(60), || replicas(&cluster, COREDNS) == 313);
    eventually("it is well", PATIENCE, || scaler.get("/last-poll").0 == 200);
    pause(6000);
    let polls = || scaler.metric("seamark_autoscaler_polls_total{result=\"success\"}").unwrap_or(0.);
    let (requests, before) = (scaler.requests(), polls());
    pause(30_000);
    let (requests, polls) = (scaler.requests() - requests, polls() - before);
    let status = fs::read_to_string(format!("/proc/{}/status", scaler.child.id())).expect("a status");
    let memory = |name: &str| {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
        line.unwrap_or(u64::MAX)
    };
    let (now, peak, own) = (memory("VmRSS:"), memory("VmHWM:"), memory("RssAnon:"));
    println!(
        "5,000 nodes: {now} kB resident, {own} of them no file, {peak} kB at the most; {requests} requests in {polls} idle polls"
    );
    assert!(polls >= 12. && requests <= polls, "{requests} requests in {polls} polls");
    if is_as_released() {
        // More than half of it are pages of the program: `make order` if those have grown, or another linker than lld.
        assert!(now <= 8_192 && own <= 2_800, "{now} kB resident, {own} of them no file");
    }
}

/// The picture is what the script draws, and the table beside it is what the program says.
#[test]
fn the_documents_show_the_programs_numbers() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let output = Command::new("sh").arg(docs.join("autoscaler-svg.sh")).arg(program()).output();
    let drawn = String::from_utf8_lossy(&output.expect("the script").stdout).into_owned();
    let picture = fs::read_to_string(docs.join("autoscaler.svg")).expect("the picture");
    assert!(drawn == picture, "draw it anew: docs/autoscaler-svg.sh target/debug/seamark > docs/autoscaler.svg");
    let text = fs::read_to_string(docs.join("autoscaler.md")).expect("the page");
    let rows = text.lines().skip_while(|line| !line.starts_with("| nodes | 4 cores")).skip(2);
    let rows: Vec<Vec<&str>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 9);
    let params = format!(r#"{{"linear":{KUBESPRAY}}}"#);
    for row in &rows {
        let nodes: u32 = row[0].parse().expect("nodes");
        for (cores, replicas) in [4, 16, 32, 64].iter().zip(&row[1..]) {
            let output = explain(&["--params", &params, "--nodes", row[0], "--cores", &(nodes * cores).to_string()]);
            assert_eq!(last_line(&output), format!("replicas: {replicas}"), "{nodes} nodes, {cores} cores each");
        }
    }
    let steps = explain(&["--params", &params, "--nodes", "33", "--cores", "132"]);
    assert!(text.contains(String::from_utf8_lossy(&steps.stdout).as_ref()), "the example is another");
}
