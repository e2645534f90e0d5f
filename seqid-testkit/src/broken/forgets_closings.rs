use async_trait::async_trait;
use seqid_core::MemoryStore;
use seqid_core::command::{Act, Closed, Command, Dates, Reply};
use seqid_core::store::CounterStore;
use seqid_core::time::Date;

use super::{Lie, Replies};

/// Says that dates of all sequences of a tenant are closed or open, and keeps none.
#[derive(Debug, Default)]
pub struct ForgetsClosings;

#[async_trait]
impl Lie for ForgetsClosings {
    async fn apply(&self, truth: &MemoryStore, batch: Vec<Command>) -> Replies {
        let pretended: Vec<Option<Reply>> = batch.iter().map(|command| pretended(&command.act)).collect();
        let rest = batch.into_iter().zip(&pretended);
        let rest = rest.filter_map(|(command, pretended)| pretended.is_none().then_some(command));
        let mut replies = truth.apply(rest.collect()).await.into_iter();
        pretended
            .into_iter()
            .filter_map(|reply| reply.map(Ok).or_else(|| replies.next()))
            .collect()
    }
}

/// What an honest store would say of a closing that it carried out.
fn pretended(act: &Act) -> Option<Reply> {
    let Act::Close(close) = act else { return None };
    let through = match close.dates {
        Dates::ClosedThrough(date) => Some(date),
        Dates::OpenFrom(date) => Date::from_days_since_epoch(date.days_since_epoch() - 1),
    };
    let changed = true;
    close
        .sequence
        .is_whole()
        .then_some(Reply::Closed(Closed { through, changed }))
}
