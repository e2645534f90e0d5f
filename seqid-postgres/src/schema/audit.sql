-- The events that a worker was delivered, from any number of stores, each once. Rows are never changed.
CREATE TABLE seqid_audit.event (
    id bytea PRIMARY KEY,
    -- The counter or sequence with its store: a digest, for grouping.
    counter bytea NOT NULL,
    -- The event's place in the counter's chain, from 1 without a gap.
    n bigint NOT NULL,
    authority text NOT NULL,
    tenant text NOT NULL,
    prefix text NOT NULL,
    -- Null for what concerns a sequence as a whole.
    scope text,
    period text,
    kind text NOT NULL,
    first bigint,
    last bigint,
    count bigint,
    at timestamptz NOT NULL,
    -- The event as it was delivered.
    event json NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX event_counter ON seqid_audit.event (counter, n);

-- Events that came under the id of another: somebody changed the one or the other.
CREATE TABLE seqid_audit.divergence (
    id bytea NOT NULL,
    event json NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX divergence_once ON seqid_audit.divergence (id, md5(event::text));

-- What was not delivered, though something later of the same counter was: the places from first_n to last_n. Empty when
-- everything is there, or still on its way.
CREATE VIEW seqid_audit.missing AS
SELECT authority, tenant, prefix, scope, period, first_n, last_n
FROM (
    SELECT authority, tenant, prefix, scope, period, n - 1 AS last_n,
           lag(n, 1, 0::bigint) OVER (PARTITION BY counter ORDER BY n) + 1 AS first_n
    FROM seqid_audit.event
) AS following
WHERE first_n <= last_n;
