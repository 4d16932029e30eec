//! Search lists answered on the node: `autopath @node` against a real API server. Run by `make e2e`.

use std::{path::Path, time::Duration};

use crate::{
    live::examples,
    support::{
        apiserver::ApiServer,
        dig::Reply,
        server::{Server, eventually, free_port, metric, pause},
        upstream::Upstream,
    },
};

/// Pods of this node and of another one, known by loopback addresses that `dig -b` asks from.
const PODS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: one}
---
apiVersion: v1
kind: Namespace
metadata: {name: two}
---
apiVersion: v1
kind: Pod
metadata: {name: here, namespace: one}
spec: {nodeName: this, containers: [{name: a, image: a}]}
status: {phase: Running, podIP: 127.0.0.2, podIPs: [{ip: 127.0.0.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: elsewhere, namespace: two}
spec: {nodeName: other, containers: [{name: a, image: a}]}
status: {phase: Running, podIP: 127.0.0.3, podIPs: [{ip: 127.0.0.3}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: node-local-dns, namespace: kube-system}
";

struct Node {
    cache: Server,
    metrics: u16,
    /// The cluster's DNS.
    _cluster: Server,
    upstream: Upstream,
}

impl Node {
    fn start(kubeconfig: &Path) -> Self {
        let (metrics, upstream) = (free_port(), Upstream::start());
        let cluster = Server::start(&format!(
            ".:{{port}} {{\n kubernetes cluster.local {{\n manifests {}\n }}\n}}\n",
            examples().display()
        ));
        let corefile = format!(
            "cluster.local:{{port}} {{
    errors
    prometheus 127.0.0.1:{metrics}
    autopath @node {{
        kubeconfig {}
    }}
    cache 30
    forward . 127.0.0.1:{} {{
        force_tcp
    }}
}}
.:{{port}} {{
    cache 30
    forward . {}
}}
",
            kubeconfig.display(),
            cluster.port,
            upstream.address
        );
        let program = Path::new(env!("CARGO_BIN_EXE_seamark"));
        let cache = Server::start_in(program, &corefile, &[("NODE_NAME", "this")]);
        Self { cache, metrics, _cluster: cluster, upstream }
    }

    /// Asks as the pod with this address.
    fn ask(&self, pod: &str, question: &str) -> Reply {
        self.cache.ask(&format!("-b {pod} {question}"))
    }

    fn known(&self) -> f64 {
        metric(self.metrics, "seamark_autopath_pods_known{node=\"this\"}")
    }

    fn eventually_walks_for(&self, pod: &str, question: &str, walks: bool) {
        let expected = if walks { "NOERROR" } else { "NXDOMAIN" };
        eventually(&format!("{question} from {pod} is {expected}"), Duration::from_secs(20), || {
            self.ask(pod, question).status == expected
        });
    }
}

#[test]
#[ignore = "make e2e"]
fn one_question_of_a_pod_has_the_final_answer() {
    let cluster = ApiServer::start();
    cluster.apply(PODS);
    let node = Node::start(&cluster.kubeconfig());
    node.eventually_walks_for("127.0.0.2", "ok.test.one.svc.cluster.local. A", true);
    let before = node.upstream.asked();
    // Only `ok.test.` and no name of the cluster goes into the world, and only once: then the cache has it.
    for (question, answer) in [
        ("ok.second.test.one.svc.cluster.local. A", "ok.second.test."),
        ("ok.second.test.one.svc.cluster.local. A", "ok.second.test."),
        ("api.shop.one.svc.cluster.local. A", "api.shop.svc.cluster.local."),
    ] {
        let reply = node.ask("127.0.0.2", question);
        let owner = question.split(' ').next().unwrap_or_default();
        assert_eq!(reply.status, "NOERROR", "{}", reply.text);
        assert!(reply.answer[0].starts_with(owner) && reply.answer[0].ends_with(&format!("CNAME {answer}")));
        assert!(reply.answer[1].starts_with(answer), "{}", reply.text);
    }
    assert_eq!(node.upstream.asked() - before, 1);
    // Somebody who is no pod, a pod of another node, and a pod with another namespace's list.
    for (pod, question) in [
        ("127.0.0.1", "ok.test.one.svc.cluster.local. A"),
        ("127.0.0.3", "ok.test.two.svc.cluster.local. A"),
        ("127.0.0.2", "ok.test.two.svc.cluster.local. A"),
    ] {
        assert_eq!(node.ask(pod, question).status, "NXDOMAIN", "{question} from {pod}");
    }
    assert!(metric(node.metrics, "coredns_autopath_success_total") >= 4.0);

    // The address goes to a pod of another namespace.
    cluster.apply(&PODS.replace("phase: Running, podIP: 127.0.0.2", "phase: Succeeded, podIP: 127.0.0.2"));
    node.eventually_walks_for("127.0.0.2", "ok.test.one.svc.cluster.local. A", false);
    cluster.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: next, namespace: two}\n\
         spec: {nodeName: this, containers: [{name: a, image: a}]}\n\
         status: {phase: Running, podIP: 127.0.0.2, podIPs: [{ip: 127.0.0.2}]}\n",
    );
    node.eventually_walks_for("127.0.0.2", "ok.test.two.svc.cluster.local. A", true);
    assert_eq!(node.ask("127.0.0.2", "ok.test.one.svc.cluster.local. A").status, "NXDOMAIN");
}

