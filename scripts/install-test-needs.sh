#!/usr/bin/env bash
# Installs what building and testing need beyond Rust: a C compiler, for SQLite, curl, the programs of PostgreSQL, Redis and
# RabbitMQ, of which tests start servers of their own, OpenSSL for their certificates, and Python and Node with the packages of
# the clients that are tested, which go below the target folder. Only what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo >/dev/null && [[ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi
if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust from https://rustup.rs" >&2
    exit 1
fi

compiles() {
    printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c - -o /dev/null 2>/dev/null
}

# Looks where the tests look.
has_postgres() (
    shopt -s nullglob
    IFS=:
    if [[ -n ${SEQID_POSTGRES_BIN+set} ]]; then
        PATH=$SEQID_POSTGRES_BIN
    else
        folders=(/usr/lib/postgresql/*/bin)
        PATH="$PATH:${folders[*]}"
    fi
    command -v initdb && command -v postgres && command -v psql
) >/dev/null

has_redis() (
    [[ -z ${SEQID_REDIS_BIN+set} ]] || PATH=$SEQID_REDIS_BIN
    command -v redis-server && command -v redis-cli
) >/dev/null

# Not those of /usr/sbin, which only root and the account of the machine's own server can run.
has_rabbitmq() (
    PATH=${SEQID_RABBITMQ_BIN-/usr/lib/rabbitmq/bin:$PATH}
    command -v rabbitmq-server && command -v rabbitmqctl
) >/dev/null

missing=()
compiles || missing+=(gcc libc6-dev)
command -v curl >/dev/null || missing+=(curl ca-certificates)
# For the certificates of servers that speak TLS.
command -v openssl >/dev/null || missing+=(openssl)
command -v ps >/dev/null && command -v pkill >/dev/null || missing+=(procps)
has_postgres || missing+=(postgresql)
# Sentinels and clusters run the same program.
has_redis || missing+=(redis-server)
has_rabbitmq || missing+=(rabbitmq-server)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)

# The packages of a language are there when what was asked for then is what is asked for now.
clients=${CARGO_TARGET_DIR:-target}/interop
python_client() {
    local needs=seqid-server/tests/clients/python/requirements.txt
    cmp -s "$needs" "$clients/python/requirements.txt" && return
    rm -rf "$clients/python"
    python3 -m venv "$clients/python"
    "$clients/python/bin/pip" install --quiet --disable-pip-version-check --requirement "$needs"
    cp "$needs" "$clients/python/"
}
node_client() {
    local needs=seqid-server/tests/clients/node/package.json
    cmp -s "$needs" "$clients/node/package.json" && [[ -d $clients/node/node_modules ]] && return
    rm -rf "$clients/node"
    mkdir -p "$clients/node.new"
    cp "$needs" "$clients/node.new/"
    npm install --prefix "$clients/node.new" --silent --no-audit --no-fund --no-package-lock --ignore-scripts
    mv "$clients/node.new" "$clients/node"
}
if [[ ${#missing[@]} -eq 0 ]]; then
    python_client
    node_client
    exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    as_root=(sudo -n)
fi
cannot() {
    echo "$1. Install these by hand: ${missing[*]}" >&2
    exit 1
}
command -v apt-get >/dev/null || cannot "this machine has no apt-get"
if [[ ${#as_root[@]} -gt 0 ]] && ! "${as_root[@]}" true 2>/dev/null; then
    cannot "packages are missing, and sudo would ask for a password or is not there"
fi
echo "installing ${missing[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null || cannot "apt-get update failed"
install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" \
        </dev/null || cannot "apt-get install failed"
}
# Debian's package makes a server on port 5432 and starts it, unless it is told not to before it is installed.
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    install postgresql-common
    "${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
    echo "create_main_cluster = false" |
        "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/seqid-tests.conf >/dev/null
fi
# The same for a Redis on port 6379 and a RabbitMQ on 5672: packages start no service that this file forbids, and what is
# enabled would start with the machine.
policy=/usr/sbin/policy-rc.d
quiet=()
for package in redis-server rabbitmq-server; do
    [[ " ${missing[*]} " != *" $package "* ]] || quiet+=("$package")
done
if [[ ${#quiet[@]} -gt 0 ]]; then
    give_back() {
        "${as_root[@]}" rm -f "$policy"
        [[ ! -e $policy.kept ]] || "${as_root[@]}" mv "$policy.kept" "$policy"
    }
    trap give_back EXIT
    [[ ! -e $policy ]] || "${as_root[@]}" mv "$policy" "$policy.kept"
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    install "${quiet[@]}"
    if command -v systemctl >/dev/null; then
        "${as_root[@]}" systemctl disable --quiet "${quiet[@]}" 2>/dev/null || true
    fi
fi
install "${missing[@]}"
compiles || cannot "the C compiler still does not work"
has_postgres || cannot "the programs of PostgreSQL are still not there"
has_redis || cannot "the programs of Redis are still not there"
has_rabbitmq || cannot "the programs of RabbitMQ are still not there"
python_client
node_client
