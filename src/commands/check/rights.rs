//! What the API server must let the service account read, and whether the roles beside a Corefile do.

use super::report::Finding;
use crate::{
    commands::picture::{Part, Picture},
    kubernetes::rights::{Grant, grants},
};

/// API group and resource.
type Kind = (&'static str, &'static str);

const VERBS: [&str; 2] = ["list", "watch"];

/// What a directive lists and watches.
pub(super) fn needed(part: &Part<'_>) -> Option<Vec<Kind>> {
    let has = |word: &str, arg: Option<&str>| {
        let mut lines = part.lines().filter(|line| line.word.text == word);
        lines.any(|line| arg.is_none_or(|arg| line.args.iter().any(|word| word.text == arg)))
    };
    match part.name() {
        "autopath" if part.words().last()?.text == "@node" => Some(vec![("", "pods")]),
        "kubernetes" if !has("manifests", None) => {
            let mut kinds = vec![("", "namespaces"), ("", "services")];
            if !has("noendpoints", None) {
                kinds.push(("discovery.k8s.io", "endpointslices.discovery.k8s.io"));
            }
            if has("pods", Some("verified")) {
                kinds.push(("", "pods"));
            }
            if has("multicluster", None) {
                kinds.push(("multicluster.x-k8s.io", "serviceimports.multicluster.x-k8s.io"));
            }
            Some(kinds)
        }
        _ => None,
    }
}

/// What is needed and not granted by the ClusterRoles among these YAML texts. Without a role that reads services or pods
/// there is nothing to compare with.
pub(super) fn missing(pictures: &[Picture<'_>], manifests: &[String]) -> Vec<Finding> {
    let granted: Vec<Grant> = manifests.iter().flat_map(|text| grants(text)).collect();
    let is_of_dns = granted.iter().any(|grant| ["services", "pods"].iter().any(|kind| grant.allows("", kind, "list")));
    if !is_of_dns {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for part in pictures.iter().flat_map(|picture| &picture.chain) {
        for (group, kind) in needed(part).unwrap_or_default() {
            let resource = kind.split('.').next().unwrap_or(kind);
            let lacks = |verb: &&str| !granted.iter().any(|grant| grant.allows(group, resource, verb));
            let verbs: Vec<&str> = VERBS.into_iter().filter(|verb| lacks(verb)).collect();
            if !verbs.is_empty() {
                let text = format!("no ClusterRole here lets anybody {} {kind}", verbs.join(" and "));
                findings.push(Finding::warning(&part.stanza.name, text));
            }
        }
    }
    findings
}
