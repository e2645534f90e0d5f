//! A company moves here, with the list of the invoices that its old system numbered.
//!
//! `cargo run -p seqid-examples --example adopt_legacy`. The data file is in a temporary folder and gone afterwards.

use std::error::Error as StdError;
use std::sync::Arc;

use seqid_core::clock::SystemClock;
use seqid_core::error::AdoptionRefused;
use seqid_core::names::Reason;
use seqid_core::numbering::{AdoptRequest, CounterSelector, DefineRequest, DrawRequest, Page};
use seqid_core::observer::Unobserved;
use seqid_core::store::CounterStore;
use seqid_core::{DefinitionSpec, Error, Issuer, Numbering, Prefix};
use seqid_sqlite::{SqliteConfig, SqliteStore};

type Result<T> = std::result::Result<T, Box<dyn StdError>>;

/// What the old system exported. INV-0004 and INV-0005 are missing, and one line has a slip of the pen.
const EXPORT: &str =
    "id,customer\nINV-0001,ACME\nINV-0002,ACME\nINV-0003,Smith\nINV-6,Smith\nINV-0007,ACME\n";

/// The first column without the header; see `POST /api/v1/adopt` for one that knows quotes.
fn ids(csv: &str) -> Vec<String> {
    let first = |line: &str| line.split(',').next().map(str::to_owned);
    csv.lines().skip(1).filter_map(first).collect()
}

/// Adopts a list; one that has wrong lines is shown and left alone.
async fn adopt(numbers: &dyn Numbering, csv: &str) -> Result<bool> {
    let reason = Reason::new("numbered by the old system")?;
    let request = AdoptRequest::new(Prefix::new("INV")?, ids(csv), reason);
    match numbers.adopt(request).await {
        Ok(adoption) => {
            println!("{} adopted, {} skipped", adoption.adopted, adoption.skipped);
            Ok(true)
        }
        Err(Error::AdoptionRefused(AdoptionRefused { wrong, .. })) => {
            for line in wrong {
                println!("line {}: {}", line.index + 2, line.reason);
            }
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// The runs that were not plainly issued, as the gap report has them.
async fn gaps(numbers: &dyn Numbering) -> Result<Vec<String>> {
    let counter = CounterSelector::new(Prefix::new("INV")?);
    let report = numbers.gaps(counter, Page::default()).await?;
    let told = report.gaps.into_iter().map(|gap| {
        let reason = gap.reason.map(|reason| reason.to_string()).unwrap_or_default();
        format!(
            "{} to {}: {} ({reason})",
            gap.run.first,
            gap.run.last(),
            gap.state.as_str()
        )
    });
    Ok(told.collect())
}

async fn run() -> Result<(String, Vec<String>)> {
    let folder = tempfile::tempdir()?;
    let config = SqliteConfig::new(folder.path().join("seqid.db"));
    let store = SqliteStore::open(config, Arc::new(SystemClock), Arc::new(Unobserved))?;
    let store = Arc::new(store);
    let numbers = Issuer::new(Arc::new(Arc::clone(&store)));
    let format = DefinitionSpec::of_format("INV-{seq:4}");
    numbers
        .define(DefineRequest::new(Prefix::new("INV")?, format))
        .await?;
    if !adopt(&numbers, EXPORT).await? {
        adopt(&numbers, &EXPORT.replace("INV-6", "INV-0006")).await?;
    }
    let drawn = numbers.draw(DrawRequest::new(Prefix::new("INV")?)).await?;
    let report = gaps(&numbers).await?;
    store.close().await?;
    Ok((drawn.id().to_owned(), report))
}

#[tokio::main]
async fn main() -> Result<()> {
    let (id, report) = run().await?;
    println!("the next invoice is {id}");
    for line in report {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_number_of_the_old_system_is_explained_and_the_next_one_is_new() {
        let (id, report) = run().await.unwrap();
        assert_eq!(id, "INV-0008");
        let expected = [
            "1 to 3: external (numbered by the old system)",
            "4 to 5: skipped (not among the adopted ids)",
            "6 to 7: external (numbered by the old system)",
        ];
        assert_eq!(report, expected);
    }
}
