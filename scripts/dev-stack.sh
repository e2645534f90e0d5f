#!/usr/bin/env bash
# Starts everything for development, from installed programs: private PostgreSQL, Redis and RabbitMQ servers in a temporary folder,
# the service on them, and a worker. Prints their addresses; Ctrl-C stops all of it and removes the folder.
#
#   scripts/dev-stack.sh                       on free ports, REST on 8080 and gRPC on 9090
#   PORT=8180 GRPC_PORT=off scripts/dev-stack.sh
#   scripts/dev-stack.sh --check               starts, draws numbers, waits until they are in the audit, and stops
set -euo pipefail
cd "$(dirname "$0")/.."

check=
case "${1:-}" in
    "") ;;
    --check) check=1 ;;
    *)
        echo "usage: $0 [--check]" >&2
        exit 2
        ;;
esac

if ! command -v cargo >/dev/null; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi
shopt -s nullglob
folders=(/usr/lib/postgresql/*/bin)
IFS=: eval 'PATH="${SEQID_RABBITMQ_BIN:-/usr/lib/rabbitmq/bin}:${SEQID_POSTGRES_BIN:-${folders[*]}}:${SEQID_REDIS_BIN:-}:$PATH"'
export PATH
for program in initdb postgres psql redis-server redis-cli rabbitmq-server rabbitmqctl epmd curl; do
    command -v "$program" >/dev/null || {
        echo "$program is missing: run scripts/install-test-needs.sh" >&2
        exit 1
    }
done
[[ -n ${SEQID_SERVER:-} ]] || cargo build --quiet --release --package seqid-server
server=$(realpath "${SEQID_SERVER:-${CARGO_TARGET_DIR:-target}/release/seqid-server}")

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
folder=$(mktemp -d "${TMPDIR:-/tmp}/seqid-dev-XXXXXXXX")
started=()
stop() {
    trap '' INT TERM
    # The last that was started first: whoever records before what it records in.
    for ((at = ${#started[@]} - 1; at >= 0; at--)); do
        kill -s TERM -- "-${started[at]}" 2>/dev/null || true
        wait "${started[at]}" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# PostgreSQL and RabbitMQ do not run as root.
as=()
if [[ $(id -u) -eq 0 ]]; then
    account=nobody
    ! id -u postgres >/dev/null 2>&1 || account=postgres
    chown "$account" "$folder"
    as=(setpriv "--reuid=$account" "--regid=$(id -g "$account")" --clear-groups)
fi
# background NAME COMMAND...: in a process group of its own, so that a Ctrl-C reaches only this script.
background() {
    local name=$1
    shift
    (cd "$folder" && exec setsid "$@") >"$folder/$name.log" 2>&1 &
    started+=($!)
}
# until_so WHAT COMMAND...
until_so() {
    local what=$1 begun=$SECONDS
    shift
    until "$@" >/dev/null 2>&1; do
        if ! kill -s 0 "${started[-1]}" 2>/dev/null || [[ $((SECONDS - begun)) -gt 600 ]]; then
            echo "$what does not start:" >&2
            tail -n 20 "$folder"/*.log >&2
            exit 1
        fi
        sleep 0.1
    done
}

database_port=$(free_port)
(cd "$folder" && "${as[@]}" initdb --pgdata=data --username=seqid --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
    --no-sync >initdb.log)
background postgres "${as[@]}" postgres -D data -c "port=$database_port" -c listen_addresses=127.0.0.1 \
    -c "unix_socket_directories=$folder"
until_so PostgreSQL psql -h 127.0.0.1 -p "$database_port" -U seqid -d postgres -c 'SELECT 1'
psql -q -h 127.0.0.1 -p "$database_port" -U seqid -d postgres -c 'CREATE DATABASE seqid'

redis_port=$(free_port)
background redis "${as[@]}" redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$folder" --appendonly yes --save ''
until_so Redis redis-cli -p "$redis_port" ping

broker_port=$(free_port)
export ERL_EPMD_ADDRESS=127.0.0.1
ERL_EPMD_PORT=$(free_port)
export ERL_EPMD_PORT
RABBITMQ_DIST_PORT=$(free_port)
printf 'listeners.tcp.default = 127.0.0.1:%s\nlog.file = false\nlog.console = true\n' "$broker_port" >"$folder/rabbitmq.conf"
printf '[].\n' >"$folder/enabled_plugins"
# The name server beside the node, so that it ends with it; and the node in place of its start script.
background rabbitmq "${as[@]}" env HOME="$folder" RABBITMQ_DIST_PORT="$RABBITMQ_DIST_PORT" \
    RABBITMQ_NODENAME="seqid-$broker_port@localhost" RABBITMQ_MNESIA_BASE="$folder/rabbitmq" \
    RABBITMQ_LOG_BASE="$folder/logs" RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" \
    RABBITMQ_ADVANCED_CONFIG_FILE="$folder/none" RABBITMQ_CONF_ENV_FILE="$folder/none" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" NOTIFY_SOCKET="$folder/none" \
    sh -c '
        epmd -port "$ERL_EPMD_PORT" -address "$ERL_EPMD_ADDRESS" & names=$!
        until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do sleep 0.1; done
        trap : TERM
        rabbitmq-server & node=$!
        while kill -s 0 "$node" 2>/dev/null; do wait "$node"; done
        kill "$names" 2>/dev/null
    '
until_so RabbitMQ bash -c "echo >/dev/tcp/127.0.0.1/$broker_port"

export DB_HOST=127.0.0.1 DB_PORT=$database_port DB_NAME=seqid DB_USER=seqid
export RABBITMQ_URL="amqp://guest:guest@127.0.0.1:$broker_port/%2f"
export REDIS_ADDR="127.0.0.1:$redis_port"
port=${PORT:-8080}
worker_port=$(free_port)
background server env PORT="$port" "$server" serve
until_so "the service" curl -fs "http://127.0.0.1:$port/ready"
background worker env PORT="$worker_port" "$server" worker
until_so "the worker" curl -fs "http://127.0.0.1:$worker_port/ready"

cat <<TEXT
REST        http://127.0.0.1:$port       (documentation: http://127.0.0.1:$port/docs)
gRPC        127.0.0.1:${GRPC_PORT:-9090}
worker      http://127.0.0.1:$worker_port/metrics
PostgreSQL  psql -h 127.0.0.1 -p $database_port -U seqid seqid
Redis       redis-cli -p $redis_port
RabbitMQ    $RABBITMQ_URL
logs        $folder/*.log

Draw a number, and see it arrive in the audit:
  curl -X POST http://127.0.0.1:$port/api/v1/next -H 'Content-Type: application/json' -d '{"prefix":"INV"}'
  psql -h 127.0.0.1 -p $database_port -U seqid seqid -c 'SELECT prefix, n, kind, first, last FROM seqid_audit.event'

Ctrl-C stops all of it.
TEXT

if [[ -n $check ]]; then
    ask() {
        curl -fsS -X "$1" "http://127.0.0.1:$port/api/v1/$2" -H 'Content-Type: application/json' -d "$3"
        echo
    }
    ask POST next '{"prefix":"INV"}'
    ask PUT sequences/ORD '{"format":"ORD-{seq:5}","mode":"ordered"}' >/dev/null
    ask POST next '{"prefix":"ORD"}'
    recorded() {
        [[ $(psql -At -h 127.0.0.1 -p "$database_port" -U seqid seqid \
            -c "SELECT count(*) FROM seqid_audit.event WHERE (prefix, kind) IN (('INV', 'issued'), ('ORD', 'reported'))") == 2 ]]
    }
    until_so "the audit" recorded
    echo "the numbers are in the audit"
    exit 0
fi
wait -n "${started[@]}" || true
echo "a part has ended by itself; see $folder/*.log (removed now)" >&2
tail -n 5 "$folder"/*.log >&2
exit 1
