use std::{collections::BTreeMap, fs, io, path::PathBuf, time::Instant};

use super::{KubeDns, Pillars, SetupErrors, config_map, names::Names, selftest, template::render};

/// Says what is wrong with a Corefile.
pub type Check = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Where the Corefile comes from.
pub struct Sources {
    /// The template, a file of a mounted ConfigMap.
    pub template: PathBuf,
    /// Directory of the mounted ConfigMap `kube-dns`.
    pub kube_dns: Option<PathBuf>,
}

/// Follows the template and the ConfigMap, and makes the Corefile. What is broken never takes the place of what works.
pub struct Renderer {
    sources: Sources,
    pillars: Pillars,
    check: Check,
    errors: SetupErrors,
    seen: Option<Seen>,
    kube_dns: KubeDns,
    names: Names,
    current: String,
}

/// What was read last, broken or not: it is told once, not at each look.
#[derive(PartialEq, Eq)]
struct Seen {
    template: Result<String, String>,
    kube_dns: Result<BTreeMap<String, String>, String>,
}

/// What a look at the files has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Nothing that matters has changed.
    Same,
    /// Another Corefile is to serve.
    New(String),
}

impl Renderer {
    /// Reads the files for the first time. A broken ConfigMap counts as absent and is followed all the same. Servers that
    /// it names are looked up later: nobody may be there to ask.
    ///
    /// # Errors
    /// The template makes no good Corefile: there is nothing to serve.
    pub fn start(
        sources: Sources,
        pillars: Pillars,
        check: Check,
        errors: SetupErrors,
    ) -> Result<(Self, String), String> {
        let (kube_dns, current) = (KubeDns::default(), String::new());
        let names = Names::of_the_node(&pillars);
        let mut renderer = Self { sources, pillars, check, errors, seen: None, kube_dns, names, current };
        let seen = renderer.read();
        let template = seen.template.clone()?;
        let kube_dns = renderer.usable(&seen.kube_dns).unwrap_or_default();
        let text = match renderer.compose(&template, &kube_dns) {
            Ok(text) => {
                renderer.kube_dns = kube_dns;
                text
            }
            Err(error) if kube_dns != KubeDns::default() => {
                let text = renderer.compose(&template, &KubeDns::default())?;
                renderer.complain(&format!("with the ConfigMap kube-dns the Corefile is wrong: {error}"));
                text
            }
            Err(error) => return Err(error),
        };
        renderer.seen = Some(seen);
        renderer.current.clone_from(&text);
        Ok((renderer, text))
    }

    /// Looks at the files again, and for the servers that they name. May wait for other name servers.
    pub fn look(&mut self) -> Look {
        let seen = self.read();
        let kube_dns = match self.seen.as_ref() == Some(&seen) {
            true => None,
            false => Some(self.usable(&seen.kube_dns).unwrap_or_else(|| self.kube_dns.clone())),
        };
        let (moved, unknown) = self.names.refresh(kube_dns.as_ref().unwrap_or(&self.kube_dns), Instant::now());
        for name in unknown {
            self.complain(&format!("ConfigMap kube-dns: stubDomains: nobody knows an address of `{name}`"));
        }
        if kube_dns.is_none() && !moved {
            return Look::Same;
        }
        let kube_dns = kube_dns.unwrap_or_else(|| self.kube_dns.clone());
        let composed = match &seen.template {
            Ok(template) => self.compose(template, &kube_dns).map(|text| (text, kube_dns)),
            Err(error) => Err(error.clone()),
        };
        self.seen = Some(seen);
        match composed {
            Ok((text, kube_dns)) => {
                self.kube_dns = kube_dns;
                if text == self.current {
                    return Look::Same;
                }
                self.current.clone_from(&text);
                Look::New(text)
            }
            Err(error) => {
                self.complain(&error);
                Look::Same
            }
        }
    }

    fn read(&self) -> Seen {
        let path = &self.sources.template;
        let template = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
        let kube_dns = self.sources.kube_dns.as_deref().map_or_else(|| Ok(BTreeMap::new()), config_map::read);
        Seen { template, kube_dns: kube_dns.map_err(|error: io::Error| error.to_string()) }
    }

