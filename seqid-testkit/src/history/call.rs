use super::run::Run;

/// One attempt of a client to be given numbers.
///
/// Reserving is a call that is issued its numbers; confirming and voiding a reservation give none
/// and are no calls here. Under the policy `reuse` a number is offered until somebody keeps it: there,
/// a reservation counts as issued once it is confirmed, and as unknown before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Unique among the calls of a history.
    pub id: u64,
    /// The counter that the answer named, or that was meant where there was no such answer.
    pub counter: String,
    /// The idempotency key; attempts of one draw share it.
    pub key: Option<String>,
    /// What was asked, in a form in which equal requests are equal texts.
    pub request: String,
    /// How many numbers were asked for.
    pub count: u32,
    /// The tick before the request was sent.
    pub began: u64,
    /// The tick after the answer arrived, or the client gave up; `None` if it never came back.
    pub ended: Option<u64>,
    /// What the client knows about it.
    pub outcome: Outcome,
}

/// What a client knows after a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The numbers were given.
    Issued(Grant),
    /// This call took no number, for certain.
    NotIssued,
    /// Any of the two, and it may still happen.
    Unknown,
}

/// A run of numbers as a client was given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The first number.
    pub first: u64,
    /// From one number to the next.
    pub step: u64,
    /// How many numbers.
    pub count: u32,
    /// The generation that they belong to.
    pub generation: u32,
    /// The epoch in which they were drawn.
    pub epoch: u32,
    /// The rendered texts, one for each number.
    pub ids: Vec<String>,
}

impl Grant {
    pub(super) fn run(&self) -> Run {
        Run {
            first: self.first,
            step: self.step,
            count: self.count.into(),
        }
    }
}
