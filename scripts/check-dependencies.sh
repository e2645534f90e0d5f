#!/usr/bin/env bash
# Which crate may depend on what.
#
#   scripts/check-dependencies.sh               checks the workspace
#   scripts/check-dependencies.sh --self-test   shows of each rule that it would notice each crate that it forbids
set -euo pipefail
cd "$(dirname "$0")/.."

backends="seqid-sqlite seqid-postgres seqid-redis seqid-amqp"
transports="seqid-http seqid-grpc"
drivers="rusqlite libsqlite3-sys redis sqlx sqlx-core tokio-postgres lapin"
servers="axum hyper hyper-util tonic tower"
composition="clap mimalloc prometheus-client tracing-subscriber"
# May name backends: the service that is composed of them, the command that opens an embedded file, and what is
# not published.
composers="seqid-server seqid-cli seqid-benches seqid-examples"

# without WORDS NAME...: the words without these names.
without() {
    local words=$1 name
    shift
    for name in "$@"; do
        words=$(sed -E "s/(^| )$name( |$)/ /" <<<"$words")
    done
    echo "$words"
}

# One rule a line: crate, then what must be nowhere below it.
rules() {
    echo "seqid-core $backends $transports $drivers $servers $composition seqid-server"
    echo "seqid-http $backends seqid-grpc seqid-proto $drivers tonic $composition seqid-server"
    # Axum is what tonic routes with; sockets and HTTP/2 are the business of what serves.
    echo "seqid-grpc $backends seqid-http seqid-client $drivers hyper hyper-util h2 $composition seqid-server"
    echo "seqid-proto seqid-core $backends $transports seqid-client $drivers axum hyper hyper-util h2 protox" \
        "tonic-prost-build prost-build $composition seqid-server"
    echo "seqid-client $backends $transports $drivers axum $composition seqid-server"
    echo "seqid-sqlite $(without "$backends" seqid-sqlite) $transports $(without "$drivers" rusqlite libsqlite3-sys)" \
        "$servers $composition seqid-server"
    echo "seqid-postgres $(without "$backends" seqid-postgres) $transports" \
        "$(without "$drivers" sqlx sqlx-core) $servers $composition seqid-server"
    echo "seqid-verify $backends $transports seqid-client $drivers $servers $composition seqid-server"
    # It opens an embedded file, and verifies a database; it serves nothing.
    echo "seqid-cli seqid-redis seqid-amqp $transports redis lapin axum prometheus-client tracing-subscriber seqid-server"
    # Whoever builds the service need not wait for the command line.
    echo "seqid-server seqid-cli seqid-client clap_complete clap_mangen comfy-table indicatif hdrhistogram"
    echo "seqid-redis $(without "$backends" seqid-redis) $transports $(without "$drivers" redis)" \
        "$servers $composition seqid-server"
    echo "seqid-amqp $(without "$backends" seqid-amqp) $transports $(without "$drivers" lapin)" \
        "$servers $composition seqid-server"
}

# The crates below a crate, itself left out, with all features on.
below() {
    cargo tree --locked --package "$1" --edges normal --all-features --prefix none --format '{p}' |
        awk -v self="$1" '$1 != self { print $1 }' | sort -u
}

# The crates that a crate names in its own [dependencies].
named_by() {
    cargo tree --locked --package "$1" --edges normal --all-features --depth 1 --prefix none \
        --format '{p}' | awk -v self="$1" '$1 != self { print $1 }' | sort -u
}

# Every crate of every platform and feature.
everything() {
    sed -nE 's/^name = "(.*)"$/\1/p' Cargo.lock | sort -u
}

members() {
    cargo tree --locked --workspace --depth 0 --prefix none --format '{p}' | awk 'NF { print $1 }' | sort -u
}

# forbidden_in NAMES FORBIDDEN: those of the forbidden that are among the names, one a line.
forbidden_in() {
    tr ' ' '\n' <<<"$2" | sed '/^$/d' | grep -Fx -f - <(printf '%s\n' "$1") || true
}

tls="openssl openssl-sys native-tls"
failed=0
# refuse NAMES FORBIDDEN MESSAGE
refuse() {
    local found
    found=$(forbidden_in "$1" "$2" | paste -sd' ')
    if [[ -n $found ]]; then
        echo "$3: $found" >&2
        failed=1
    fi
}

check() {
    local crate forbidden file
    while read -r crate forbidden; do
        refuse "$(below "$crate")" "$forbidden" "$crate must not depend on"
    done < <(rules)
    for crate in $(without "$(members | paste -sd' ')" $composers); do
        refuse "$(named_by "$crate")" "$backends" "$crate must not name a backend"
    done
    refuse "$(everything)" "$tls" "no crate may bring"
    for file in $(grep -rl seqid_postgres seqid-cli/src | grep -Fxv seqid-cli/src/commands/verify.rs || true); do
        echo "seqid-cli may name a database to verify it alone, not in $file" >&2
        failed=1
    done
    [[ $failed -eq 0 ]] && echo "dependencies: as they should be"
}

# expect_refusal NAMES FORBIDDEN: each forbidden name, put among the names, is found.
expect_refusal() {
    local name
    for name in $2; do
        if [[ $(forbidden_in "$1"$'\n'"$name" "$name") != "$name" ]]; then
            echo "a dependency on $name would not be noticed" >&2
            failed=1
        fi
    done
}

self_test() {
    local crate forbidden server name
    while read -r crate forbidden; do
        expect_refusal "$(below "$crate")" "$forbidden"
    done < <(rules)
    expect_refusal "$(named_by seqid-http)" "$backends"
    expect_refusal "$(everything)" "$tls"
    # Real trees too: the service has nearly everything that the core must not have.
    server=$(below seqid-server)
    for name in seqid-sqlite seqid-http seqid-grpc seqid-proto rusqlite libsqlite3-sys axum hyper h2 tonic clap; do
        if [[ $(forbidden_in "$server" "$name") != "$name" ]]; then
            echo "$name is not found below seqid-server, where it is" >&2
            failed=1
        fi
    done
    if [[ -z $(forbidden_in "$(named_by seqid-server)" "$backends") ]]; then
        echo "seqid-server's backends are not found, though it names them" >&2
        failed=1
    fi
    # A prefix of a name is another name.
    if [[ -n $(forbidden_in "redis-protocol" "redis") ]]; then
        echo "redis-protocol is taken for redis" >&2
        failed=1
    fi
    [[ $failed -eq 0 ]] && echo "dependency rules: each can fail"
}

case "${1:-}" in
    "") check ;;
    --self-test) self_test ;;
    *)
        echo "usage: $0 [--self-test]" >&2
        exit 2
        ;;
esac
[[ $failed -eq 0 ]]
