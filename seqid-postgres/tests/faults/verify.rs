//! What somebody with a SQL prompt did is found.

use seqid_testkit::servers::PostgresServer;

use crate::office::{Office, name, report, require_clean};
use seqid_core::Numbering;
use seqid_core::definition::DefinitionSpec;
use seqid_core::numbering::{DefineRequest, DrawRequest};

/// What is done to a database, as one transaction that is undone afterwards.
const EDITS: [(&str, &str); 20] = [
    (
        "an event's number",
        "UPDATE seqid.event SET first = first + 1 WHERE kind = 1 AND n = 3",
    ),
    (
        "an event's actor",
        "UPDATE seqid.event SET actor = 'somebody else' WHERE kind = 1 AND n = 3",
    ),
    (
        "an event's instant",
        "UPDATE seqid.event SET at = at + interval '1 microsecond' WHERE kind = 1 AND n = 3",
    ),
    (
        "an event's kind",
        "UPDATE seqid.event SET kind = 2 WHERE kind = 1 AND n = 3",
    ),
    (
        "an event's count",
        "UPDATE seqid.event SET count = 2 WHERE kind = 1 AND n = 3",
    ),
    (
        "an event's hash",
        "UPDATE seqid.event SET hash = sha256(hash) WHERE kind = 1 AND n = 3",
    ),
    (
        "an event in the middle",
        "DELETE FROM seqid.event WHERE kind = 1 AND n = 3",
    ),
    (
        "the last event",
        "DELETE FROM seqid.event e WHERE kind = 1 AND n = (SELECT max(n) FROM seqid.event WHERE chain = e.chain)",
    ),
    (
        "an event twice",
        "CREATE TEMP TABLE twice AS SELECT * FROM seqid.event WHERE kind = 1 AND n = 3; \
         UPDATE twice SET position = 1000; INSERT INTO seqid.event SELECT * FROM twice",
    ),
    (
        "two events in the other order",
        "UPDATE seqid.event e SET position = o.position FROM seqid.event o \
         WHERE e.kind = 1 AND o.kind = 1 AND e.chain = o.chain AND e.n + o.n = 5 AND e.n IN (2, 3)",
    ),
    (
        "two places in the other order",
        "UPDATE seqid.event SET n = 5 - n WHERE kind = 1 AND n IN (2, 3)",
    ),
    (
        "a counter that was turned back",
        "UPDATE seqid.counter SET next = next - 1",
    ),
    (
        "a counter that was turned forward",
        "UPDATE seqid.counter SET next = next + 1, last = last + 1",
    ),
    ("a counter's epoch", "UPDATE seqid.counter SET epoch = epoch + 1"),
    ("a counter that is gone", "DELETE FROM seqid.counter"),
    ("a sequence's name", "UPDATE seqid.sequence SET prefix = 'XYZ'"),
    (
        "an archived sequence",
        "UPDATE seqid.sequence SET archived = true",
    ),
    (
        "a definition",
        "UPDATE seqid.definition SET spec = replace(spec, 'INV-', 'INW-') WHERE version = 1",
    ),
    (
        "what draws in SQL have of a definition",
        "UPDATE seqid.definition SET plan = plan || '{\"edited\": true}' WHERE version = 1",
    ),
    (
        "a definition that nobody saved",
        "INSERT INTO seqid.definition SELECT sequence, version + 1, spec, plan, at, actor FROM seqid.definition \
         ORDER BY version DESC LIMIT 1",
    ),
];

#[tokio::test]
async fn each_edit_is_found() {
    let database = PostgresServer::shared().database().unwrap();
    let office = Office::open(&database.url()).await;
    let spec = DefinitionSpec::of_format("INV-{seq:5}");
    office
        .issuer
        .define(DefineRequest::new(name("INV"), spec))
        .await
        .unwrap();
    office.draw_many("INV", 4).await;
    office
        .request(DrawRequest::new(name("INV")).count(3))
        .await
        .unwrap();
    office.close().await;
    require_clean(&database.url()).await;
    database
        .psql(
            "CREATE SCHEMA kept; CREATE TABLE kept.event AS SELECT * FROM seqid.event; \
               CREATE TABLE kept.counter AS SELECT * FROM seqid.counter; \
               CREATE TABLE kept.sequence AS SELECT * FROM seqid.sequence; \
               CREATE TABLE kept.definition AS SELECT * FROM seqid.definition",
        )
        .unwrap();
    for (what, edit) in EDITS {
        // Foreign keys are in nobody's way.
        database
            .psql(&format!("SET session_replication_role = replica; {edit}"))
            .unwrap();
        let report = report(&database.url()).await;
        assert!(!report.is_clean(), "{what} was not found");
        database
            .psql(
                "SET session_replication_role = replica; \
                 TRUNCATE seqid.event, seqid.counter, seqid.lease, seqid.sequence, seqid.definition; \
                 INSERT INTO seqid.event SELECT * FROM kept.event; \
                 INSERT INTO seqid.counter SELECT * FROM kept.counter; \
                 INSERT INTO seqid.sequence SELECT * FROM kept.sequence; \
                 INSERT INTO seqid.definition SELECT * FROM kept.definition",
            )
            .unwrap();
        require_clean(&database.url()).await;
    }
}
