//! Sets of rules that a law makes for the numbers of documents.

use crate::charset::CharSet;
use crate::definition::spec::DefinitionSpec;
use crate::period::{MonthDay, Reset};
use crate::refusal::{Refusal, RefusalCode};

/// The rules of one law.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile {
    name: &'static str,
    max_length: u64,
    chars: fn() -> CharSet,
    reset: Reset,
    /// Month and day.
    fiscal_year_start: (i8, i8),
}

/// India, Central Goods and Services Tax Rules 2017, rule 46(b): a consecutive serial number of at most
/// 16 letters, digits, hyphens and slashes, unique for a financial year, which begins on 1 April.
const IN_GST: Profile = Profile {
    name: "in-gst",
    max_length: 16,
    chars: || CharSet::alphanumeric().union(&CharSet::from_iter(['-', '/'])),
    reset: Reset::FiscalYear,
    fiscal_year_start: (4, 1),
};

const PROFILES: [Profile; 1] = [IN_GST];

impl Profile {
    /// The profile of a name.
    pub(super) fn find(name: &str) -> Result<Self, Refusal> {
        let unknown = || {
            let known = PROFILES.map(|profile| profile.name).join(", ");
            let detail = format!("there is no profile {name:?}; those known are {known}");
            Refusal::new(RefusalCode::InvalidValue, "/profile", detail)
        };
        PROFILES
            .into_iter()
            .find(|profile| profile.name == name)
            .ok_or_else(unknown)
    }

    fn fiscal_year_start(self) -> MonthDay {
        let (month, day) = self.fiscal_year_start;
        MonthDay::new(month, day).unwrap_or_default()
    }

    /// Fills what the definition leaves open.
    pub(super) fn complete(self, spec: &mut DefinitionSpec) {
        spec.max_length.get_or_insert(self.max_length);
        spec.charset.get_or_insert_with(self.chars);
        spec.reset.get_or_insert(self.reset);
        spec.fiscal_year_start.get_or_insert(self.fiscal_year_start());
    }

    /// What the definition says against the rules.
    pub(super) fn breaches(self, spec: &DefinitionSpec) -> Vec<Refusal> {
        let too_long = spec.max_length.filter(|&max| max > self.max_length).map(|max| {
            let detail = format!(
                "{} allows ids of at most {} characters, not {max}",
                self.name, self.max_length
            );
            Refusal::new(RefusalCode::TooLong, "/max_length", detail)
        });
        let outside = spec
            .charset
            .as_ref()
            .and_then(|chars| chars.first_outside(&(self.chars)()))
            .map(|c| {
                let detail = format!(
                    "{} allows the characters {}, not {c:?}",
                    self.name,
                    (self.chars)()
                );
                Refusal::new(RefusalCode::Charset, "/charset", detail)
            });
        let start = self.fiscal_year_start();
        let other_start = spec.fiscal_year_start.filter(|&sent| sent != start).map(|sent| {
            let detail = format!(
                "under {} the fiscal year begins on {start}, not on {sent}",
                self.name
            );
            Refusal::new(RefusalCode::InvalidValue, "/fiscal_year_start", detail)
        });
        [too_long, outside, other_start].into_iter().flatten().collect()
    }
}
