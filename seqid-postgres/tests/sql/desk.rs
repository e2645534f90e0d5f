//! A database, an issuer over it, and sessions of an ERP beside it.

use std::sync::Arc;

use seqid_core::Issuer;
use seqid_core::chain::Link;
use seqid_core::counter::SequenceKey;
use seqid_core::definition::DefinitionSpec;
use seqid_core::event::Recorded;
use seqid_core::names::{Prefix, Tenant};
use seqid_core::numbering::{DefineRequest, DrawRequest, Numbering};
use seqid_core::observer::Unobserved;
use seqid_core::store::AuditLog;
use seqid_core::verify::{SequenceHead, Verifier};
use seqid_postgres::{PostgresConfig, PostgresStore};
use seqid_testkit::servers::{Database, PostgresServer};
use sqlx::postgres::{PgConnection, PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row};

/// See the module.
pub(crate) struct Desk {
    pub(crate) database: Database,
    pub(crate) store: Arc<PostgresStore>,
    pub(crate) issuer: Issuer,
}

/// A number that SQL drew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drawn {
    pub(crate) id: String,
    pub(crate) number: i64,
    pub(crate) period: String,
    pub(crate) generation: i32,
    pub(crate) epoch: i32,
    pub(crate) version: i32,
    pub(crate) replayed: bool,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let database = PostgresServer::shared().database().expect("a database");
        let config: PostgresConfig = database.url().parse().unwrap();
        let store = PostgresStore::open(config, Arc::new(Unobserved)).await;
        let store = Arc::new(store.expect("the database can be opened"));
        let issuer = Issuer::builder(store.clone()).clock(store.clock()).build();
        Self {
            database,
            store,
            issuer,
        }
    }

    /// Defines a sequence, or changes version `if_version` of it.
    pub(crate) async fn define(&self, prefix: &str, json: &str) -> Result<(), seqid_core::error::Error> {
        self.redefine(prefix, None, json).await
    }

    pub(crate) async fn redefine(
        &self,
        prefix: &str,
        if_version: Option<u32>,
        json: &str,
    ) -> Result<(), seqid_core::error::Error> {
        let spec = DefinitionSpec::from_json(json).unwrap();
        let mut request = DefineRequest::new(Prefix::new(prefix).unwrap(), spec);
        request.if_version = if_version;
        self.issuer.define(request).await.map(|_| ())
    }

    /// A session of its own.
    pub(crate) async fn session(&self) -> Session {
        Session::open(&self.database.url()).await
    }

    /// All events that can be read.
    pub(crate) async fn events(&self) -> Vec<Recorded> {
        let mut events = Vec::new();
        loop {
            let after = events.last().map_or(0, |last: &Recorded| last.position);
            let page = self.store.events(after, 1_000).await.unwrap();
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }

    /// Holds every event and every counter against the rules.
    pub(crate) async fn verify(&self) {
        let mut verifier = Verifier::new().ids();
        let mut session = self.session().await;
        let heads = session
            .rows("SELECT prefix, head, archived, n, hash, to_char(closed_through, 'YYYY-MM-DD') FROM seqid.sequence")
            .await
            .unwrap();
        for row in heads {
            let prefix = Prefix::of_event(row.get(0)).unwrap();
            let key = SequenceKey::new(Tenant::default(), prefix);
            let (version, n): (i32, i64) = (row.get(1), row.get(3));
            let hash: Vec<u8> = row.get(4);
            let closed_through: Option<String> = row.get(5);
            let head = SequenceHead {
                version: u32::try_from(version).unwrap(),
                archived: row.get(2),
                closed_through: closed_through.map(|date| date.parse().unwrap()),
                chain: Link {
                    n: u64::try_from(n).unwrap(),
                    hash: hash.try_into().unwrap(),
                },
            };
            verifier.expect_sequence(key.clone(), head);
            for counter in self.store.counters(&key, 0, 10_000).await.unwrap() {
                verifier.expect_counter(counter.key, counter.state);
            }
        }
        let events = self.events().await;
        verifier.expect_heads(events.last().map_or(0, |last| last.position));
        for event in &events {
            verifier.event(event);
        }
        let report = verifier.finish();
        assert!(report.is_clean(), "{:#?}", report.faults);
        session.verify_in_sql().await;
    }

    /// The id of a number that Rust draws.
    pub(crate) async fn next(&self, prefix: &str) -> String {
        self.draw(DrawRequest::new(Prefix::new(prefix).unwrap())).await
    }

    pub(crate) async fn draw(&self, request: DrawRequest) -> String {
        self.issuer.draw(request).await.unwrap().ids.remove(0)
    }
}

