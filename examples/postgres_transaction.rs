//! A number and its invoice in one transaction of PostgreSQL: both are there, or neither.
//!
//! `DATABASE_URL=postgres://user:password@localhost/test cargo run -p seqid-examples --example postgres_transaction`

use std::error::Error;
use std::sync::Arc;

use seqid_core::numbering::{DefineRequest, DrawRequest};
use seqid_core::observer::Unobserved;
use seqid_core::{CounterStore, DefinitionSpec, Issuer, Numbering, Prefix};
use seqid_postgres::{PostgresConfig, PostgresStore};
use sqlx::{Connection, PgConnection};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to a database to try it in")?;
    run(&url).await
}

async fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let config: PostgresConfig = url.parse()?;
    let store = Arc::new(PostgresStore::open(config, Arc::new(Unobserved)).await?);
    let issuer = Issuer::builder(store.clone()).clock(store.clock()).build();
    let invoices = Prefix::new("INVOICE")?;
    let definition = DefinitionSpec::of_format("INVOICE-{seq:5}");
    issuer
        .define(DefineRequest::new(invoices.clone(), definition))
        .await?;

    let mut connection = PgConnection::connect(url).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS invoice (id text PRIMARY KEY, customer text NOT NULL)")
        .execute(&mut connection)
        .await?;

    let mut transaction = connection.begin().await?;
    let drawn = store
        .allocate_in(&issuer, &mut transaction, DrawRequest::new(invoices.clone()))
        .await?;
    let rolled_back = drawn.id().to_owned();
    transaction.rollback().await?;
    println!("{rolled_back} was rolled back");

    let mut transaction = connection.begin().await?;
    let drawn = store
        .allocate_in(&issuer, &mut transaction, DrawRequest::new(invoices.clone()))
        .await?;
    sqlx::query("INSERT INTO invoice (id, customer) VALUES ($1, 'ACME')")
        .bind(drawn.id())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    assert_eq!(drawn.id(), rolled_back, "it left no gap");
    println!("{} was committed with its invoice", drawn.id());

    let next = issuer.draw(DrawRequest::new(invoices)).await?;
    println!("{} is the next, drawn without a transaction", next.id());
    store.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use seqid_testkit::servers::PostgresServer;

    #[tokio::test]
    async fn it_runs() {
        let database = PostgresServer::shared().database().expect("a database");
        super::run(&database.url()).await.expect("it runs");
        let invoices = database
            .psql("SELECT id FROM invoice")
            .expect("the table is there");
        assert_eq!(invoices, "INVOICE-00001");
    }
}
