#!/usr/bin/env bash
# Runs all tests, documentation included, and prints how many passed and failed.
#
#   scripts/test.sh                               everything, with all features: TLS to each server among them
#   scripts/test.sh -p seqid-core                 arguments go to `cargo test` in place of --workspace --all-features
#   scripts/test.sh --workspace -- --nocapture
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-test-needs.sh
if ! command -v cargo >/dev/null; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

[[ $# -gt 0 ]] || set -- --workspace --all-features
output=$(mktemp)
trap 'rm -f "$output"' EXIT

status=0
CARGO_TERM_COLOR=never cargo test --no-fail-fast "$@" </dev/null 2>&1 | tee "$output" || status=$?

# "test result: ok. 12 passed; 0 failed; 1 ignored; ..."
sum() {
    awk -v word="$1" '
        /^test result:/ { for (i = 2; i <= NF; i++) if ($i == word ";") total += $(i - 1) }
        END { print total + 0 }
    ' "$output"
}
passed=$(sum passed)
failed=$(sum failed)
ignored=$(sum ignored)

[[ $ignored -eq 0 ]] || echo "$ignored ignored"
if [[ $status -ne 0 && $failed -eq 0 ]]; then
    echo "not all tests could be run: see above" >&2
fi
echo "$passed passed, $failed failed"
[[ $status -eq 0 && $failed -eq 0 && $passed -gt 0 ]]
