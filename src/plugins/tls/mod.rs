#![doc = include_str!("README.md")]

mod config;

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    chain::{Block, Build, BuildError, Directive},
    metrics::{CounterFamily, Registry},
    tls::{CredentialFiles, Credentials, Look},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "tls", parse: config::parse };

/// How often it is looked whether the files have changed.
const LOOK: Duration = Duration::from_secs(2);

struct Tls(CredentialFiles);

impl Build for Tls {
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
        let renewals = renewals(block.registry());
        block.task(async move {
            loop {
                sleep(LOOK).await;
                look(&credentials, &renewals);
            }
        });
        Ok(())
    }
}

fn renewals(registry: &Registry) -> CounterFamily {
    let help = "Changed files of certificates, by whether they serve now.";
    registry.counter("seamark_tls_renewals_total", help, &["certificate", "result"])
}

fn look(credentials: &Credentials, renewals: &CounterFamily) {
    let certificate = credentials.files().certificate.display().to_string();
    match credentials.look() {
        Look::Same => {}
        Look::Renewed => {
            renewals.with_label_values(&[certificate.as_str(), "success"]).inc();
            tracing::info!("plugin/tls: {certificate} has changed, new connections see it");
        }
        Look::Broken(error) => {
            renewals.with_label_values(&[certificate.as_str(), "failure"]).inc();
            let error = error.file_and_reason();
            tracing::error!("plugin/tls: the files have changed and cannot serve, those before go on: {error}");
        }
    }
}
