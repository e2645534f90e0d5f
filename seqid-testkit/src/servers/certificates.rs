use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use super::ServerError;
use super::guardian::Guardian;
use super::ports::HOST;

/// Certificates of an authority of their own, in a temporary folder that is removed with the last clone.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Guardian>);

/// Which certificate a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// One of 127.0.0.1 and localhost that is valid.
    Sound,
    /// The same, expired the day before.
    Expired,
    /// One of elsewhere.example.
    OtherHost,
}

impl Shown {
    const ALL: [Self; 3] = [Self::Sound, Self::Expired, Self::OtherHost];

    const fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Expired => "expired",
            Self::OtherHost => "other-host",
        }
    }

    fn hosts(self) -> String {
        match self {
            Self::OtherHost => "DNS:elsewhere.example".to_owned(),
            _ => format!("IP:{HOST},DNS:localhost"),
        }
    }

    const fn days(self) -> &'static str {
        match self {
            Self::Expired => "-1",
            _ => "2",
        }
    }
}

impl Certificates {
    /// A new authority and what it has signed. Needs `openssl`.
    ///
    /// # Errors
    ///
    /// [`ServerError::Run`] if it is not installed; else what it said.
    pub fn new() -> Result<Self, ServerError> {
        let made = Self(Arc::new(Guardian::new()?));
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        made.openssl(
            &[
                "req",
                "-x509",
                "-days",
                "2",
                "-subj",
                "/CN=authority",
                "-keyout",
                "ca.key",
                "-out",
                "ca.pem",
            ],
            &key,
        )?;
        for shown in Shown::ALL {
            let [certificate, private, request, extensions] =
                ["pem", "key", "csr", "ext"].map(|end| format!("{}.{end}", shown.name()));
            made.openssl(
                &[
                    "req",
                    "-subj",
                    "/CN=server",
                    "-keyout",
                    &private,
                    "-out",
                    &request,
                ],
                &key,
            )?;
            let path = made.path(&extensions);
            fs::write(&path, format!("subjectAltName={}\n", shown.hosts()))
                .map_err(ServerError::file(&path))?;
            let signed = [
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                shown.days(),
                "-extfile",
                &extensions,
            ];
            made.openssl(&["x509", "-req", "-in", &request, "-out", &certificate], &signed)?;
            made.0.hand_over(&made.path(&private))?;
        }
        Ok(made)
    }

    /// The file of the authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The files of a certificate and of its key.
    pub fn files(&self, shown: Shown) -> [PathBuf; 2] {
        ["pem", "key"].map(|end| self.path(&format!("{}.{end}", shown.name())))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.folder().join(name)
    }

    fn openssl(&self, command: &[&str], more: &[&str]) -> Result<(), ServerError> {
        let output = Command::new("openssl")
            .args(command)
            .args(more)
            .current_dir(self.0.folder())
            .output()
            .map_err(ServerError::run("openssl"))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(ServerError::Failed {
                program: "openssl".to_owned(),
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            })
        }
    }
}
