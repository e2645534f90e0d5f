#!/usr/bin/env bash
# Installs what building and testing need beyond Rust: a C compiler, for SQLite, and curl. Only what is missing.
set -euo pipefail

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

missing=()
compiles || missing+=(gcc libc6-dev)
command -v curl >/dev/null || missing+=(curl ca-certificates)
[[ ${#missing[@]} -eq 0 ]] && exit 0

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
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" \
    </dev/null || cannot "apt-get install failed"
compiles || cannot "the C compiler still does not work"
