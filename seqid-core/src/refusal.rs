//! Why a definition is not accepted: every reason at once, each with its place and an example.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The rule that a definition breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RefusalCode {
    /// The format cannot be read.
    TemplateSyntax,
    /// The format has no `{seq}`.
    NoSeq,
    /// A word in braces is neither a token nor a declared name.
    UnknownToken,
    /// A check digit reads a name that nothing declares.
    UndeclaredField,
    /// A declared name is a word of the template language.
    ReservedName,
    /// A scope value is printed changed or shortened, so that two values can look alike.
    LossyScope,
    /// Two neighbouring parts can be divided in more than one way.
    AmbiguousJoin,
    /// Two periods can print the same text.
    PeriodNotPrinted,
    /// A scope name is not part of the id.
    ScopeNotPrinted,
    /// A one-digit year needs a window of years.
    WindowNeeded,
    /// A check digit would have to read characters that its algorithm does not know.
    CheckInput,
    /// The longest id does not fit `max_length`.
    TooLong,
    /// The id can have characters outside `charset`.
    Charset,
    /// The mode is not to be had here, or not with the other members.
    ModeUnavailable,
    /// `chronological` is not to be had with the other members.
    ChronologicalUnavailable,
    /// The time zone is not in the IANA database.
    UnknownZone,
    /// Another version of the prefix can print the same id.
    Overlaps,
    /// A chain of successor definitions comes back to its beginning.
    SuccessorCycle,
    /// A member has a value that it cannot have.
    InvalidValue,
}

impl RefusalCode {
    /// The code as it stands in answers: `ambiguous-join`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TemplateSyntax => "template-syntax",
            Self::NoSeq => "no-seq",
            Self::UnknownToken => "unknown-token",
            Self::UndeclaredField => "undeclared-field",
            Self::ReservedName => "reserved-name",
            Self::LossyScope => "lossy-scope",
            Self::AmbiguousJoin => "ambiguous-join",
            Self::PeriodNotPrinted => "period-not-printed",
            Self::ScopeNotPrinted => "scope-not-printed",
            Self::WindowNeeded => "window-needed",
            Self::CheckInput => "check-input",
            Self::TooLong => "too-long",
            Self::Charset => "charset",
            Self::ModeUnavailable => "mode-unavailable",
            Self::ChronologicalUnavailable => "chronological-unavailable",
            Self::UnknownZone => "unknown-zone",
            Self::Overlaps => "overlaps",
            Self::SuccessorCycle => "successor-cycle",
            Self::InvalidValue => "invalid-value",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One reason against a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The rule.
    pub code: RefusalCode,
    /// The member at fault, as a JSON pointer into the definition: `/scope/0/chars`.
    pub pointer: String,
    /// One sentence with an example of what would go wrong.
    pub detail: String,
}

impl Refusal {
    /// A reason against the member at `pointer`.
    pub fn new(code: RefusalCode, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            code,
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} at {})", self.detail, self.code, self.pointer)
    }
}

/// A definition was not accepted. There is at least one reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", joined(.refusals))]
pub struct DefinitionRefused {
    refusals: Vec<Refusal>,
}

impl DefinitionRefused {
    /// The reasons, never none.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }
}

impl From<Vec<Refusal>> for DefinitionRefused {
    /// There must be at least one reason.
    fn from(refusals: Vec<Refusal>) -> Self {
        debug_assert!(!refusals.is_empty(), "a refusal has a reason");
        Self { refusals }
    }
}

impl From<Refusal> for DefinitionRefused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusals: vec![refusal],
        }
    }
}

fn joined(refusals: &[Refusal]) -> String {
    let texts: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_serialized_as_it_is_displayed() {
        for code in [
            RefusalCode::NoSeq,
            RefusalCode::PeriodNotPrinted,
            RefusalCode::ChronologicalUnavailable,
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn all_reasons_are_displayed() {
        let refusals = vec![
            Refusal::new(RefusalCode::NoSeq, "/format", "the format has no {seq}"),
            Refusal::new(RefusalCode::InvalidValue, "/step", "step must be at least 1"),
        ];
        let error = DefinitionRefused::from(refusals);
        assert_eq!(
            error.to_string(),
            "the format has no {seq} (no-seq at /format); step must be at least 1 (invalid-value at /step)"
        );
    }
}
