//! What is scaled: `deployment/coredns`, `shop/statefulset/db`, `rollouts.argoproj.io/web`.

use std::fmt;

/// The kinds that have a short name: name, group, version, plural, kind.
const KINDS: &[(&str, &str, &str, &str, &str)] = &[
    ("deployment", "apps", "v1", "deployments", "Deployment"),
    ("replicaset", "apps", "v1", "replicasets", "ReplicaSet"),
    ("replicationcontroller", "", "v1", "replicationcontrollers", "ReplicationController"),
    // The original refuses it, though it has the scale subresource.
    ("statefulset", "apps", "v1", "statefulsets", "StatefulSet"),
];

/// One thing to scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its namespace.
    pub namespace: String,
    /// What it is.
    pub resource: Resource,
    /// Its name.
    pub name: String,
}

/// A kind of thing that has the scale subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core.
    pub group: String,
    /// Version; empty if the API server is to be asked for the one that it prefers.
    pub version: String,
    /// Plural name.
    pub plural: String,
    /// Kind; empty if the API server is to be asked.
    pub kind: String,
}

impl Target {
    /// Where it is found.
    pub fn path(&self) -> String {
        let Resource { group, version, plural, .. } = &self.resource;
        let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        format!("{root}/namespaces/{}/{plural}/{}", self.namespace, self.name)
    }

    /// The resource with its group, as RBAC and error messages have it.
    pub fn resource_name(&self) -> String {
        let Resource { group, plural, .. } = &self.resource;
        if group.is_empty() { plural.clone() } else { format!("{plural}.{group}") }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resource { kind, plural, .. } = &self.resource;
        let kind = if kind.is_empty() { plural.clone() } else { kind.to_lowercase() };
        write!(f, "{}/{kind}/{}", self.namespace, self.name)
    }
}

/// Reads `--target`: a list with commas. `compat` takes what the original takes and no more.
///
/// # Errors
/// What is wrong with the first target that is none.
pub fn read(text: &str, namespace: &str, compat: bool) -> Result<Vec<Target>, String> {
    text.to_lowercase().split(',').map(|one| read_one(one.trim(), namespace, compat)).collect()
}

fn read_one(text: &str, namespace: &str, compat: bool) -> Result<Target, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (namespace, kind, name) = match parts.as_slice() {
        [kind, name] => (namespace, *kind, *name),
        [namespace, kind, name] if !compat => (*namespace, *kind, *name),
        _ => {
            return Err(format!(
                "target `{text}`: expected KIND/NAME{}",
                if compat { "" } else { " or NAMESPACE/KIND/NAME" }
            ));
        }
    };
    let resource = resource(kind, compat).map_err(|problem| format!("target `{text}`: {problem}"))?;
    let is_name = |name: &str| {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let inside = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        inside && ends(name.chars().next()) && ends(name.chars().last())
    };
    for (what, word) in [("namespace", namespace), ("name", name)] {
        if !compat && !is_name(word) {
            return Err(format!("target `{text}`: `{word}` is no {what} of Kubernetes"));
        }
    }
    Ok(Target { namespace: namespace.to_owned(), resource, name: name.to_owned() })
}

fn resource(word: &str, compat: bool) -> Result<Resource, String> {
    let known = KINDS.iter().find(|(name, ..)| *name == word && !(compat && *name == "statefulset"));
    if let Some((_, group, version, plural, kind)) = known {
        let [group, version, plural, kind] = [group, version, plural, kind].map(|word| (*word).to_owned());
        return Ok(Resource { group, version, plural, kind });
    }
    if ["daemonset", "daemonsets", "daemonsets.apps", "daemonsets.v1.apps"].contains(&word) {
        return Err("a DaemonSet has one pod on each node and no number of replicas".to_owned());
    }
    match word.split_once('.') {
        Some((plural, rest)) if !compat && !plural.is_empty() && !rest.is_empty() => {
            let (version, group) = match rest.split_once('.') {
                Some((version, group)) if is_version(version) => (version, group),
                _ => ("", rest),
            };
            let [group, version, plural] = [group, version, plural].map(str::to_owned);
            Ok(Resource { group, version, plural, kind: String::new() })
        }
        _ => {
            let names: Vec<&str> =
                KINDS.iter().map(|(name, ..)| *name).filter(|name| !(compat && *name == "statefulset")).collect();
            let more = if compat { "" } else { ", or RESOURCE.GROUP such as `rollouts.argoproj.io`" };
            Err(format!("unknown kind `{word}`: expected {}{more}", names.join(", ")))
        }
    }
}

/// `v1`, `v2beta3`: what Kubernetes calls a version.
fn is_version(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('v') else { return false };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let after = rest.strip_prefix("alpha").or_else(|| rest.strip_prefix("beta")).unwrap_or(rest);
    text.len() > 1 && text.as_bytes()[1].is_ascii_digit() && after.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str, compat: bool) -> Result<Vec<String>, String> {
        read(text, "kube-system", compat).map(|targets| targets.iter().map(Target::path).collect())
    }

    /// The original's own table.
    #[test]
    fn kinds_of_the_original_in_any_case_and_as_a_list() {
        let deployment = "/apis/apps/v1/namespaces/kube-system/deployments/anything";
        let controller = "/api/v1/namespaces/kube-system/replicationcontrollers/anything";
        let set = "/apis/apps/v1/namespaces/kube-system/replicasets/anything";
        for compat in [false, true] {
            for (text, expected) in [
                ("deployment/anything", vec![deployment]),
                ("replicationcontroller/anything", vec![controller]),
                ("replicaset/anything", vec![set]),
                ("DeplOymEnT/AnyThing", vec![deployment]),
                (
                    "deployment/anything, replicaset/anything ,replicationcontroller/anything",
                    vec![deployment, set, controller],
                ),
            ] {
                assert_eq!(paths(text, compat).unwrap(), expected, "{text}");
            }
            for text in [
                "deployments/anything",
                "noexist/anything",
                "deployment",
                "",
                "deployment/a,",
                "replicaset/a/b",
                "deployment/a deployment/b",
                "/a",
            ] {
                assert!(paths(text, compat).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn what_the_original_does_not_take() {
        for (text, path) in [
            ("statefulset/db", "/apis/apps/v1/namespaces/kube-system/statefulsets/db"),
            ("shop/deployment/web", "/apis/apps/v1/namespaces/shop/deployments/web"),
            ("rollouts.v1alpha1.argoproj.io/web", "/apis/argoproj.io/v1alpha1/namespaces/kube-system/rollouts/web"),
            ("rollouts.argoproj.io/web", "/apis/argoproj.io//namespaces/kube-system/rollouts/web"),
        ] {
            assert_eq!(paths(text, false).unwrap(), [path], "{text}");
            assert!(paths(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_say_what_is_expected() {
        for (text, compat, error) in [
            (
                "pod/x",
                true,
                "target `pod/x`: unknown kind `pod`: expected deployment, replicaset, replicationcontroller",
            ),
            (
                "daemonset/x",
                false,
                "target `daemonset/x`: a DaemonSet has one pod on each node and no number of replicas",
            ),
            ("deployment/", false, "target `deployment/`: `` is no name of Kubernetes"),
            ("deployment", false, "target `deployment`: expected KIND/NAME or NAMESPACE/KIND/NAME"),
        ] {
            assert_eq!(paths(text, compat), Err(error.to_owned()));
        }
        // The original notices an empty name only when it asks for it.
        assert!(paths("deployment/", true).is_ok());
    }
}
