use super::call::{Call, Grant, Outcome};
use super::run::Run;
use super::violation::Line;

/// The calls of a history, the attempts of each draw side by side.
pub(super) struct Draws<'a> {
    calls: Vec<&'a Call>,
}

impl<'a> Draws<'a> {
    pub(super) fn of(calls: &'a [Call]) -> Self {
        let mut calls: Vec<&Call> = calls.iter().collect();
        calls.sort_unstable_by(|a, b| (&a.key, a.began, a.id).cmp(&(&b.key, b.began, b.id)));
        Self { calls }
    }

    /// The attempts of each draw, by the time at which they began.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[&'a Call]> {
        self.calls.chunk_by(|a, b| a.key.is_some() && a.key == b.key)
    }

    /// What each draw was issued, by counter, generation and first number.
    pub(super) fn issues(&self) -> Vec<Issue<'a>> {
        let mut issues = Vec::new();
        for attempts in self.iter() {
            Issue::of(attempts, &mut issues);
        }
        issues.sort_unstable_by_key(|issue| (issue.line(), issue.grant.first, issue.call.id));
        issues
    }
}

/// A run that a draw was issued, once however often it was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issue<'a> {
    /// The attempt that was answered first.
    pub(super) call: &'a Call,
    pub(super) grant: &'a Grant,
    /// When the earliest attempt began that may have taken the numbers.
    pub(super) began: u64,
    /// When the earliest answer was there; `None` if that was never noted.
    pub(super) ended: Option<u64>,
}

impl<'a> Issue<'a> {
    /// One issue for each draw, unless a store answered one key with different numbers: then all of
    /// them are claims that the other draws must not meet.
    fn of(attempts: &[&'a Call], issues: &mut Vec<Issue<'a>>) {
        let may_have_drawn = attempts.iter().filter(|call| call.outcome != Outcome::NotIssued);
        let Some(began) = may_have_drawn.map(|call| call.began).min() else {
            return;
        };

        let mut issued: Vec<(&Call, &Grant)> = issued(attempts).collect();
        issued.sort_unstable_by_key(|&(call, grant)| (claim(call, grant), call.ended.unwrap_or(u64::MAX)));
        for same in issued.chunk_by(|a, b| claim(a.0, a.1) == claim(b.0, b.1)) {
            let (call, grant) = same[0];
            issues.push(Issue {
                call,
                grant,
                began,
                ended: call.ended,
            });
        }
    }

    pub(super) fn line(&self) -> (&'a str, u32) {
        (&self.call.counter, self.grant.generation)
    }

    pub(super) fn line_name(&self) -> Line {
        Line::new(&self.call.counter, self.grant.generation)
    }

    pub(super) fn run(&self) -> Run {
        self.grant.run()
    }
}

/// The attempts that were issued, with what they were issued.
pub(super) fn issued<'a>(attempts: &[&'a Call]) -> impl Iterator<Item = (&'a Call, &'a Grant)> {
    attempts.iter().filter_map(|&call| match &call.outcome {
        Outcome::Issued(grant) => Some((call, grant)),
        Outcome::NotIssued | Outcome::Unknown => None,
    })
}

fn claim<'a>(call: &'a Call, grant: &'a Grant) -> (&'a str, u32, u64, u64, u32) {
    (
        &call.counter,
        grant.generation,
        grant.first,
        grant.step,
        grant.count,
    )
}
