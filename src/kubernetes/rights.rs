//! What roles in YAML allow (RBAC), for those who look at manifests before they are applied.

use serde::Deserialize;

/// A rule of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Grant {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Role {
    kind: String,
    rules: Vec<Grant>,
    /// Of a `List`.
    items: Vec<Self>,
}

impl Grant {
    /// Whether it allows a verb for a resource of a group.
    pub fn allows(&self, group: &str, resource: &str, verb: &str) -> bool {
        let has = |words: &[String], word: &str| words.iter().any(|known| known == "*" || known == word);
        has(&self.api_groups, group) && has(&self.resources, resource) && has(&self.verbs, verb)
    }
}

/// The rules of all ClusterRoles and Roles of a YAML text. What is no YAML, or something else, has none.
pub fn grants(text: &str) -> Vec<Grant> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let roles = documents.map_while(|document| Option::<Role>::deserialize(document).ok()).flatten();
    roles.flat_map(Role::grants).collect()
}

impl Role {
    fn grants(self) -> Vec<Grant> {
        let items = self.items.into_iter().flat_map(Self::grants);
        let is_role = self.kind == "ClusterRole" || self.kind == "Role";
        self.rules.into_iter().filter(|_| is_role).chain(items).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_say_what_is_allowed() {
        let text = "kind: ServiceAccount\n---\nkind: List\nitems:\n- kind: ClusterRole\n  rules:\n  - apiGroups: ['']\n    \
                    resources: [services, pods]\n    verbs: [list, watch]\n---\n# nothing\n---\nkind: Role\nrules:\n- \
                    apiGroups: ['*']\n  resources: ['*']\n  verbs: [get]\n";
        let granted = grants(text);
        for (group, resource, verb, allowed) in [
            ("", "services", "watch", true),
            ("", "namespaces", "watch", false),
            ("discovery.k8s.io", "services", "list", false),
            ("discovery.k8s.io", "endpointslices", "get", true),
        ] {
            let found = granted.iter().any(|grant| grant.allows(group, resource, verb));
            assert_eq!(found, allowed, "{verb} {resource} of {group:?}");
        }
        assert_eq!(grants("kind: [\n"), []);
    }
}
