use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rustls::{ALL_VERSIONS, RootCertStore, ServerConfig, crypto::ring, version::TLS13};
use sha2::{Digest as _, Sha256};

use super::{
    ClientAuth, TlsError, Validity,
    authorities::system,
    key_log::KeyFile,
    pem::{certificates_in, mismatch, private_key_in, read},
};

/// What is spoken behind a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// DNS over TLS (RFC 7858).
    Dot,
    /// DNS over HTTPS (RFC 8484), HTTP/2 or HTTP/1.1.
    Https,
    /// DNS in calls of gRPC, over HTTP/2.
    Grpc,
    /// DNS over QUIC (RFC 9250).
    Doq,
    /// DNS over HTTPS, HTTP/3.
    Https3,
}

static QUIC_VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&TLS13];

const SPEECHES: [Speech; 5] = [Speech::Dot, Speech::Https, Speech::Grpc, Speech::Doq, Speech::Https3];

impl Speech {
    /// Its names in a handshake, the best one first (RFC 7301).
    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Dot => &[b"dot"],
            Self::Https => &[b"h2", b"http/1.1"],
            Self::Grpc => &[b"h2"],
            Self::Doq => &[b"doq"],
            Self::Https3 => &[b"h3"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }

    const fn versions(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        match self {
            Self::Dot | Self::Https | Self::Grpc => ALL_VERSIONS,
            // RFC 9001 section 4.2.
            Self::Doq | Self::Https3 => QUIC_VERSIONS,
        }
    }
}

/// The words of `tls CERT KEY [CA]` and what stands in its block.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialFiles {
    /// Our certificate, followed by those that signed it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whom clients' certificates must come from, instead of from the system's authorities.
    pub authorities: Option<PathBuf>,
    /// Whose certificates are asked for.
    pub clients: ClientAuth,
    /// Where the secrets of connections are written.
    pub key_log: Option<PathBuf>,
}

/// Who we are to those who connect, as of some moment.
pub struct Identity {
    number: u64,
    validity: Option<Validity>,
    configs: [Arc<ServerConfig>; SPEECHES.len()],
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.number)
    }
}

impl Identity {
    /// Another one for each identity.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What a handshake is begun with if it is not DNS that is spoken behind it, nor anything that has a name.
    pub fn config_of_others(&self) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(self.config(Speech::Dot));
        config.alpn_protocols.clear();
        Arc::new(config)
    }

    /// From when to when the certificate holds, if it says so in a way that can be read.
    pub const fn validity(&self) -> Option<Validity> {
        self.validity
    }

    /// What a handshake is begun with.
    pub fn config(&self, speech: Speech) -> &Arc<ServerConfig> {
        &self.configs[speech as usize]
    }
}

/// Who we are to those who connect. Connections that are there already go on as they began.
#[derive(Debug)]
pub struct Credentials {
    files: CredentialFiles,
    current: RwLock<Arc<Identity>>,
    known: Mutex<Known>,
}

/// What was found the last times.
#[derive(Debug)]
struct Known {
    /// The print of what serves.
    good: [u8; 32],
    broken: Option<Broken>,
}

#[derive(Debug)]
struct Broken {
    print: [u8; 32],
    error: TlsError,
    is_told: bool,
}

/// What a look at the files has shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing new.
    Same,
    /// New files, which serve from now on.
    Renewed,
    /// New files that cannot serve, said once; what served before goes on.
    Broken(TlsError),
}

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read, or holds something else, or they do not belong together.
    pub fn load(files: CredentialFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let identity = contents.identity(&files)?;
        let known = Known { good: contents.print(), broken: None };
        Ok(Self { files, current: RwLock::new(Arc::new(identity)), known: Mutex::new(known) })
    }

    /// Who we are now.
    pub fn current(&self) -> Arc<Identity> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The files.
    pub const fn files(&self) -> &CredentialFiles {
        &self.files
    }

    /// Looks whether the files have changed. What cannot serve is told at the second look that finds it: the other file
    /// may still be on its way.
    pub fn look(&self) -> Look {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = Contents::read(&self.files);
        let print = match &contents {
            Ok(contents) => contents.print(),
            Err(error) => Sha256::digest(error.to_string()).into(),
        };
        if print == known.good {
            known.broken = None;
            return Look::Same;
        }
        if let Some(broken) = known.broken.as_mut().filter(|broken| broken.print == print) {
            let is_told = std::mem::replace(&mut broken.is_told, true);
            return if is_told { Look::Same } else { Look::Broken(broken.error.clone()) };
        }
        match contents.and_then(|contents| contents.identity(&self.files)) {
            Ok(identity) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
                *known = Known { good: print, broken: None };
                Look::Renewed
            }
            Err(error) => {
                known.broken = Some(Broken { print, error, is_told: false });
                Look::Same
            }
        }
    }
}

