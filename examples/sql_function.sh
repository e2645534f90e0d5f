#!/usr/bin/env bash
# An ERP in any language draws its invoice numbers within its own transactions, with plain SQL. See docs/sql.md.
#
#   examples/sql_function.sh postgres://owner:password@localhost:5432/erp
#
# The database is one that seqid keeps its numbers in; the sequence SINV must be defined, with a scope field `branch`:
#
#   curl -X PUT localhost:8080/api/v1/sequences/SINV -H 'content-type: application/json' \
#        -d '{"format":"{branch}/{yyyy}/{seq:4}","reset":"year","scope":["branch"]}'
set -euo pipefail
url=${1:?the URL of a PostgreSQL database that seqid uses}

sql() {
    psql "$url" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --set VERBOSITY=verbose
}

echo "== a table of the ERP, whose invoices get their numbers as they are written"
sql <<'SQL'
CREATE SCHEMA IF NOT EXISTS sql_function_example;
DROP TABLE IF EXISTS sql_function_example.invoice;
CREATE TABLE sql_function_example.invoice (id text PRIMARY KEY, branch text NOT NULL, customer text NOT NULL);
SQL

invoice() {
    cat <<SQL
INSERT INTO sql_function_example.invoice
SELECT seqid.next('SINV', date => '2026-03-07', scope => jsonb_build_object('branch', '$1'), reference => '$2'), '$1', '$2'
RETURNING id;
SQL
}

echo "== committed: the invoice and its number are there"
(echo "BEGIN;" && invoice JKT SO-1 && echo "COMMIT;") | sql

echo "== rolled back: neither is, and the number is the next one again"
(echo "BEGIN;" && invoice JKT SO-2 && echo "ROLLBACK;") | sql
(echo "BEGIN;" && invoice JKT SO-3 && echo "COMMIT;") | sql

echo "== all that is known of a number"
sql <<'SQL'
SELECT id, number, period, generation, epoch, definition_version, replayed
FROM seqid.draw('SINV', date => '2026-03-07', scope => '{"branch":"SUB"}', key => 'order-4', actor => 'alice');
SQL

echo "== the same again, under the same key"
sql <<'SQL'
SELECT id, number, period, generation, epoch, definition_version, replayed
FROM seqid.draw('SINV', date => '2026-03-07', scope => '{"branch":"SUB"}', key => 'order-4', actor => 'alice');
SQL

echo "== a refusal has a SQLSTATE, a code and a hint"
sql <<<"SELECT seqid.next('SINV', scope => '{\"town\":\"Jakarta\"}');" 2>&1 && exit 1 || true

echo "== the invoices"
sql <<<"SELECT id, customer FROM sql_function_example.invoice ORDER BY id;"
