use std::path::{Path, PathBuf};

use super::Tls;
use crate::{
    chain::{Build, Keys},
    corefile::{Error, Errors, Line, Stanza, Token},
    tls::{ClientAuth, CredentialFiles},
};

/// Properties with which CoreDNS asks an authority for certificates by itself.
const ACME: [&str; 6] = ["acme", "email", "ca", "storage", "ca_root", "resolver"];

pub(super) fn parse(stanza: &Stanza, _: &Keys) -> Result<Box<dyn Build>, Errors> {
    Ok(Box::new(Tls(read(stanza)?)))
}

fn read(stanza: &Stanza) -> Result<CredentialFiles, Error> {
    let instance = stanza.once()?;
    if let Some(line) = instance.lines.iter().find(|line| ACME.contains(&line.word.text.as_str())) {
        return Err(acme(&line.word));
    }
    let mut args = instance.args();
    let certificate = file(args.require("the file of a certificate")?);
    let key = file(args.require("the file of the certificate's key")?);
    let authorities = args.next().map(file);
    args.finish()?;
    let mut files = CredentialFiles { certificate, key, authorities, clients: ClientAuth::None, key_log: None };
    for line in &instance.lines {
        property(&mut files, line).map_err(|error| error.within(&line.word.text))?;
    }
    Ok(files)
}

fn property(files: &mut CredentialFiles, line: &Line) -> Result<(), Error> {
    match line.word.text.as_str() {
        "client_auth" => {
            files.clients = line.args().one("whose certificates are asked for")?.choose("mode", &ClientAuth::WORDS)?
        }
        "keylog" => files.key_log = Some(file(line.args().one("a file")?)),
        _ => return Err(line.unknown(&["client_auth", "keylog"])),
    }
    Ok(())
}

fn acme(word: &Token) -> Error {
    let text = "certificates by ACME are not built into seamark; name the files of one that somebody else keeps, such as \
                cert-manager: `tls CERT KEY`";
    word.error(text)
}

fn file(word: &Token) -> PathBuf {
    Path::new(&word.text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corefile;

    fn files(text: &str) -> Result<CredentialFiles, String> {
        let stanza = corefile::stanza(&format!("tls {text}"));
        read(&stanza).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn files_and_whose_certificates_are_asked_for() {
        let pair = || CredentialFiles {
            certificate: "a.pem".into(),
            key: "a.key".into(),
            authorities: None,
            clients: ClientAuth::None,
            key_log: None,
        };
        let with_authorities = || CredentialFiles { authorities: Some("ca.pem".into()), ..pair() };
        for (text, expected) in [
            ("a.pem a.key", pair()),
            ("a.pem a.key {\n}", pair()),
            ("a.pem a.key ca.pem", with_authorities()),
            ("a.pem a.key {\nclient_auth nocert\n}", pair()),
            ("a.pem a.key {\nclient_auth request\n}", CredentialFiles { clients: ClientAuth::Request, ..pair() }),
            (
                "a.pem a.key ca.pem {\nclient_auth require_and_verify\nkeylog secrets\n}",
                CredentialFiles {
                    clients: ClientAuth::RequireAndVerify,
                    key_log: Some("secrets".into()),
                    ..with_authorities()
                },
            ),
        ] {
            assert_eq!(files(text), Ok(expected), "{text}");
        }
        for (text, message) in [
            ("", "expected the file of a certificate"),
            ("a.pem", "expected the file of the certificate's key"),
            ("a.pem a.key ca.pem x", "unexpected argument `x`"),
            (
                "a.pem a.key {\nclient_auth verify\n}",
                "client_auth: unknown mode `verify`; expected one of: nocert, request, require, verify_if_given, \
                 require_and_verify",
            ),
            ("a.pem a.key {\nciphers x\n}", "unknown property `ciphers`; expected one of: client_auth, keylog"),
        ] {
            assert_eq!(files(text), Err(message.to_owned()), "{text}");
        }
        assert!(files("{\nacme example.org\n}").unwrap_err().starts_with("certificates by ACME are not built"));
    }
}