    /// What the ConfigMap says, if it reads; complains otherwise.
    fn usable(&self, data: &Result<BTreeMap<String, String>, String>) -> Option<KubeDns> {
        let parsed = match data {
            Ok(data) => KubeDns::parse(data).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        match parsed {
            Ok(kube_dns) => {
                if kube_dns.federations {
                    tracing::warn!("ConfigMap kube-dns: federations are no part of Kubernetes any more: ignored");
                }
                Some(kube_dns)
            }
            Err(error) => {
                self.complain(&format!("ConfigMap kube-dns: {error}"));
                None
            }
        }
    }

    fn compose(&self, template: &str, kube_dns: &KubeDns) -> Result<String, String> {
        let mut text =
            render(template, &self.pillars, &self.names.filled(kube_dns)).map_err(|error| error.to_string())?;
        let tested = selftest::bound(&text, &self.pillars.local);
        text.push_str(&selftest::block(&tested, self.pillars.port));
        (self.check)(&text)?;
        Ok(text)
    }

    fn complain(&self, error: &str) {
        self.errors.config_map.inc();
        tracing::error!("configuration not taken over, the last good one goes on: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{metrics::Registry, node::LocalAddresses};

    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("seamark-renderer-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("kube-dns")).unwrap();
            Self(path)
        }
        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(name), text).unwrap();
        }
        fn start(&self) -> Result<(Renderer, String, SetupErrors), String> {
            let errors = SetupErrors::register(&Registry::new());
            let sources = Sources { template: self.0.join("base"), kube_dns: Some(self.0.join("kube-dns")) };
            let local = LocalAddresses::parse("169.254.20.53").unwrap();
            let pillars = Pillars { local, cluster_dns: None, domain: None, port: 53, stale: None };
            let check = |text: &str| if text.contains("bad") { Err("it is bad".to_owned()) } else { Ok(()) };
            let (renderer, text) = Renderer::start(sources, pillars, Box::new(check), errors.clone())?;
            Ok((renderer, text, errors))
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            fs::remove_dir_all(Path::new(&self.0)).unwrap();
        }
    }

    const UPSTREAMS: &str = "kube-dns/upstreamNameservers";

    #[test]
    fn a_broken_config_map_keeps_the_last_good_one_and_is_told_once() {
        let files = Files::new("follow");
        files.write("base", "forward . __PILLAR__UPSTREAM__SERVERS__");
        let (mut renderer, text, errors) = files.start().unwrap();
        assert_eq!(text, "forward . /etc/resolv.conf");
        assert_eq!(renderer.look(), Look::Same);
        for (file, text, expected, complaints) in [
            (UPSTREAMS, r#"["8.8.8.8"]"#, Look::New("forward . 8.8.8.8".to_owned()), 0),
            (UPSTREAMS, r#"["8.8.8.8""#, Look::Same, 1),
            (UPSTREAMS, r#"["8.8.8.8""#, Look::Same, 1),
            ("base", "proxy . __PILLAR__UPSTREAM__SERVERS__", Look::New("proxy . 8.8.8.8".to_owned()), 2),
            ("base", "bad", Look::Same, 4),
            ("base", "proxy . __PILLAR__UPSTREAM__SERVERS__", Look::Same, 5),
            (UPSTREAMS, "", Look::New("proxy . /etc/resolv.conf".to_owned()), 5),
        ] {
            files.write(file, text);
            assert_eq!((renderer.look(), errors.config_map.get()), (expected, complaints), "{file}: {text}");
        }
    }

    #[test]
    fn servers_with_names_are_no_condition_of_a_start() {
        let files = Files::new("names");
        files.write("base", "good");
        files.write("kube-dns/stubDomains", r#"{"a.example": ["ns.a.example"], "b.example": ["10.0.0.1"]}"#);
        let (mut renderer, text, errors) = files.start().unwrap();
        assert!(text.contains("b.example:53 {") && !text.contains("a.example"), "{text}");
        renderer.names =
            Names::new(Box::new(|name| if name == "ns.a.example" { vec![[10, 0, 0, 2].into()] } else { vec![] }));
        assert!(matches!(renderer.look(), Look::New(text) if text.contains("forward . 10.0.0.2:53")));
        assert_eq!((renderer.look(), errors.config_map.get()), (Look::Same, 0));
        files.write("kube-dns/stubDomains", r#"{"a.example": ["nowhere.example"]}"#);
        assert!(matches!(renderer.look(), Look::New(text) if text == "good"));
        assert_eq!((renderer.look(), errors.config_map.get()), (Look::Same, 1));
    }

    #[test]
    fn a_start_needs_a_good_template_and_can_do_without_the_config_map() {
        let files = Files::new("start");
        assert!(files.start().is_err_and(|error| error.contains("base: No such file")));
        files.write("base", "bad");
        assert!(files.start().is_err_and(|error| error == "it is bad"));
        files.write("base", "good");
        files.write("kube-dns/stubDomains", "nonsense");
        let (mut renderer, text, errors) = files.start().unwrap();
        assert_eq!((text.as_str(), errors.config_map.get()), ("good", 1));
        files.write("kube-dns/stubDomains", r#"{"bad.example": ["10.0.0.1"]}"#);
        assert_eq!((renderer.look(), errors.config_map.get()), (Look::Same, 2));
        files.write("kube-dns/stubDomains", r#"{"fine.example": ["10.0.0.1"]}"#);
        assert!(matches!(renderer.look(), Look::New(text) if text.contains("fine.example:53 {")));
    }
}
