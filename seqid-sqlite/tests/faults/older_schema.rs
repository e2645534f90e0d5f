//! Files that an older program wrote.

use rusqlite::Connection;

use crate::office::Office;

/// Takes back what schema 2 added.
const TO_SCHEMA_1: &str = "\
    DROP VIEW audit; DROP INDEX counter_leased; DROP TABLE lease; ALTER TABLE counter DROP COLUMN leases; \
    CREATE VIEW audit AS SELECT * FROM event; PRAGMA user_version = 1;";

#[test]
fn a_file_of_an_older_schema_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seqid.db");
    let office = Office::open(&file);
    for number in 1..=3 {
        assert_eq!(office.draw("INV").unwrap(), number);
    }
    office.close();
    Connection::open(&file)
        .unwrap()
        .execute_batch(TO_SCHEMA_1)
        .unwrap();

    let office = Office::open(&file);
    assert_eq!(office.draw("INV").unwrap(), 4);
    assert_eq!(office.audit().len(), 5);
    office.close();
    let connection = Connection::open(&file).unwrap();
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 2);
    let kinds: String = connection
        .query_row("SELECT group_concat(kind, ' ') FROM audit", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kinds, "defined issued issued issued issued");
}
