#!/usr/bin/env bash
# Makes a folder that checks a GPU on a machine without Rust and without internet: bash FOLDER/apps/bench/gpu.sh --minutes 12 --out DIR
#
#   apps/bench/pack-gpu.sh [--out FOLDER] [--features cuda] [--program FILE] [--tests FILE] [--cache DIR|FILE] [--data FILE.tar.xz]
#
# Program and test binary `backend` are built with cargo unless they are given, and packed without symbols. --cache names a folder of
# compiled kernels (QARE_CACHE_DIR of a run), or the archive cache.tar.xz that gpu.sh --minutes leaves: kernels are packed, timings of
# another GPU are not.
# --data names an archive of cifar-10-batches-bin, or of train/CLASS/IMAGE and test/CLASS/IMAGE. FOLDER (default: target/gpu-pack) may
# hold at most 60 MB, and must not exist yet, or be empty.
set -euo pipefail
start=$PWD
cd "$(dirname "$(readlink -f "$0")")/../.."

usage() { sed -n '2,/^set/p' apps/bench/pack-gpu.sh | sed '$d; s/^# \{0,1\}//'; }
path() { [[ $1 == /* ]] && echo "$1" || echo "$start/$1"; }
wrong() { echo "error: $*" >&2; usage >&2; exit 2; }

target=${CARGO_TARGET_DIR:-target}
features=cuda program= tests= cache= data= out=$target/gpu-pack
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --out | --features | --program | --tests | --cache | --data)
            (($# > 1)) && [[ -n $2 ]] || wrong "$1: a value is missing"
            name=${1#--} value=$2
            [[ $name == features ]] || value=$(path "$value")
            printf -v "$name" '%s' "$value"
            shift ;;
        *) wrong "unknown argument $1" ;;
    esac
    shift
done
for name in program tests data; do
    [[ -z ${!name} || -f ${!name} ]] || wrong "--$name ${!name}: there is no such file"
done
[[ -z $cache || -e $cache ]] || wrong "--cache $cache: there is no such folder or archive"
for name in program tests; do
    [[ -z ${!name} || $(head -c 4 "${!name}") == $'\x7fELF' ]] || wrong "--$name ${!name}: is not a program for Linux"
done
for archive in "$data" "$cache"; do
    [[ ! -f $archive ]] || tar -tf "$archive" >/dev/null 2>&1 || wrong "$archive: is not an archive that tar can read"
done
[[ -z $data ]] || xz -t "$data" 2>/dev/null || wrong "--data $data: expected a .tar.xz archive"
while [[ $out == ?*/ ]]; do out=${out%/}; done
if [[ -e $out || -L $out ]]; then
    [[ -d $out && ! -L $out && -z $(ls -A "$out") ]] || wrong "--out $out: exists already; remove it, or name another folder"
fi

build=(--release --locked --package qare-cli --no-default-features --features "$features")
if [[ -z $program ]]; then
    cargo build "${build[@]}" --bins
    program=$target/release/qare
fi
if [[ -z $tests ]]; then
    tests=$(cargo test "${build[@]}" --test backend --no-run 2>&1 | tee /dev/stderr | sed -n 's/.*Executable .*(\(.*\))$/\1/p')
    [[ -f $tests ]] || { echo "error: cargo did not say where the test binary is" >&2; exit 1; }
fi

mkdir -p "$(dirname "$out")"
part=$(mktemp -d "$out.XXXXXX") unpacked=
trap 'rm -rf "$part" ${unpacked:+"$unpacked"}' EXIT
chmod 755 "$part"
mkdir -p "$part/bin" "$part/qare/tests" "$part/models/tests" "$part/apps/bench"
for pair in "$program:qare" "$tests:backend"; do
    strip -o "$part/bin/${pair##*:}" "${pair%:*}"
    xz -T0 -6 "$part/bin/${pair##*:}"
done
cp -R configs "$part"
cp -R qare/tests/golden qare/tests/golden_metric "$part/qare/tests"
cp -R models/tests/golden "$part/models/tests"
cp apps/bench/gpu.sh apps/bench/gpu-minutes.sh apps/bench/backend-tests.sh "$part/apps/bench"
mkdir "$part/apps/bench/pytorch"
cp apps/bench/pytorch/*.py apps/bench/pytorch/requirements.txt "$part/apps/bench/pytorch"
given_cache=$cache
if [[ -f $cache ]]; then
    unpacked=$(mktemp -d)
    tar -C "$unpacked" -xf "$cache"
    cache=$unpacked
fi
if [[ -n $cache ]]; then
    # Folders of compiled kernels are named after compilers; those of timings after GPUs.
    kernels() { (cd "$cache" && find . -mindepth 2 -maxdepth 2 -type d -name '*-nvrtc*' "$@"); }
    [[ -n $(kernels) ]] || wrong "--cache $given_cache: holds no compiled kernels, expected folders such as VERSION/cuda-sm90-nvrtc13.0"
    kernels -print0 | tar -C "$cache" --null -cf - --exclude compiler-tried --exclude '*.lock' -T - | xz -T0 -6 >"$part/kernels.tar.xz"
fi
[[ -z $data ]] || cp "$data" "$part/data.tar.xz"
kilobytes=$(du -sk "$part" | cut -f1)
(cd "$part" && find . -type f -size +100k -exec du -k {} + | sort -rn | awk '{ printf "%8.1f MB  %s\n", $1 / 1024, $2 }')
printf '%8.1f MB  %s\n' "$(awk "BEGIN { print $kilobytes / 1024 }")" "$out"
((kilobytes <= 60 * 1024)) || { echo "error: more than 60 MB, nothing is written: leave out --data or --cache" >&2; exit 1; }
[[ ! -d $out ]] || rmdir "$out"
mv -T "$part" "$out"
