-- Everything lies in the schema `seqid`. Instants are in UTC, hashes and names of stores are bytes.
-- `NULL` in `next` means that no larger number exists.

-- `key_retention` is that of the instance that was opened last: draws in SQL know no other.
CREATE TABLE seqid.store (
    id            integer  PRIMARY KEY CHECK (id = 1),
    authority     bytea    NOT NULL CHECK (length(authority) = 16),
    acknowledged  bigint   NOT NULL DEFAULT 0,
    key_retention interval NOT NULL DEFAULT '30 days'
);

-- What tells this database from a copy of it. A new incarnation begins when an operator accepts a database that went back
-- in time or was copied.
CREATE TABLE seqid.incarnation (
    ordinal           integer     PRIMARY KEY,
    system_identifier bigint      NOT NULL,
    timeline          integer     NOT NULL,
    database          oid         NOT NULL,
    counters          oid         NOT NULL,
    first_position    bigint      NOT NULL,
    began_at          timestamptz NOT NULL,
    actor             text,
    reason            text
);

-- Names chains: one for each sequence and one for each counter, so that an id is never of both.
CREATE SEQUENCE seqid.chain_id;

-- Positions of events. They rise within a chain; a transaction that is rolled back leaves a gap.
CREATE SEQUENCE seqid.event_position MINVALUE 0 START 0;
SELECT nextval('seqid.event_position');

-- The prefix `*` stands for all sequences of a tenant: it has no definition, and its chain has what concerns them all.
-- `closed_through` is the last document date that is closed.
CREATE TABLE seqid.sequence (
    id             bigint  PRIMARY KEY DEFAULT nextval('seqid.chain_id'),
    tenant         text    NOT NULL COLLATE "C",
    prefix         text    NOT NULL COLLATE "C",
    prefix_folded  text    NOT NULL COLLATE "C",
    head           integer NOT NULL,
    implicit       boolean NOT NULL,
    archived       boolean NOT NULL,
    opened         boolean NOT NULL,
    closed_through date,
    n              bigint  NOT NULL,
    hash           bytea   NOT NULL,
    UNIQUE (tenant, prefix_folded)
);

-- `plan` is what draws in SQL need of it, compiled: see plan.rs.
CREATE TABLE seqid.definition (
    sequence bigint      NOT NULL REFERENCES seqid.sequence (id),
    version  integer     NOT NULL,
    spec     text        NOT NULL,
    plan     jsonb       NOT NULL,
    at       timestamptz NOT NULL,
    actor    text,
    PRIMARY KEY (sequence, version)
);

-- A draw writes a counter's row anew in its own page, where half of the room is left for that.
CREATE TABLE seqid.counter (
    id           bigint  PRIMARY KEY DEFAULT nextval('seqid.chain_id'),
    sequence     bigint  NOT NULL REFERENCES seqid.sequence (id),
    scope        text    NOT NULL COLLATE "C",
    scope_folded text    NOT NULL COLLATE "C",
    period       text    NOT NULL COLLATE "C",
    period_kind  text    NOT NULL,
    period_first date,
    period_last  date,
    version      integer NOT NULL,
    generation   integer NOT NULL,
    epoch        integer NOT NULL,
    next         bigint,
    last         bigint,
    last_date    date,
    status       text    NOT NULL CHECK (status IN ('open', 'frozen')),
    n            bigint  NOT NULL,
    hash         bytea   NOT NULL,
    reserved     bigint  NOT NULL,
    voided       bigint  NOT NULL,
    free         bigint  NOT NULL,
    next_expiry  timestamptz,
    leases       integer NOT NULL,
    UNIQUE (sequence, scope_folded, period)
) WITH (fillfactor = 50);

CREATE INDEX counter_held ON seqid.counter (sequence) WHERE reserved > 0 OR leases > 0;

