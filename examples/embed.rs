//! Invoice numbers in a program of your own: no server, one file, safe from a crash.
//!
//! `cargo run -p seqid-examples --example embed` twice: the numbers go on.

use std::error::Error;
use std::sync::Arc;

use seqid_core::clock::SystemClock;
use seqid_core::numbering::{DefineRequest, DrawRequest};
use seqid_core::observer::Unobserved;
use seqid_core::{CounterStore, DefinitionSpec, IdempotencyKey, Issuer, Numbering, Prefix};
use seqid_sqlite::{SqliteConfig, SqliteStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = SqliteConfig::new(std::env::temp_dir().join("seqid-embed/seqid.db"));
    let store = Arc::new(SqliteStore::open(
        file,
        Arc::new(SystemClock),
        Arc::new(Unobserved),
    )?);
    let issuer = Issuer::new(store.clone());

    let invoices = Prefix::new("INV")?;
    let yearly = DefinitionSpec {
        reset: Some("year".parse()?),
        ..DefinitionSpec::of_format("INV-{yyyy}-{seq:5}")
    };
    issuer
        .define(DefineRequest::new(invoices.clone(), yearly))
        .await?;

    let invoice = issuer.draw(DrawRequest::new(invoices.clone())).await?;
    println!("{} is yours, for ever", invoice.id());

    // A retry after a lost answer: the same key, the same number.
    let order = IdempotencyKey::new(&format!("order 4711 of {}", invoice.issued_at))?;
    let first = issuer
        .draw(DrawRequest::new(invoices.clone()).key(order.clone()))
        .await?;
    let again = issuer.draw(DrawRequest::new(invoices.clone()).key(order)).await?;
    assert_eq!(first.id(), again.id());
    println!("{} was asked for twice and drawn once", again.id());

    let next_year = issuer
        .draw(DrawRequest::new(invoices).date("2027-01-01".parse()?).count(3))
        .await?;
    println!("a new year begins anew: {}", next_year.ids.join(", "));
    store.close().await?;
    Ok(())
}
