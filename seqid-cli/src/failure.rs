//! How a command ends, told to people, to programs and by the exit code.

use std::error::Error as StdError;
use std::io::{self, Write};
use std::process::ExitCode;

use seqid_core::error::Retry;
use seqid_core::store::StoreError;
use seqid_core::{Code, Error, IdempotencyKey};
use seqid_sqlite::OpenError;
use serde_json::{Value, json};

/// The classes of outcomes. Their exit codes are part of the interface: never change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ended {
    /// It was done.
    Done = 0,
    /// Nothing was issued, and the same request would be refused again.
    Refused = 1,
    /// The command line is wrong: nothing was asked.
    Usage = 2,
    /// Nothing was issued, and the same request may be sent again.
    NotNow = 3,
    /// It may have been carried out.
    Unknown = 4,
    /// It was carried out, and its answer could not be written.
    Unwritten = 5,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        Self::from(ended as u8)
    }
}

/// Why a command did not do all that it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    ended: Ended,
    code: Option<Code>,
    detail: String,
    /// What to do, in sentences.
    advice: Option<String>,
    key: Option<IdempotencyKey>,
    remaining: Option<u64>,
    errors: Vec<Value>,
}

impl Failure {
    fn new(ended: Ended, detail: String) -> Self {
        Self {
            ended,
            code: None,
            detail,
            advice: None,
            key: None,
            remaining: None,
            errors: Vec::new(),
        }
    }

    /// The command line is wrong in a way that only the command knows.
    pub(crate) fn usage(detail: String) -> Self {
        Self::new(Ended::Usage, detail)
    }

    /// An option has a value that cannot be used.
    pub(crate) fn misused(option: &str, error: &(dyn StdError + 'static)) -> Self {
        Self::usage(format!("{option}: {}", with_causes(error)))
    }

    /// Something that the command line names cannot be read.
    pub(crate) fn unreadable(error: &(dyn StdError + 'static)) -> Self {
        Self::new(Ended::Usage, with_causes(error))
    }

    /// The answer could not be written.
    pub(crate) fn unwritten(what: &str, error: &io::Error) -> Self {
        Self::new(Ended::Unwritten, format!("cannot write {what}: {error}"))
    }

    /// The command was carried out, and the data file could not be closed as it should be.
    pub(crate) fn unclosed(error: &(dyn StdError + 'static)) -> Self {
        let detail = format!(
            "it was carried out, but the data file could not be closed: {}",
            with_causes(error)
        );
        Self::new(Ended::Unwritten, detail)
    }

    /// A data file cannot be opened. Nothing was asked of it.
    pub(crate) fn file(error: &OpenError) -> Self {
        let (ended, code) = match error {
            OpenError::Locked { .. } => (Ended::NotNow, Code::StoreUnavailable),
            OpenError::Restored { .. } => (Ended::Refused, Code::RestoredStore),
            OpenError::NewerSchema { .. } => (Ended::Refused, Code::NewerSchema),
            _ => return Self::unreadable(error),
        };
        let failure = Self::new(ended, with_causes(error));
        let advice = matches!(error, OpenError::Locked { .. })
            .then(|| "Ask the service that has it, with --url in place of --file.".to_owned());
        Self {
            code: Some(code),
            advice,
            ..failure
        }
    }

    /// A request was refused or failed. It bore `key`; `service` is the address of who was asked, if it was a service.
    pub(crate) fn request(error: &Error, key: Option<IdempotencyKey>, service: Option<&str>) -> Self {
        let code = error.code();
        let ended = match code.retry() {
            Retry::No => Ended::Refused,
            Retry::SameRequest => Ended::NotNow,
            Retry::SameKey => Ended::Unknown,
        };
        let key = key.filter(|_| ended == Ended::Unknown);
        let detail = match error {
            Error::Store(StoreError::Unavailable(cause)) if service.is_some() => {
                format!("the service does not answer: {}", innermost(&**cause))
            }
            error => with_causes(error),
        };
        Self {
            code: Some(code),
            advice: advice(code, key.as_ref(), service),
            key,
            remaining: error.remaining(),
            errors: member_errors(error),
            ..Self::new(ended, detail)
        }
    }

    /// The same, with a further sentence that says what to do.
    pub(crate) fn advise(mut self, advice: &str) -> Self {
        let before = self.advice.take().map(|advice| advice + " ").unwrap_or_default();
        self.advice = Some(before + advice);
        self
    }

    /// Nothing that was issued may be lost in silence, but a reader that goes away is no fault.
    pub(crate) fn tell(self, json: bool) -> Ended {
        if self.ended == Ended::Done {
            return Ended::Done;
        }
        let text = if json {
            self.json().to_string()
        } else {
            self.text()
        };
        let mut stderr = io::stderr().lock();
        let _unread = writeln!(stderr, "{}", text.trim_end()).and_then(|()| stderr.flush());
        self.ended
    }

    fn text(&self) -> String {
        let mut text = format!("seqid: {}", self.detail);
        // A single one is told by the detail already.
        for error in self.errors.iter().filter(|_| self.errors.len() > 1) {
            let member = |name: &str| error[name].as_str().unwrap_or_default();
            text += &format!(
                "\n  {} {}: {}",
                member("pointer"),
                member("code"),
                member("detail")
            );
        }
        if let Some(advice) = &self.advice {
            text += "\n";
            text += advice;
        }
        text
    }

    /// The members of a problem document, without those that only HTTP has, and the key to repeat the request with.
    fn json(&self) -> Value {
        let code = self.code.unwrap_or(Code::InvalidRequest);
        let retry_after = code.retry_after().map(|wait| wait.as_millis());
        json!({
            "type": format!("urn:seqid:problem:{}", code.as_str()),
            "code": code.as_str(),
            "title": code.title(),
            "detail": self.detail,
            "outcome": code.certainty().as_str(),
            "retry": code.retry().as_str(),
            "retry_after_ms": retry_after.map(|millis| u64::try_from(millis).unwrap_or(u64::MAX)),
            "remaining": self.remaining,
            "errors": self.errors,
            "key": self.key.as_ref().map(ToString::to_string),
            "exit": self.ended as u8,
        })
    }
}

/// Of standard output. A reader that has seen enough, as `head` has, ends the command in peace.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Ended::Done, String::new());
        }
        Self::unwritten("the answer", &error)
    }
}