-- Numbers in the hands of holders, from `first` to `last`; neither where all were given back. Each range but the first of a
-- counter's generation follows the one that ends at `before`, and no two follow the same one: no number is in two of them.
CREATE TABLE seqid.lease (
    id         bytea    NOT NULL,
    counter    bigint   NOT NULL REFERENCES seqid.counter (id),
    generation integer  NOT NULL,
    epoch      integer  NOT NULL,
    first      bigint,
    step       bigint,
    last       bigint,
    before     bigint,
    holder     text     NOT NULL,
    topology   bigint,
    state      smallint NOT NULL,
    PRIMARY KEY (counter, id),
    UNIQUE (counter, generation, first),
    UNIQUE (counter, generation, last),
    UNIQUE (counter, generation, before),
    FOREIGN KEY (counter, generation, before) REFERENCES seqid.lease (counter, generation, last),
    CHECK ((first IS NULL) = (last IS NULL)),
    CHECK (first <= last),
    CHECK (before < first)
);

CREATE UNIQUE INDEX lease_first ON seqid.lease (counter, generation) WHERE before IS NULL AND first IS NOT NULL;
CREATE INDEX lease_open ON seqid.lease (id) WHERE state = 1;
CREATE INDEX lease_lost ON seqid.lease (counter, holder) WHERE state = 3;

-- Append only, one partition for each month of `at` in UTC. The chain is the counter, or the sequence if the event is of
-- none of its counters. The ids are a pure function of definition version, date, scope, fields, number and instant, so that
-- they are rendered by whoever reads an event.
CREATE TABLE seqid.event (
    position    bigint      NOT NULL,
    at          timestamptz NOT NULL,
    sequence    bigint      NOT NULL,
    chain       bigint      NOT NULL,
    kind        smallint    NOT NULL,
    n           bigint      NOT NULL,
    generation  integer     NOT NULL,
    epoch       integer     NOT NULL,
    first       bigint,
    step        bigint,
    count       bigint,
    version     integer     NOT NULL,
    mode        smallint    NOT NULL,
    date        date,
    fields      text,
    actor       text,
    client      text,
    request     text,
    reference   text,
    relates_to  text,
    reason      text,
    key         text,
    fingerprint bytea,
    detail      text,
    reservation bytea,
    expires_at  timestamptz,
    on_expiry   smallint,
    hash        bytea       NOT NULL,
    PRIMARY KEY (position, at)
) PARTITION BY RANGE (at);

CREATE INDEX event_chain ON seqid.event (chain, n);
CREATE INDEX event_sequence ON seqid.event (sequence, position);

-- Events of months that were detached to which rows still go back, and those that holders report of such months later.
CREATE TABLE seqid.event_kept PARTITION OF seqid.event DEFAULT;

