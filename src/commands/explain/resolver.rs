//! Which names a client's resolver asks for a name that a program wants, and in which order. Pure.

use std::fmt;

use crate::{upstream::resolv_conf::search_list, wire::Name};

/// What kubelets write into the resolv.conf of pods.
const NDOTS_OF_PODS: usize = 5;

/// A resolv.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolver {
    pub(super) search: Vec<Name>,
    /// A name with fewer dots goes through the list first.
    pub(super) ndots: usize,
}

impl Resolver {
    /// That of a pod (`dnsPolicy: ClusterFirst`), without what its node has in its own list.
    pub(super) fn of_pod(namespace: &str, zone: &Name) -> Result<Self, String> {
        let below = |text: &str| {
            let labels = text.split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
            Name::under(labels, zone).map_err(|error| format!("namespace `{namespace}`: {error}"))
        };
        let search = vec![below(&format!("{namespace}.svc"))?, below("svc")?, *zone];
        Ok(Self { search, ndots: NDOTS_OF_PODS })
    }

    /// That of a file; without `ndots` it is 1, and it is 15 at most, as glibc has it.
    pub(super) fn read(text: &str) -> Self {
        let options = text.lines().filter_map(|line| line.trim().strip_prefix("options"));
        let mut ndots =
            options.flat_map(str::split_whitespace).filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
        Self { search: search_list(text), ndots: ndots.next_back().unwrap_or(1).min(15) }
    }

    /// How a name is tried.
    pub(super) fn way(&self, wanted: &str) -> Way {
        let dots = wanted.matches('.').count();
        if wanted.ends_with('.') {
            Way::Absolute
        } else if dots >= self.ndots {
            Way::ListLast { dots }
        } else {
            Way::ListFirst { dots }
        }
    }

    /// The names in the order in which they are asked, until one exists.
    pub(super) fn names(&self, wanted: &str) -> Result<Vec<Name>, String> {
        let own = Name::parse(wanted).map_err(|error| format!("`{wanted}`: {error}"))?;
        // A name that grows too long is left out.
        let listed = self.search.iter().filter_map(|tail| Name::under(own.labels(), tail).ok());
        Ok(match self.way(wanted) {
            Way::Absolute => vec![own],
            Way::ListFirst { .. } => listed.chain([own]).collect(),
            Way::ListLast { .. } => std::iter::once(own).chain(listed).collect(),
        })
    }
}

/// How a name is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As it is, and no other way: it ends with a dot.
    Absolute,
    /// Through the list, and then as it is.
    ListFirst { dots: usize },
    /// As it is, and then through the list.
    ListLast { dots: usize },
}

impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("search")?;
        self.search.iter().try_for_each(|name| write!(f, " {name}"))?;
        write!(f, "; ndots:{}", self.ndots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_decide_which_names_come_first() {
        let pod = Resolver::of_pod("shop", &Name::parse("cluster.local").unwrap()).unwrap();
        let host = Resolver::read("nameserver 10.96.0.10\nsearch a.test b.test\noptions timeout:2 ndots:2\n");
        let plain = Resolver::read("nameserver 10.96.0.10\n");
        for (resolver, wanted, names) in [
            (&pod, "api", "api.shop.svc.cluster.local. api.svc.cluster.local. api.cluster.local. api."),
            (
                &pod,
                "www.example.org",
                "www.example.org.shop.svc.cluster.local. www.example.org.svc.cluster.local. \
                 www.example.org.cluster.local. www.example.org.",
            ),
            (&pod, "www.example.org.", "www.example.org."),
            (
                &pod,
                "a.b.c.d.e.f",
                "a.b.c.d.e.f. a.b.c.d.e.f.shop.svc.cluster.local. a.b.c.d.e.f.svc.cluster.local. a.b.c.d.e.f.cluster.local.",
            ),
            (&host, "a.b", "a.b.a.test. a.b.b.test. a.b."),
            (&host, "a.b.c", "a.b.c. a.b.c.a.test. a.b.c.b.test."),
            (&plain, "a", "a."),
        ] {
            let found: Vec<String> = resolver.names(wanted).unwrap().iter().map(Name::to_string).collect();
            assert_eq!(found.join(" "), names, "{wanted}");
        }
        assert_eq!(host.to_string(), "search a.test. b.test.; ndots:2");
        assert!(pod.names("a..b").is_err());
    }
}
