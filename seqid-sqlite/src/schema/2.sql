-- How many leases of the counter are open.
ALTER TABLE counter ADD COLUMN leases INTEGER NOT NULL DEFAULT 0;

-- Numbers in the hands of holders, from `first` to `last`; neither where all were given back. Each range but the first of a
-- counter's generation follows the one that ends at `before`, and no two follow the same one: no number is in two of them.
CREATE TABLE lease (
    id         BLOB    NOT NULL,
    counter    INTEGER NOT NULL REFERENCES counter (id),
    generation INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    first      INTEGER,
    step       INTEGER,
    last       INTEGER,
    before     INTEGER,
    holder     TEXT    NOT NULL,
    topology   INTEGER,
    state      INTEGER NOT NULL,
    PRIMARY KEY (counter, id),
    UNIQUE (counter, generation, first),
    UNIQUE (counter, generation, last),
    UNIQUE (counter, generation, before),
    FOREIGN KEY (counter, generation, before) REFERENCES lease (counter, generation, last),
    CHECK ((first IS NULL) = (last IS NULL)),
    CHECK (first <= last),
    CHECK (before < first)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX lease_first ON lease (counter, generation) WHERE before IS NULL AND first IS NOT NULL;
CREATE INDEX lease_open ON lease (id) WHERE state = 1;
CREATE INDEX lease_lost ON lease (counter, holder) WHERE state = 3;
CREATE INDEX counter_leased ON counter (sequence) WHERE leases > 0;

DROP VIEW audit;

-- For people with a SQL prompt.
CREATE VIEW audit AS
SELECT e.position,
       s.tenant,
       s.prefix,
       c.scope,
       c.period,
       e.n,
       CASE e.kind WHEN 1 THEN 'issued' WHEN 2 THEN 'skipped' WHEN 3 THEN 'external' WHEN 4 THEN 'returned'
                   WHEN 5 THEN 'restarted' WHEN 6 THEN 'defined' WHEN 7 THEN 'recovered'
                   WHEN 8 THEN 'reserved' WHEN 9 THEN 'confirmed' WHEN 10 THEN 'voided' WHEN 11 THEN 'expired'
                   WHEN 12 THEN 'archived' WHEN 13 THEN 'closed' WHEN 14 THEN 'reopened'
                   WHEN 15 THEN 'leased' WHEN 16 THEN 'reported' WHEN 17 THEN 'lost' WHEN 18 THEN 'frozen'
                   END AS kind,
       e.first,
       e.first + e.step * (e.count - 1) AS last,
       e.step,
       e.count,
       e.generation,
       e.epoch,
       e.version AS definition_version,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.at / 1000000.0, 'unixepoch') AS at,
       date(e.date * 86400, 'unixepoch') AS date,
       e.fields,
       e.actor,
       e.client,
       e.request,
       e.reference,
       e.relates_to,
       e.reason,
       e.key,
       lower(hex(e.reservation)) AS reservation,
       lower(hex(e.hash)) AS hash
FROM event e
JOIN sequence s ON s.id = e.sequence
LEFT JOIN counter c ON c.id = e.counter;