/// What to do after a request was refused or failed.
fn advice(code: Code, key: Option<&IdempotencyKey>, service: Option<&str>) -> Option<String> {
    match (code, key, service) {
        (code, Some(key), _) if code.retry() == Retry::SameKey => Some(format!(
            "It may have been carried out. Repeat it with --key {key}: then it is carried out once."
        )),
        (code, None, _) if code.retry() == Retry::SameKey => {
            Some("It may have been carried out. Repeat it as it is: what was done is not done twice.".to_owned())
        }
        (Code::StoreUnavailable, _, Some(service)) => Some(format!(
            "Nothing was issued. Was the service meant that is asked at {service}? Start it, name another with --url or \
             SEQID_URL, or open a data file with --file."
        )),
        (Code::SequenceNotFound, ..) => Some("`seqid define --help` shows how to define it.".to_owned()),
        (Code::VersionRequired | Code::VersionMismatch, ..) => Some(
            "`seqid list` shows its version: give that with --if-version once you have looked at what it says."
                .to_owned(),
        ),
        _ => None,
    }
}

/// What is wrong with single members of the request, as a problem document has it.
fn member_errors(error: &Error) -> Vec<Value> {
    let member = |pointer: &str, code: &str, detail: String| json!({"pointer": pointer, "code": code, "detail": detail});
    if let Error::Invalid { pointer, reason } = error {
        return vec![member(pointer, Code::InvalidRequest.as_str(), reason.to_string())];
    }
    let refusals = error.refusals().iter();
    refusals
        .map(|refusal| member(&refusal.pointer, refusal.code.as_str(), refusal.detail.clone()))
        .collect()
}

/// An error with its causes, those left out that were said already.
fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        below = cause.source();
    }
    text
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
