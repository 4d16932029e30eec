#![doc = include_str!("README.md")]

mod config;

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    chain::{Block, Build, BuildError, Directive, Role},
    metrics::{Counter, Registry},
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
        block.task(async move {
            loop {
                sleep(LOOK).await;
                look(&credentials, &renewals);
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
