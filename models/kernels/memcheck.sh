#!/usr/bin/env bash
# Runs the tests of memory under valgrind's memcheck. Fails if a kernel accesses memory outside of an array, or if a result depends on
# uninitialised memory. Valgrind supports vectors up to AVX2 and reports no AVX-512 to programs.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v valgrind >/dev/null; then
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq valgrind
fi

host=$(rustc -vV | sed -n 's/^host: //p')
# A load that is only in part outside of an array is an error too.
export "CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER=valgrind --error-exitcode=9 --partial-loads-ok=no --leak-check=no"
cargo test --profile memcheck --package qare-kernels --locked --test suite -- memory:: "$@"
