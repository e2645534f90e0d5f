/// One attempt of a client to end a reservation, or to learn how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Unique among the settlements of a history.
    pub id: u64,
    /// The reservation.
    pub reservation: String,
    /// What the client was told.
    pub told: Told,
}

/// What a client knows of a reservation after it asked to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Told {
    /// It ended so: as the client asked, or as it had ended before.
    Ended(Ending),
    /// The client's request had no effect, and how the reservation ended was not said.
    Nothing,
    /// The request may have had its effect, and may still have it.
    Unknown,
}

/// How a reservation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Its numbers were issued.
    Confirmed,
    /// Its numbers are void.
    Voided,
    /// Its time passed.
    Expired,
}
