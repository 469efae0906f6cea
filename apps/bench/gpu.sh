#!/usr/bin/env bash
# All that has to be seen on a GPU, in one command: the tests, the quickstart, whole runs on CIFAR-10, and benchmarks.
#
#   apps/bench/gpu.sh --data-dir DIR [--features cuda|vulkan|metal|wgpu] [--seeds 1,2,3] [--epochs 200]
#                     [--backbones conv4,resnet32] [--methods simclr,…] [--precision f32] [--device N]
#                     [--program FILE] [--tests FILE] [--out DIR]
#
# DIR has CIFAR-10 (qare data fetch cifar10 --data-dir DIR). Seeds are done one after the other, all methods and backbones of the
# first before the second, so that it can be stopped at any time; called again, it goes on where it was. OUT (gpu-results, if
# nothing is said) gets results.md, with accuracies and seconds an epoch, and the runs. With --program and --tests a program and a
# test binary `backend` that were built elsewhere are run instead of built: a machine with a GPU need not have Rust. Tests take the
# GPU that is the default one (CUDA_VISIBLE_DEVICES chooses on NVIDIA's).
set -euo pipefail
start=$PWD
cd "$(dirname "$0")/../.."

usage() { sed -n '2,/^set/p' apps/bench/gpu.sh | sed '$d; s/^# \{0,1\}//'; }
path() { [[ $1 == /* ]] && echo "$1" || echo "$start/$1"; }
wrong() { echo "error: $*" >&2; usage >&2; exit 2; }
step() { printf '\n== %s\n' "$*"; }

data= features=cuda seeds=1,2,3 epochs=200 backbones=conv4,resnet32 precision= device= program= tests= out=gpu-results
methods=simclr,simclr_qare,sparseclr,sparseclr_qare
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --data-dir | --features | --seeds | --epochs | --backbones | --methods | --precision | --device | --program | --tests | --out)
            (($# > 1)) || wrong "$1: a value is missing"
            name=${1#--} value=$2
            case $name in
                data-dir) data=$(path "$value") ;;
                program | tests | out) printf -v "$name" '%s' "$(path "$value")" ;;
                *) printf -v "$name" '%s' "$value" ;;
            esac
            shift ;;
        *) wrong "unknown argument $1" ;;
    esac
    shift
done
[[ -n $data ]] || wrong "--data-dir is missing"
[[ $out == /* ]] || out=$start/$out
mkdir -p "$out"
target=${CARGO_TARGET_DIR:-target}
build=(--release --locked --package qare-cli --no-default-features --features "$features")
flags=()
[[ -z $device ]] || flags+=(--device "$device")

step "devices"
if [[ -z $program ]]; then
    cargo build "${build[@]}"
    program=$target/release/qare
fi
"$program" devices | tee "$out/devices.txt"

step "golden values and seeds"
if [[ -n $tests ]]; then
    golden=$(mktemp -d)
    trap 'rm -rf "$golden"' EXIT
    cp qare/tests/golden/* models/tests/golden/* "$golden"
    QARE_GOLDEN_DIR=$golden "$tests"
else
    cargo test "${build[@]}" --test backend
    step "every method against the figures of flex, devices, several devices, half precision"
    cargo test "${build[@]}" --test program -- agreeing:: device_flag:: several_devices:: half_precision::
fi

[[ -z $precision ]] || flags+=(--precision "$precision")
name=$(sed -n '1s/^backend //p' "$out/devices.txt")

step "quickstart"
"$program" run configs/quickstart.toml --no-tui --overwrite --out "$out/quickstart" ${flags[@]+"${flags[@]}"} | tee "$out/quickstart.log"

step "growth of device memory over 500 steps, and seconds of a step"
"$program" bench memory step loader --json "$out/bench.json" ${flags[@]+"${flags[@]}"}

failed=0
done_seeds=
for seed in ${seeds//,/ }; do
    done_seeds=${done_seeds:+$done_seeds,}$seed
    for backbone in ${backbones//,/ }; do
        step "CIFAR-10, $backbone, $epochs epochs, batch 128, seeds $done_seeds"
        # A sweep skips the runs that are whole already, those of the seeds before.
        "$program" sweep configs/cifar10/simclr.toml --methods "$methods" --seeds "$done_seeds" --backbone "$backbone" \
            --epochs "$epochs" --data-size 128 --data-dir "$data" --out "$out/$backbone" --no-tui \
            ${flags[@]+"${flags[@]}"} || failed=1
    done
    {
        echo "CIFAR-10, $epochs epochs, batch 128, seeds $done_seeds, backend $name${precision:+, $precision}:"
        cat "$out/devices.txt"
        for backbone in ${backbones//,/ }; do
            printf '\n## %s\n\n' "$backbone"
            cat "$out/$backbone/sweep_simclr.md" || failed=1
        done
    } >"$out/results.md.part"
    mv "$out/results.md.part" "$out/results.md"
done
step "results"
cat "$out/results.md"
((failed == 0)) || { echo "error: not every run was finished: see above, and call it again" >&2; exit 1; }