#[test]
#[ignore = "make e2e"]
fn without_the_api_server_pods_walk_themselves() {
    let mut cluster = ApiServer::start();
    cluster.apply(PODS);
    let node = Node::start(&cluster.kubeconfig());
    node.eventually_walks_for("127.0.0.2", "ok.test.one.svc.cluster.local. A", true);
    assert_eq!(node.known(), 1.0);

    cluster.kill();
    node.eventually_walks_for("127.0.0.2", "ok.test.one.svc.cluster.local. A", false);
    assert_eq!(node.known(), 0.0);
    for name in ["ok.test.svc.cluster.local.", "ok.test.cluster.local."] {
        assert_eq!(node.ask("127.0.0.2", &format!("{name} A")).status, "NXDOMAIN");
    }
    assert_eq!(node.ask("127.0.0.2", "ok.test. A").status, "NOERROR");
    pause(4000);
    let told = |words: &str| node.cache.log().matches(words).count();
    assert_eq!(told("the pods of node this are not known now"), 1, "{}", node.cache.log());

    cluster.restart();
    node.eventually_walks_for("127.0.0.2", "ok.test.one.svc.cluster.local. A", true);
    assert_eq!(node.known(), 1.0);
    eventually("told", Duration::from_secs(5), || told("the pods of node this are known again") == 1);
}

#[test]
#[ignore = "make e2e"]
fn the_rights_of_the_file_suffice_and_without_them_names_resolve() {
    let cluster = ApiServer::start();
    cluster.apply(PODS);
    let token = cluster.token("kube-system", "node-local-dns");
    let node = Node::start(&cluster.kubeconfig_with(&token));
    eventually("the log", Duration::from_secs(10), || {
        node.cache.log().contains("give the ServiceAccount `list` and `watch` on pods")
    });
    assert_eq!(node.ask("127.0.0.2", "ok.test.one.svc.cluster.local. A").status, "NXDOMAIN");
    assert_eq!(node.ask("127.0.0.2", "ok.test. A").status, "NOERROR");
    let rights = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/node-autopath-rbac.yaml");
    cluster.apply(&std::fs::read_to_string(rights).expect("the file"));
    node.eventually_walks_for("127.0.0.2", "ok.test.one.svc.cluster.local. A", true);
    for path in ["/api/v1/services", "/api/v1/secrets", "/api/v1/nodes"] {
        assert_eq!(cluster.request("GET", path, "application/json", None, &token).0, 403, "{path}");
    }
}