/// What the files hold.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &CredentialFiles) -> Result<Self, TlsError> {
        let authorities = files.authorities.as_deref().map(read).transpose()?;
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)?, authorities })
    }

    fn print(&self) -> [u8; 32] {
        let mut print = Sha256::new();
        for part in [&self.certificate, &self.key, self.authorities.as_ref().unwrap_or(&Vec::new())] {
            print.update(Sha256::digest(part));
        }
        print.finalize().into()
    }

    fn identity(&self, files: &CredentialFiles) -> Result<Identity, TlsError> {
        let chain = certificates_in(&files.certificate, &self.certificate)?;
        let key = private_key_in(&files.key, &self.key)?;
        let provider = Arc::new(ring::default_provider());
        let clients = files
            .clients
            .verifier(self.roots(files)?, &provider)
            .map_err(|error| TlsError::new(files.authorities.as_deref().unwrap_or_else(|| Path::new(SYSTEM)), error))?;
        let key_log = files
            .key_log
            .as_ref()
            .map(|path| KeyFile::open(path).map(Arc::new).map_err(|error| TlsError::new(path, error)));
        let key_log = key_log.transpose()?;
        // Whoever was let in by other authorities shows a certificate again: tickets end with the files.
        let tickets = ring::Ticketer::new().map_err(|error| TlsError::new(&files.key, error))?;
        let config = |speech: Speech| {
            let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(speech.versions())
                .map_err(|error| TlsError::new(&files.certificate, error))?
                .with_client_cert_verifier(Arc::clone(&clients))
                .with_single_cert(chain.clone(), key.clone_key())
                .map_err(|error| mismatch(&files.certificate, &files.key, error))?;
            config.alpn_protocols = speech.names();
            config.ticketer = Arc::clone(&tickets);
            if let Some(key_log) = &key_log {
                config.key_log = Arc::clone(key_log) as Arc<_>;
            }
            Ok::<_, TlsError>(Arc::new(config))
        };
        let [dot, https, grpc, doq, https3] = SPEECHES;
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Ok(Identity {
            number: NUMBER.fetch_add(1, Relaxed),
            validity: chain.first().and_then(|certificate| Validity::of(certificate)),
            configs: [config(dot)?, config(https)?, config(grpc)?, config(doq)?, config(https3)?],
        })
    }

    fn roots(&self, files: &CredentialFiles) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match (&files.authorities, &self.authorities) {
            (Some(path), Some(pem)) => {
                for certificate in certificates_in(path, pem)? {
                    roots.add(certificate).map_err(|error| TlsError::new(path, error))?;
                }
            }
            _ if files.clients.verifies() => _ = roots.add_parsable_certificates(system()),
            _ => {}
        }
        Ok(roots)
    }
}

/// What messages call authorities that no file has.
const SYSTEM: &str = "the system's authorities";

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A directory of this test with a certificate, `a.pem` and `a.key`.
    fn home(name: &str) -> PathBuf {
        let home = std::env::temp_dir().join(format!("seamark-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        home
    }

    fn write(home: &Path, name: &str) -> KeyPair {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        fs::write(home.join("a.pem"), certificate.pem()).unwrap();
        fs::write(home.join("a.key"), key.serialize_pem()).unwrap();
        key
    }

    fn files(home: &Path) -> CredentialFiles {
        CredentialFiles {
            certificate: home.join("a.pem"),
            key: home.join("a.key"),
            authorities: None,
            clients: ClientAuth::None,
            key_log: None,
        }
    }

    #[test]
    fn changed_files_serve_if_they_belong_together() {
        let home = home("change");
        write(&home, "one.test");
        let credentials = Credentials::load(files(&home)).unwrap();
        let number = || credentials.current().number();
        let (first, good) = (number(), fs::read(home.join("a.pem")).unwrap());
        assert_eq!(credentials.look(), Look::Same);

        let key = fs::read(home.join("a.key")).unwrap();
        let other = KeyPair::generate().unwrap();
        fs::write(home.join("a.key"), other.serialize_pem()).unwrap();
        assert_eq!(credentials.look(), Look::Same, "the certificate may still be on its way");
        let Look::Broken(error) = credentials.look() else { panic!("it has not come") };
        assert!(error.to_string().contains("a.key: this key is not that of the certificate "), "{error}");
        assert_eq!(credentials.look(), Look::Same, "said once");
        assert_eq!(number(), first, "the old pair goes on");

        fs::write(home.join("a.key"), key).unwrap();
        assert_eq!((credentials.look(), number()), (Look::Same, first), "what served before is no news");

        write(&home, "two.test");
        assert_eq!(credentials.look(), Look::Renewed);
        assert_ne!(number(), first);

        fs::remove_file(home.join("a.pem")).unwrap();
        assert_eq!(credentials.look(), Look::Same);
        assert!(
            matches!(credentials.look(), Look::Broken(error) if error.to_string().ends_with("a.pem: no such file"))
        );
        fs::write(home.join("a.pem"), good).unwrap();
        assert_eq!([credentials.look(), credentials.look()].map(|look| look != Look::Same), [false, true]);
        _ = fs::remove_dir_all(home);
    }

    #[test]
    fn each_protocol_has_its_names_and_versions() {
        let home = home("names");
        write(&home, "one.test");
        let identity = Credentials::load(files(&home)).unwrap().current();
        for (speech, names) in [
            (Speech::Dot, &["dot"][..]),
            (Speech::Https, &["h2", "http/1.1"]),
            (Speech::Grpc, &["h2"]),
            (Speech::Doq, &["doq"]),
            (Speech::Https3, &["h3"]),
        ] {
            let config = identity.config(speech);
            let found: Vec<_> = config.alpn_protocols.iter().map(|name| String::from_utf8_lossy(name)).collect();
            assert_eq!(found, names, "{speech:?}");
        }
        _ = fs::remove_dir_all(home);
    }

    #[test]
    fn verifying_clients_needs_authorities_that_can_be_read() {
        let home = home("clients");
        write(&home, "one.test");
        let verifying = |authorities: &str| {
            let authorities = Some(home.join(authorities));
            let files = CredentialFiles { authorities, clients: ClientAuth::RequireAndVerify, ..files(&home) };
            Credentials::load(files).map(drop).map_err(|error| error.file_and_reason())
        };
        assert_eq!(verifying("a.pem"), Ok(()));
        for (file, reason) in [("nowhere", "no such file"), ("a.key", "no certificate in it")] {
            assert_eq!(verifying(file), Err(format!("{}: {reason}", home.join(file).display())));
        }
        _ = fs::remove_dir_all(home);
    }
}
