use std::sync::Arc;

use seqid_core::command::{Act, Command, Define, Expected, Implicit};
use seqid_core::counter::{CounterKey, SequenceKey};
use seqid_core::definition::Defaults;
use seqid_core::event::Origin;
use seqid_core::field::{FieldDeclaration, RawValues};
use seqid_core::line::{Line, LineParts, Version};
use seqid_core::refusal::Refusal;
use seqid_core::time::Date;
use seqid_core::{Definition, DefinitionSpec, Prefix, Tenant};

/// The document date of cases that do not care.
pub(super) const TODAY: &str = "2026-03-07";

/// A sequence as a caller of a store knows it: all versions of its definition.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    key: SequenceKey,
    versions: Vec<Definition>,
}

impl Sequence {
    pub(super) fn new(prefix: &str, spec: DefinitionSpec) -> Self {
        Self::of_tenant("default", prefix, spec)
    }

    /// One whose ids are `{prefix}-{seq}`.
    pub(super) fn plain(prefix: &str) -> Self {
        Self::new(prefix, DefinitionSpec::of_format("{prefix}-{seq}"))
    }

    pub(super) fn of_tenant(tenant: &str, prefix: &str, spec: DefinitionSpec) -> Self {
        let key = SequenceKey::new(Tenant::new(tenant).expect("a tenant"), self::prefix(prefix));
        Self {
            versions: Vec::new(),
            key,
        }
        .changed(spec)
    }

    /// The same sequence with one version more.
    pub(super) fn changed(&self, spec: DefinitionSpec) -> Self {
        let definition = Definition::check(&self.key.tenant, &self.key.prefix, spec, &Defaults::default());
        let definition = definition.unwrap_or_else(|refused| panic!("{refused}"));
        let mut changed = self.clone();
        changed.versions.push(definition);
        changed
    }

    pub(super) fn key(&self) -> &SequenceKey {
        &self.key
    }

    pub(super) fn versions(&self) -> u32 {
        u32::try_from(self.versions.len()).expect("few versions")
    }

    /// The newest version.
    pub(super) fn definition(&self) -> &Definition {
        &self.versions[self.versions.len() - 1]
    }

    fn version(&self, number: u32) -> Version {
        Version {
            number,
            definition: self.versions[number as usize - 1].clone(),
        }
    }

    /// Saves the newest version after the one before it.
    pub(super) fn define(&self) -> Command {
        let expected = match self.versions() {
            1 => Expected::Nothing,
            later => Expected::Version(later - 1),
        };
        self.define_expecting(expected)
    }

    pub(super) fn define_expecting(&self, expected: Expected) -> Command {
        self.define_as(expected, None, Vec::new())
    }

    pub(super) fn define_implicitly(&self, implicit: Implicit) -> Command {
        self.define_as(Expected::Nothing, Some(implicit), Vec::new())
    }

    pub(super) fn define_as(
        &self,
        expected: Expected,
        implicit: Option<Implicit>,
        objections: Vec<Refusal>,
    ) -> Command {
        let define = Define {
            sequence: self.key.clone(),
            definition: self.definition().clone(),
            expected,
            objections,
            implicit,
        };
        Command::new(Act::Define(define), Arc::new(Origin::default()))
    }

    /// The line of [`TODAY`].
    pub(super) fn line(&self) -> Arc<Line> {
        self.on(TODAY)
    }

    /// The line of a document date.
    pub(super) fn on(&self, date: &str) -> Arc<Line> {
        self.drawn(date, &[], &[], self.versions())
    }

    /// The line of a branch, which must be the name of a scope field.
    pub(super) fn of_branch(&self, branch: &str) -> Arc<Line> {
        self.drawn(TODAY, &[("branch", branch)], &[], self.versions())
    }

    /// The line of a counter that opened with a certain version.
    pub(super) fn opened_with(&self, version: u32, date: &str) -> Arc<Line> {
        self.drawn(date, &[], &[], version)
    }

    pub(super) fn drawn(
        &self,
        date: &str,
        scope: &[(&str, &str)],
        fields: &[(&str, &str)],
        opened: u32,
    ) -> Arc<Line> {
        let opened = self.version(opened);
        let date = day(date);
        let (scope, fields) = opened
            .definition
            .resolve(&raw(scope), &raw(fields))
            .expect("values that fit");
        let period = opened.definition.period(date).expect("a date in the window");
        let key = CounterKey::new(self.key.clone(), scope, period);
        let head = self.version(self.versions());
        Arc::new(
            Line::new(LineParts {
                key,
                head,
                opened,
                date,
                fields,
            })
            .expect("a line"),
        )
    }
}

/// A format whose other members are the defaults.
pub(super) fn format(format: &str) -> DefinitionSpec {
    DefinitionSpec::of_format(format)
}

/// Ids of a branch each, `{branch}-{seq}`.
pub(super) fn by_branch() -> DefinitionSpec {
    DefinitionSpec {
        scope: Some(vec![FieldDeclaration::new("branch")]),
        ..format("{branch}-{seq}")
    }
}

/// Ids of a year each, `{yyyy}-{seq}`.
pub(super) fn by_year() -> DefinitionSpec {
    DefinitionSpec {
        reset: Some(seqid_core::period::Reset::Year),
        ..format("{yyyy}-{seq}")
    }
}

pub(super) fn prefix(text: &str) -> Prefix {
    Prefix::new(text).expect("a prefix")
}

pub(super) fn day(text: &str) -> Date {
    text.parse().expect("a date")
}

fn raw(values: &[(&str, &str)]) -> RawValues {
    values
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}
