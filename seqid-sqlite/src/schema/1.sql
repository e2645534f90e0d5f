-- Instants are microseconds since 1970, dates are days since 1970, hashes and names of stores are bytes.
-- `NULL` in `next` means that no larger number exists.

CREATE TABLE store (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    authority  BLOB    NOT NULL CHECK (length(authority) = 16)
) STRICT;

-- `last_position` is the last event's, and changes with every commit that has one, so that every log holds this row:
-- it says what the file must hold to belong to the log. For that reason the name of the store is not in it.
-- The row of a counter may lack the effect of `issued` events, but of none up to `counters_written`.
CREATE TABLE progress (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    last_position    INTEGER NOT NULL,
    counters_written INTEGER NOT NULL,
    acknowledged     INTEGER NOT NULL
) STRICT;

-- A new one begins when an operator accepts a file that went back in time or was copied.
CREATE TABLE incarnation (
    ordinal        INTEGER PRIMARY KEY,
    machine        TEXT    NOT NULL,
    inode          INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    began_at       INTEGER NOT NULL,
    actor          TEXT,
    reason         TEXT
) STRICT;

-- The prefix `*` stands for all sequences of a tenant: it has no definition, and its chain has what concerns them all.
-- `closed_through` is the last document date that is closed.
CREATE TABLE sequence (
    id            INTEGER PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    prefix        TEXT    NOT NULL,
    prefix_folded TEXT    NOT NULL,
    head          INTEGER NOT NULL,
    implicit      INTEGER NOT NULL,
    archived      INTEGER NOT NULL,
    opened        INTEGER NOT NULL,
    closed_through INTEGER,
    n             INTEGER NOT NULL,
    hash          BLOB    NOT NULL,
    UNIQUE (tenant, prefix_folded)
) STRICT;

CREATE TABLE definition (
    sequence INTEGER NOT NULL REFERENCES sequence (id),
    version  INTEGER NOT NULL,
    spec     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    actor    TEXT,
    PRIMARY KEY (sequence, version)
) STRICT, WITHOUT ROWID;

-- `ranges` and `attributes` are kept for blocks of numbers that an authority grants, and what it says of them.
CREATE TABLE counter (
    id           INTEGER PRIMARY KEY,
    sequence     INTEGER NOT NULL REFERENCES sequence (id),
    scope        TEXT    NOT NULL,
    scope_folded TEXT    NOT NULL,
    period       TEXT    NOT NULL,
    period_kind  TEXT    NOT NULL,
    period_first INTEGER,
    period_last  INTEGER,
    version      INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    next         INTEGER,
    last         INTEGER,
    last_date    INTEGER,
    status       TEXT    NOT NULL CHECK (status IN ('pending', 'open', 'closed', 'archived', 'frozen')),
    n            INTEGER NOT NULL,
    hash         BLOB    NOT NULL,
    reserved     INTEGER NOT NULL DEFAULT 0,
    voided       INTEGER NOT NULL DEFAULT 0,
    free         INTEGER NOT NULL DEFAULT 0,
    next_expiry  INTEGER,
    ranges       TEXT,
    attributes   TEXT,
    UNIQUE (sequence, scope_folded, period)
) STRICT;

-- Append only. The ids are a pure function of definition version, date, scope, fields, number and instant, so
-- they are rendered by whoever reads an event.
CREATE TABLE event (
    position    INTEGER PRIMARY KEY,
    sequence    INTEGER NOT NULL,
    counter     INTEGER,
    kind        INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    first       INTEGER,
    step        INTEGER,
    count       INTEGER,
    version     INTEGER NOT NULL,
    mode        INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    date        INTEGER,
    fields      TEXT,
    actor       TEXT,
    client      TEXT,
    request     TEXT,
    reference   TEXT,
    relates_to  TEXT,
    reason      TEXT,
    key         TEXT,
    fingerprint BLOB,
    detail      TEXT,
    reservation BLOB,
    expires_at  INTEGER,
    on_expiry   INTEGER,
    hash        BLOB    NOT NULL
) STRICT;

-- Numbers that were not plainly issued; all others from a counter's start to its last were. `position` is that of the
-- event that says so.
CREATE TABLE mark (
    counter     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    step        INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    date        INTEGER,
    fields      TEXT,
    reservation BLOB,
    expires_at  INTEGER,
    on_expiry   INTEGER,
    reference   TEXT,
    relates_to  TEXT,
    n           INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    PRIMARY KEY (counter, generation, first)
) STRICT, WITHOUT ROWID;

CREATE INDEX mark_ending ON mark (counter, expires_at) WHERE state = 1;
CREATE INDEX mark_free ON mark (counter, generation, first) WHERE state = 4;

-- Positions of the events that begin and end a reservation.
CREATE TABLE reservation (
    id    BLOB    PRIMARY KEY,
    began INTEGER NOT NULL,
    ended INTEGER
) STRICT, WITHOUT ROWID;

-- The index of idempotency keys: see `keys.rs` and `segments.rs`. A segment is whole when its row is here; `firsts` has
-- the first key of each of its parts. Here the keys are hashes, which lead to the positions of events.
CREATE TABLE segment (
    id            INTEGER PRIMARY KEY,
    last_position INTEGER NOT NULL,
    last_at       INTEGER NOT NULL,
    filter        BLOB    NOT NULL,
    firsts        BLOB    NOT NULL
) STRICT;

-- A part's id is its segment's times 65,536, and its place. It has pairs of a key and what that leads to, in order.
CREATE TABLE segment_part (
    id    INTEGER PRIMARY KEY,
    pairs BLOB    NOT NULL
) STRICT;

-- The index of events by counter: see `runs.rs`. The keys are rows of counters, which lead to runs of positions.
CREATE TABLE counter_segment (
    id            INTEGER PRIMARY KEY,
    last_position INTEGER NOT NULL,
    last_at       INTEGER NOT NULL,
    filter        BLOB    NOT NULL,
    firsts        BLOB    NOT NULL
) STRICT;

CREATE TABLE counter_segment_part (
    id    INTEGER PRIMARY KEY,
    pairs BLOB    NOT NULL
) STRICT;

-- The same by sequence.
CREATE TABLE sequence_segment (
    id            INTEGER PRIMARY KEY,
    last_position INTEGER NOT NULL,
    last_at       INTEGER NOT NULL,
    filter        BLOB    NOT NULL,
    firsts        BLOB    NOT NULL
) STRICT;

CREATE TABLE sequence_segment_part (
    id    INTEGER PRIMARY KEY,
    pairs BLOB    NOT NULL
) STRICT;

-- The earliest and the latest instant of each 4,096 events: block 0 has positions 1 to 4,096. Clocks may go back, so that
-- instants do not quite rise with positions.
CREATE TABLE event_block (
    id       INTEGER PRIMARY KEY,
    earliest INTEGER NOT NULL,
    latest   INTEGER NOT NULL
) STRICT;

-- Events with lower numbers than those before them: backward resets, and ends of reservations and voids. Between them a
-- number is found by halving. Of a counter that has more than 100 only the first 101 are here.
CREATE TABLE turn (
    counter  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (counter, position)
) STRICT, WITHOUT ROWID;

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
