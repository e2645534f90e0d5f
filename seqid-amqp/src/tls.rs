//! What a broker's certificate is held against, and what this side shows. Named in the URL as RabbitMQ's own clients do:
//! <https://www.rabbitmq.com/docs/uri-query-parameters>.

use std::path::PathBuf;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};

use crate::config::InvalidConfig;

/// The files that a URL names, with what was in them when it was read.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Authorities that are trusted beside those of the machine, in PEM.
    authorities: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Tls {
    /// The parameters of a URL that name files.
    pub(crate) const PARAMETERS: [&str; 3] = ["cacertfile", "certfile", "keyfile"];

    /// Reads the file that a parameter names.
    pub(crate) fn read(&mut self, parameter: &'static str, path: &str) -> Result<(), InvalidConfig> {
        let file = |reason: String| InvalidConfig::File {
            parameter,
            path: PathBuf::from(path),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| file(error.to_string()))?;
        let (label, kept) = match parameter {
            "cacertfile" => ("CERTIFICATE-----", &mut self.authorities),
            "certfile" => ("CERTIFICATE-----", &mut self.certificate),
            _ => ("PRIVATE KEY-----", &mut self.key),
        };
        // The library passes over what it cannot read, and would then trust nobody without a word.
        let begins = |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(label);
        if !text.lines().any(begins) {
            return Err(file(format!("no PEM with a line -----BEGIN {label}")));
        }
        *kept = Some(text);
        Ok(())
    }

    /// Whether there is a key for the certificate, and the other way round.
    pub(crate) fn is_whole(&self) -> bool {
        self.certificate.is_some() == self.key.is_some()
    }

    /// The same for the library.
    pub(crate) fn for_connection(&self) -> OwnedTLSConfig {
        let identity = self.certificate.as_ref().zip(self.key.as_ref());
        OwnedTLSConfig {
            identity: identity.map(|(certificate, key)| OwnedIdentity::PKCS8 {
                pem: certificate.clone().into_bytes(),
                key: key.clone().into_bytes(),
            }),
            cert_chain: self.authorities.clone(),
        }
    }
}
