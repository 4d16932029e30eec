#![doc = include_str!("README.md")]

mod config;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use crate::{
    chain::{Block, Build, BuildError, Directive, Role},
    metrics::{Counter, Gauge, Registry},
    tls::{CredentialFiles, Credentials, Look},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "tls", parse: config::parse };

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(2);

struct Tls(CredentialFiles);

impl Build for Tls {
    fn role(&self) -> Role {
        Role::sets("says who the server is on encrypted listeners, and whom it lets in")
    }

    fn build(self: Box<Self>, block: &mut Block<'_>) -> Result<(), BuildError> {
        let Self(files) = *self;
        let files = CredentialFiles {
            certificate: block.path(&files.certificate),
            key: block.path(&files.key),
            authorities: files.authorities.as_deref().map(|path| block.path(path)),
            key_log: files.key_log.as_deref().map(|path| block.path(path)),
            clients: files.clients,
        };
        let load = || Credentials::load(files.clone()).map_err(|error| BuildError(error.file_and_reason()));
        let credentials = block.shared(&format!("tls {files:?}"), load)?;
        block.parts().tls = Some(Arc::clone(&credentials));
        let renewals = Renewals::register(block.registry(), &credentials);
        let end = End::register(block.registry(), &credentials);
        let mut complaint = end.look(&credentials, None);
        block.task(async move {
            loop {
                sleep(LOOK).await;
                look(&credentials, &renewals);
                complaint = end.look(&credentials, complaint);
            }
        });
        Ok(())
    }
}

/// Changed files, by whether they serve now.
struct Renewals {
    success: Counter,
    failure: Counter,
}

impl Renewals {
    fn register(registry: &Registry, credentials: &Credentials) -> Self {
        let help = "Changed files of certificates, by whether they serve now.";
        let family = registry.counter("seamark_tls_renewals_total", help, &["certificate", "result"]);
        let certificate = credentials.files().certificate.display().to_string();
        let of = |result| family.with_label_values(&[certificate.as_str(), result]);
        Self { success: of("success"), failure: of("failure") }
    }
}

/// When the certificate ends, and whether it holds.
struct End(Gauge);

impl End {
    fn register(registry: &Registry, credentials: &Credentials) -> Self {
        let help = "When the certificate ends, Unix time.";
        let family = registry.gauge("seamark_tls_certificate_end_timestamp_seconds", help, &["certificate"]);
        Self(family.with_label_values(&[&credentials.files().certificate.display().to_string()]))
    }

    /// Shows the end, and warns of a certificate that does not hold, once. Gives what was told.
    fn look(&self, credentials: &Credentials, told: Option<String>) -> Option<String> {
        let validity = credentials.current().validity()?;
        self.0.set(validity.until);
        let complaint = validity.complaint(SystemTime::now());
        if let Some(text) = complaint.as_ref().filter(|_| complaint != told) {
            tracing::warn!("plugin/tls: {}: {text}", credentials.files().certificate.display());
        }
        complaint
    }
}

fn look(credentials: &Credentials, renewals: &Renewals) {
    let certificate = credentials.files().certificate.display();
    match credentials.look() {
        Look::Same => {}
        Look::Renewed => {
            renewals.success.inc();
            tracing::info!("plugin/tls: {certificate} has changed, new connections see it");
        }
        Look::Broken(error) => {
            renewals.failure.inc();
            let error = error.file_and_reason();
            tracing::error!("plugin/tls: the files have changed and cannot serve, those before go on: {error}");
        }
    }
}