/// A session of whoever speaks SQL.
pub(crate) struct Session(PgConnection);

impl Session {
    pub(crate) async fn open(url: &str) -> Self {
        Self(PgConnection::connect(url).await.unwrap())
    }

    pub(crate) async fn rows(&mut self, sql: &str) -> sqlx::Result<Vec<PgRow>> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut self.0)
            .await
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        self.rows(sql).await.expect(sql);
    }

    pub(crate) async fn one<T>(&mut self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        self.rows(sql).await.expect(sql).first().expect(sql).get(0)
    }

    /// Draws with these arguments of `seqid.draw`.
    pub(crate) async fn try_draw(&mut self, arguments: &str) -> sqlx::Result<Drawn> {
        let rows = self
            .rows(&format!("SELECT * FROM seqid.draw({arguments})"))
            .await?;
        let row = rows.first().expect("one row");
        Ok(Drawn {
            id: row.get("id"),
            number: row.get("number"),
            period: row.get("period"),
            generation: row.get("generation"),
            epoch: row.get("epoch"),
            version: row.get("definition_version"),
            replayed: row.get("replayed"),
        })
    }

    pub(crate) async fn draw(&mut self, arguments: &str) -> Drawn {
        self.try_draw(arguments).await.expect(arguments)
    }

    /// SQLSTATE, message and hint of a statement that is refused.
    #[track_caller]
    pub(crate) fn refused(&mut self, sql: &str) -> impl Future<Output = (String, String, String)> {
        let sql = sql.to_owned();
        async move {
            let Err(sqlx::Error::Database(error)) = self.rows(&sql).await else {
                panic!("{sql} was not refused");
            };
            let error = error.downcast::<PgDatabaseError>();
            (
                error.code().to_owned(),
                error.message().to_owned(),
                error.hint().unwrap_or_default().to_owned(),
            )
        }
    }

    /// The chains as SQL computes them.
    pub(crate) async fn verify_in_sql(&mut self) {
        let wrong: Vec<PgRow> = self
            .rows(
                "SELECT v.position, v.kind FROM (\
                     SELECT e.*, seqid.link_hash(\
                         coalesce(lag(e.hash) OVER (PARTITION BY e.chain ORDER BY e.n), \
                                  seqid.chain_name(st.authority, s.tenant, s.prefix, c.scope, c.period)), \
                         ROW(e.position, e.at, e.sequence, e.chain, e.kind, e.n, e.generation, e.epoch, e.first, e.step, \
                             e.count, e.version, e.mode, e.date, e.fields, e.actor, e.client, e.request, e.reference, \
                             e.relates_to, e.reason, e.key, e.fingerprint, coalesce(e.detail, d.spec), e.reservation, \
                             e.expires_at, e.on_expiry, e.hash)::seqid.event) AS computed \
                     FROM seqid.store st, seqid.event e JOIN seqid.sequence s ON s.id = e.sequence \
                     LEFT JOIN seqid.counter c ON c.id = e.chain AND e.chain <> e.sequence \
                     LEFT JOIN seqid.definition d ON e.kind = 6 AND d.sequence = e.sequence AND d.version = e.version) v \
                 WHERE v.hash <> v.computed",
            )
            .await
            .unwrap();
        let positions: Vec<i64> = wrong.iter().map(|row| row.get(0)).collect();
        assert!(positions.is_empty(), "wrong hashes at {positions:?}");
        let waiting: i64 = self.one("SELECT count(*) FROM seqid.event_waiting").await;
        assert_eq!(waiting, 0);
    }
}
