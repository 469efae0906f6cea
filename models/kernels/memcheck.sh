#!/usr/bin/env bash
# The tests of memory under valgrind's memcheck: fails if a kernel reads or writes outside of an array, or if a result depends on
# memory that was never written. valgrind knows vectors up to AVX2 and says so to programs, so AVX-512 is not used.
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