-- The months that were detached.
CREATE TABLE seqid.detached (
    month date        PRIMARY KEY,
    at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The last event of each counter in a month that was detached: its chain is verified from there on.
CREATE TABLE seqid.boundary (
    chain    bigint NOT NULL,
    month    date   NOT NULL REFERENCES seqid.detached (month),
    n        bigint NOT NULL,
    hash     bytea  NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (chain, month)
);

-- Adds the partition of a month, unless it is there or was detached.
CREATE FUNCTION seqid.add_month(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first date := date_trunc('month', month);
    name  text := 'event_' || to_char(first, 'YYYY_MM');
BEGIN
    IF to_regclass(format('seqid.%I', name)) IS NOT NULL OR EXISTS (SELECT 1 FROM seqid.detached d WHERE d.month = first) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(seqid.lock_class('month'), 0);
    IF to_regclass(format('seqid.%I', name)) IS NULL THEN
        EXECUTE format('CREATE TABLE seqid.%I (LIKE seqid.event INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE seqid.event ATTACH PARTITION seqid.%I FOR VALUES FROM (%L) TO (%L)', name,
                       first::text || ' 00:00:00+00', (first + interval '1 month')::date::text || ' 00:00:00+00');
    END IF;
END
$$;

-- The names of the advisory locks that seqid takes, each with an object of 32 bits:
-- `sequence` a group of sequences: shared by draws, alone by whoever changes a definition, closes dates or archives;
-- `opening` the same group: alone by whoever opens a counter of it;
-- `month`, `migration` and `outbox` once in a database.
CREATE FUNCTION seqid.lock_class(name text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT 1936027000 + CASE name WHEN 'sequence' THEN 1 WHEN 'opening' THEN 2 WHEN 'month' THEN 3
                                  WHEN 'migration' THEN 4 WHEN 'outbox' THEN 5 END
$$;

-- The key of the lock that says: positions above this one are being given out. The upper 16 bits are seqid's.
CREATE FUNCTION seqid.position_lock(bound bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT (29541::bigint << 48) | bound
$$;

-- Begins a transaction that records events: takes its share of groups of sequences, which must rise, and marks the positions
-- from here on as being given out.
CREATE FUNCTION seqid.enter(groups integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one integer;
BEGIN
    FOREACH one IN ARRAY groups LOOP
        PERFORM pg_advisory_xact_lock_shared(seqid.lock_class('sequence'), one);
    END LOOP;
    PERFORM pg_advisory_xact_lock_shared(seqid.position_lock(last_value)) FROM seqid.event_position;
END
$$;

-- The transaction's COMMIT is answered once it is on the disk, whatever its session is set to: else a number that was given out
-- could be lost with the server, and given out again.
CREATE FUNCTION seqid.commit_durably() RETURNS void LANGUAGE sql AS $$
    SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')
$$;

-- Begins a draw in a transaction of the caller's own, which shares groups too. Answers whose database it is. Each statement must
-- see what was committed by then, or a number could be given out by a definition that holds no more.
CREATE FUNCTION seqid.share(groups integer[]) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    one integer;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'seqid draws in transactions of isolation READ COMMITTED only'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM seqid.commit_durably();
    FOREACH one IN ARRAY groups LOOP
        PERFORM pg_advisory_xact_lock_shared(seqid.lock_class('sequence'), one);
    END LOOP;
    RETURN (SELECT authority FROM seqid.store);
END
$$;

-- The same for one who changes what holds for these groups: nobody else is at work in them.
CREATE FUNCTION seqid.enter_alone(groups integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one integer;
BEGIN
    FOREACH one IN ARRAY groups LOOP
        PERFORM pg_advisory_xact_lock(seqid.lock_class('sequence'), one);
    END LOOP;
    PERFORM pg_advisory_xact_lock_shared(seqid.position_lock(last_value)) FROM seqid.event_position;
END
$$;

-- Events of transactions that stay open for as long as their callers like. They get their positions when the transaction
-- commits: readers stop at the lowest position that is being given out. Nobody ever sees a row of another transaction here,
-- and `xact` is indexed so that none is passed over either. `ticket` is the order in which they happened.
CREATE TABLE seqid.event_waiting (
    xact   xid8   NOT NULL DEFAULT pg_current_xact_id(),
    ticket bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    LIKE seqid.event,
    PRIMARY KEY (xact, ticket)
);
ALTER TABLE seqid.event_waiting DROP COLUMN position;

-- Moves the waiting events of this transaction into the log: the first row's trigger moves them all, so that one lock says
-- that positions are being given out. The month's partition is added here too, for its lock is one for the whole database.
CREATE FUNCTION seqid.record_waiting() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM seqid.event_waiting WHERE xact = NEW.xact AND ticket = NEW.ticket) THEN
        RETURN NULL;
    END IF;
    PERFORM seqid.add_month(month)
    FROM (SELECT DISTINCT date_trunc('month', at AT TIME ZONE 'UTC')::date AS month
          FROM seqid.event_waiting WHERE xact = NEW.xact) months;
    PERFORM pg_advisory_xact_lock_shared(seqid.position_lock(last_value)) FROM seqid.event_position;
    WITH gone AS (
        DELETE FROM seqid.event_waiting WHERE xact = NEW.xact RETURNING *
    )
    INSERT INTO seqid.event (position, at, sequence, chain, kind, n, generation, epoch, first, step, count, version, mode,
        date, fields, actor, client, request, reference, relates_to, reason, key, fingerprint, detail, reservation,
        expires_at, on_expiry, hash)
    SELECT nextval('seqid.event_position'), g.at, g.sequence, g.chain, g.kind, g.n, g.generation, g.epoch, g.first, g.step,
           g.count, g.version, g.mode, g.date, g.fields, g.actor, g.client, g.request, g.reference, g.relates_to, g.reason,
           g.key, g.fingerprint, g.detail, g.reservation, g.expires_at, g.on_expiry, g.hash
    FROM (SELECT * FROM gone ORDER BY ticket) g;
    RETURN NULL;
END
$$;

-- Fires when the transaction commits, before its locks are let go: positions rise within a chain.
CREATE CONSTRAINT TRIGGER record AFTER INSERT ON seqid.event_waiting
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION seqid.record_waiting();

-- The position up to which every event is there that ever will be: no transaction is at work that has a lower one.
-- Volatile, so that each of its statements sees what is committed by then: the last position must be read first.
CREATE FUNCTION seqid.horizon() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last   bigint;
    lowest bigint;
BEGIN
    SELECT last_value INTO last FROM seqid.event_position;
    SELECT min((classid::bigint << 32 | objid::bigint) & 281474976710655) INTO lowest
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = 29541
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
    RETURN least(last, lowest);
END
$$;

-- The log, with what waits for the commit of this transaction.
CREATE VIEW seqid.event_and_own AS
SELECT * FROM seqid.event
UNION ALL
SELECT 0, w.at, w.sequence, w.chain, w.kind, w.n, w.generation, w.epoch, w.first, w.step, w.count, w.version, w.mode, w.date,
       w.fields, w.actor, w.client, w.request, w.reference, w.relates_to, w.reason, w.key, w.fingerprint, w.detail,
       w.reservation, w.expires_at, w.on_expiry, w.hash
FROM seqid.event_waiting w WHERE w.xact = pg_current_xact_id_if_assigned();

-- How many events of a chain there are up to a position. Those of a partition that was detached count as earlier ones.
CREATE FUNCTION seqid.n_at(of_chain bigint, up_to bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low    bigint := 0;
    high   bigint;
    middle bigint;
    found  bigint;
BEGIN
    SELECT max(n) INTO high FROM seqid.event WHERE chain = of_chain;
    high := coalesce(high, 0);
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        SELECT position INTO found FROM seqid.event WHERE chain = of_chain AND n = middle;
        IF found IS NULL OR found <= up_to THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- The earliest and latest instant of each 4,096 positions, the first of them in block 0. `earliest` is later than `latest` where
-- there are no events. Blocks are added in order, once none of their events can be missing.
CREATE TABLE seqid.event_block (
    id       bigint      PRIMARY KEY,
    earliest timestamptz NOT NULL,
    latest   timestamptz NOT NULL
);

-- Adds the blocks that are full, so many at most, and answers how many they were.
CREATE FUNCTION seqid.add_blocks(most integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    next_block bigint;
    behind     bigint;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        -- What it sees is older than the horizon.
        RAISE EXCEPTION 'blocks are added in transactions of isolation READ COMMITTED only'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    SELECT coalesce(max(id) + 1, 0) INTO next_block FROM seqid.event_block;
    IF (SELECT last_value FROM seqid.event_position) / 4096 <= next_block THEN
        RETURN 0;
    END IF;
    behind := least(seqid.horizon() / 4096, next_block + most);
    -- A session that does the same at the same time is waited for.
    INSERT INTO seqid.event_block (id, earliest, latest)
    SELECT b.id, coalesce(at.earliest, 'infinity'), coalesce(at.latest, '-infinity')
    FROM generate_series(next_block, behind - 1) b (id),
         LATERAL (SELECT min(e.at) AS earliest, max(e.at) AS latest
                  FROM seqid.event e WHERE e.position BETWEEN b.id * 4096 + 1 AND (b.id + 1) * 4096) at
    ON CONFLICT (id) DO NOTHING;
    RETURN greatest(behind - next_block, 0);
END
$$;

-- The nearest positions from one on that may have events of a time, in the order of a page: blocks that follow one another.
-- Positions that are in no block yet may have any.
CREATE FUNCTION seqid.positions_in_time(near bigint, newest_first boolean, from_at timestamptz, to_at timestamptz,
                                        OUT first bigint, OUT last bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    of_near bigint := (near - 1) / 4096;
    known   bigint;
    found   bigint;
    other   bigint;
BEGIN
    SELECT coalesce(max(id) + 1, 0) INTO known FROM seqid.event_block;
    from_at := coalesce(from_at, '-infinity');
    to_at := coalesce(to_at, 'infinity');
    IF newest_first AND of_near >= known THEN
        first := known * 4096 + 1;
        last := 9223372036854775807;
    ELSIF newest_first THEN
        SELECT id INTO found FROM seqid.event_block
        WHERE id <= of_near AND latest >= from_at AND earliest < to_at ORDER BY id DESC LIMIT 1;
        SELECT id INTO other FROM seqid.event_block
        WHERE id < found AND NOT (latest >= from_at AND earliest < to_at) ORDER BY id DESC LIMIT 1;
        first := CASE WHEN found IS NOT NULL THEN (coalesce(other, -1) + 1) * 4096 + 1 END;
        last := (found + 1) * 4096;
    ELSE
        SELECT id INTO found FROM seqid.event_block
        WHERE id >= of_near AND latest >= from_at AND earliest < to_at ORDER BY id LIMIT 1;
        SELECT id INTO other FROM seqid.event_block
        WHERE id > found AND NOT (latest >= from_at AND earliest < to_at) ORDER BY id LIMIT 1;
        first := coalesce(found, known) * 4096 + 1;
        last := coalesce(other * 4096, 9223372036854775807);
    END IF;
END
$$;

-- Events of counters that begin at a lower number than one before them: what became of numbers, numbers that are given again,
-- and the resets that lead back. All other events of a counter rise between two of the last. `size` is the number of bits of
-- `last - first`, so that few events have to be looked at to find those of a number.
CREATE TABLE seqid.turn (
    counter bigint   NOT NULL,
    n       bigint   NOT NULL,
    back    boolean  NOT NULL,
    size    smallint,
    first   bigint,
    last    bigint,
    PRIMARY KEY (counter, n)
);

CREATE INDEX turn_number ON seqid.turn (counter, size, first);
CREATE INDEX turn_back ON seqid.turn (counter, n) WHERE back;

-- The `n` behind the last event from `low` to `high - 1` that begins at a number or before it. Turns between are passed over.
CREATE FUNCTION seqid.n_behind(of_chain bigint, low bigint, high bigint, number bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    middle bigint;
    found  record;
BEGIN
    WHILE low < high LOOP
        middle := (low + high) / 2;
        SELECT e.n, e.first INTO found FROM seqid.event e
        WHERE e.chain = of_chain AND e.n >= middle AND e.n < high AND e.first IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM seqid.turn t WHERE t.counter = e.chain AND t.n = e.n)
        ORDER BY e.n LIMIT 1;
        IF found.first <= number THEN
            low := found.n + 1;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- Where the events of a counter are that may have one of some numbers, as ranges of `n`: all of them if the counter turned back
-- more than a hundred times, or if too many turns have such numbers.
CREATE FUNCTION seqid.n_of_numbers(of_chain bigint, first_number bigint, last_number bigint)
    RETURNS TABLE (first_n bigint, last_n bigint) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    total  bigint;
    backs  bigint[];
    turns  bigint[] := '{}';
    one    smallint;
    begins bigint := 1;
    behind bigint;
BEGIN
    SELECT max(e.n) INTO total FROM seqid.event e WHERE e.chain = of_chain;
    backs := ARRAY(SELECT t.n FROM seqid.turn t WHERE t.counter = of_chain AND t.back ORDER BY t.n LIMIT 101);
    SELECT min(t.size) INTO one FROM seqid.turn t WHERE t.counter = of_chain;
    WHILE one IS NOT NULL AND cardinality(turns) <= 1000 LOOP
        turns := turns || ARRAY(
            SELECT t.n FROM seqid.turn t
            WHERE t.counter = of_chain AND t.size = one AND t.last >= first_number
              AND t.first BETWEEN greatest(first_number - 2::numeric ^ one, 0)::bigint AND last_number
            LIMIT 1001);
        SELECT min(t.size) INTO one FROM seqid.turn t WHERE t.counter = of_chain AND t.size > one;
    END LOOP;
    IF cardinality(backs) > 100 OR cardinality(turns) > 1000 THEN
        RETURN QUERY SELECT 1::bigint, total;
        RETURN;
    END IF;
    RETURN QUERY SELECT u.n, u.n FROM unnest(turns) u (n);
    FOREACH behind IN ARRAY backs || coalesce(total + 1, 1) LOOP
        -- The last event that begins at the first number or before it may have it.
        first_n := greatest(seqid.n_behind(of_chain, begins, behind, first_number) - 1, begins);
        last_n := seqid.n_behind(of_chain, first_n, behind, last_number) - 1;
        IF first_n <= last_n THEN
            RETURN NEXT;
        END IF;
        begins := behind + 1;
    END LOOP;
END
$$;

-- Idempotency keys by their digests, each with the event that it made.
CREATE TABLE seqid.idempotency_key (
    name  bytea       PRIMARY KEY,
    chain bigint      NOT NULL,
    n     bigint      NOT NULL,
    at    timestamptz NOT NULL
);

CREATE INDEX idempotency_key_at ON seqid.idempotency_key (at);

-- Numbers that were not plainly issued; all others from a counter's start to its last were. `n` is that of the event that
-- says so.
CREATE TABLE seqid.mark (
    counter     bigint   NOT NULL,
    generation  integer  NOT NULL,
    epoch       integer  NOT NULL,
    first       bigint   NOT NULL,
    step        bigint   NOT NULL,
    count       bigint   NOT NULL,
    state       smallint NOT NULL,
    date        date,
    fields      text,
    reservation bytea,
    expires_at  timestamptz,
    on_expiry   smallint,
    reference   text,
    relates_to  text,
    n           bigint   NOT NULL,
    PRIMARY KEY (counter, generation, first)
);

CREATE INDEX mark_ending ON seqid.mark (counter, expires_at) WHERE state = 1;
CREATE INDEX mark_free ON seqid.mark (counter, generation, first) WHERE state = 4;

-- The events of a counter that begin and end a reservation.
CREATE TABLE seqid.reservation (
    id      bytea  PRIMARY KEY,
    counter bigint NOT NULL,
    began   bigint NOT NULL,
    ended   bigint
);

-- The partitions of months that are attached, the oldest first.
CREATE FUNCTION seqid.months() RETURNS SETOF date LANGUAGE sql STABLE AS $$
    SELECT to_date(c.relname, '"event_"YYYY_MM') AS month
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'seqid.event'::regclass AND c.relname ~ '^event_\d{4}_\d{2}$'
    ORDER BY 1
$$;

-- Takes the oldest month out of the audit, and answers the table that has its events, to be dumped and dropped. What marks and open
-- reservations go back to stays, and so do the events of sequences as a whole; of each counter the last event is noted.
CREATE FUNCTION seqid.detach_month(month date) RETURNS regclass LANGUAGE plpgsql AS $$
DECLARE
    first  date := date_trunc('month', month);
    behind timestamptz := (first + interval '1 month') AT TIME ZONE 'UTC';
    name   text := 'event_' || to_char(first, 'YYYY_MM');
    oldest date;
    kept   timestamptz;
    last   bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(seqid.lock_class('month'), 0);
    SELECT min(m) INTO oldest FROM seqid.months() m;
    SELECT clock_timestamp() - s.key_retention INTO kept FROM seqid.store s;
    IF oldest IS NULL OR first <> oldest THEN
        RAISE EXCEPTION 'the oldest month is %, and it goes first', coalesce(to_char(oldest, 'YYYY-MM'), 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    ELSIF behind > kept THEN
        RAISE EXCEPTION 'idempotency keys of % still count: it can be detached after %', to_char(first, 'YYYY-MM'),
            behind + (clock_timestamp() - kept) USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('SELECT max(position) FROM seqid.%I', name) INTO last;
    IF (SELECT s.acknowledged BETWEEN 1 AND last - 1 FROM seqid.store s) THEN
        RAISE EXCEPTION 'events of % were not delivered yet', to_char(first, 'YYYY-MM')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO seqid.detached (month) VALUES (first);
    EXECUTE format('INSERT INTO seqid.boundary (chain, month, n, hash, position) '
                   'SELECT DISTINCT ON (e.chain) e.chain, $1, e.n, e.hash, max(e.position) OVER () FROM seqid.%I e '
                   'WHERE e.chain <> e.sequence ORDER BY e.chain, e.n DESC', name) USING first;
    EXECUTE format('ALTER TABLE seqid.event DETACH PARTITION seqid.%I', name);
    EXECUTE format('DELETE FROM seqid.reservation r USING seqid.%I e WHERE e.chain = r.counter AND e.n = r.ended', name);
    EXECUTE format('INSERT INTO seqid.event SELECT e.* FROM seqid.%I e WHERE e.chain = e.sequence '
                   'OR EXISTS (SELECT 1 FROM seqid.mark m WHERE m.counter = e.chain AND m.n = e.n) '
                   'OR EXISTS (SELECT 1 FROM seqid.reservation r WHERE r.counter = e.chain AND r.began = e.n)', name);
    RETURN format('seqid.%I', name)::regclass;
END
$$;

-- Puts the month that was detached last back into the audit. Its table must be there under its name.
CREATE FUNCTION seqid.attach_month(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first  date := date_trunc('month', month);
    behind date := (date_trunc('month', month) + interval '1 month')::date;
    name   text := 'event_' || to_char(first, 'YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(seqid.lock_class('month'), 0);
    IF first IS DISTINCT FROM (SELECT max(d.month) FROM seqid.detached d) THEN
        RAISE EXCEPTION 'the month that was detached last is %, and it comes back first',
            coalesce((SELECT to_char(max(d.month), 'YYYY-MM') FROM seqid.detached d), 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- What was reported of the month since is in none of its rows.
    EXECUTE format('WITH kept AS (DELETE FROM seqid.event_kept k WHERE k.at >= $1 AND k.at < $2 RETURNING k.*) '
                   'INSERT INTO seqid.%I SELECT k.* FROM kept k ON CONFLICT DO NOTHING', name)
        USING first::timestamp AT TIME ZONE 'UTC', behind::timestamp AT TIME ZONE 'UTC';
    EXECUTE format('ALTER TABLE seqid.event ATTACH PARTITION seqid.%I FOR VALUES FROM (%L) TO (%L)', name,
                   first::text || ' 00:00:00+00', behind::text || ' 00:00:00+00');
    DELETE FROM seqid.boundary b WHERE b.month = first;
    DELETE FROM seqid.detached d WHERE d.month = first;
END
$$;

-- For people with a SQL prompt.
CREATE VIEW seqid.audit AS
SELECT e.position,
       s.tenant,
       s.prefix,
       c.scope,
       c.period,
       e.n,
       (ARRAY['issued', 'skipped', 'external', 'returned', 'restarted', 'defined', 'recovered', 'reserved', 'confirmed',
              'voided', 'expired', 'archived', 'closed', 'reopened', 'leased', 'reported', 'lost', 'frozen'])[e.kind] AS kind,
       e.first,
       e.first + e.step * (e.count - 1) AS last,
       e.step,
       e.count,
       e.generation,
       e.epoch,
       e.version AS definition_version,
       e.at,
       e.date,
       e.fields,
       e.actor,
       e.client,
       e.request,
       e.reference,
       e.relates_to,
       e.reason,
       e.key,
       encode(e.reservation, 'hex') AS reservation,
       encode(e.hash, 'hex') AS hash
FROM seqid.event e
JOIN seqid.sequence s ON s.id = e.sequence
LEFT JOIN seqid.counter c ON c.id = e.chain AND e.chain <> e.sequence;
