# What the test binary `backend` needs where it was not built. Sourced by scripts in the root of the checkout, or of a packed folder.

# golden_files FOLDER: gathers the golden files there, and tells the tests.
golden_files() {
    mkdir -p "$1"
    cp qare/tests/golden/* models/tests/golden/* "$1"
    export QARE_GOLDEN_DIR=$1 QARE_GOLDEN_METRIC_DIR=$PWD/qare/tests/golden_metric
}

# configure_tests FOLDER KERNELS AUTOTUNE: tests that run in FOLDER have one stream, as the program has, and keep compiled kernels and timings in
# these folders.
configure_tests() {
    mkdir -p "$1"
    cat >"$1/cubecl.toml" <<TOML
[streaming]
max_streams = 1
[compilation]
cache = { file = "$2" }
[autotune]
cache = { file = "$3" }
TOML
}
