//! A number that the draft of an invoice shows, and that is issued only when the invoice is posted.
//!
//! `cargo run -p seqid-examples --example invoice_reservation`. The memory store forgets: with a `SqliteStore`, as in
//! `embed.rs`, reservations outlive a restart.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use seqid_core::names::Reason;
use seqid_core::numbering::{DrawRequest, ReserveRequest, SettleRequest};
use seqid_core::reservation::ReservationId;
use seqid_core::{Code, Issuer, MemoryStore, Numbering, Prefix};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long a draft may lie about. Then it gives its number up by itself.
const EDITING: Duration = Duration::from_secs(15 * 60);

/// An invoice that is being edited.
struct Draft {
    shown: String,
    reservation: ReservationId,
}

impl Draft {
    async fn open(numbers: &dyn Numbering) -> Result<Self> {
        let invoice = DrawRequest::new(Prefix::new("INV")?);
        let reserved = numbers.reserve(ReserveRequest::new(invoice, EDITING)).await?;
        Ok(Self {
            shown: reserved.numbers.id().to_owned(),
            reservation: reserved.reservation,
        })
    }

    /// The number of the invoice: the one that was shown, or a new one for a draft that lay about too long.
    async fn post(self, numbers: &dyn Numbering) -> Result<String> {
        match numbers.settle(SettleRequest::confirm(self.reservation)).await {
            Ok(confirmed) => Ok(confirmed.numbers.id().to_owned()),
            Err(error) if error.code() == Code::ReservationExpired => {
                let invoice = DrawRequest::new(Prefix::new("INV")?);
                Ok(numbers.draw(invoice).await?.id().to_owned())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The number stays unused, and the audit says why.
    async fn cancel(self, numbers: &dyn Numbering, reason: &str) -> Result<()> {
        let void = SettleRequest::void(self.reservation, Reason::new(reason)?);
        numbers.settle(void).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let numbers = Issuer::new(Arc::new(MemoryStore::default()));
    let (first, second) = (Draft::open(&numbers).await?, Draft::open(&numbers).await?);
    println!("two drafts: {} and {}", first.shown, second.shown);
    second.cancel(&numbers, "the customer went elsewhere").await?;
    println!(
        "one was cancelled, the other is posted as {}",
        first.post(&numbers).await?
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use seqid_core::clock::{Clock, ManualClock, Seed};

    use super::*;

    fn numbers() -> (Issuer, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(MemoryStore::new(clock.clone(), Seed(1)));
        (Issuer::builder(store).clock(clock.clone()).build(), clock)
    }

    #[tokio::test]
    async fn a_posted_draft_has_the_number_that_it_showed() -> Result<()> {
        let (numbers, _) = numbers();
        let (first, second) = (Draft::open(&numbers).await?, Draft::open(&numbers).await?);
        assert_eq!(second.post(&numbers).await?, "INV-002");
        assert_eq!(first.post(&numbers).await?, "INV-001");
        Ok(())
    }

    #[tokio::test]
    async fn a_cancelled_draft_leaves_a_gap_and_a_forgotten_one_gets_another_number() -> Result<()> {
        let (numbers, clock) = numbers();
        let (cancelled, forgotten) = (Draft::open(&numbers).await?, Draft::open(&numbers).await?);
        cancelled.cancel(&numbers, "the customer went elsewhere").await?;
        clock.set(clock.now().saturating_add(EDITING));
        assert_eq!(forgotten.post(&numbers).await?, "INV-003");
        Ok(())
    }
}
