#!/usr/bin/env bash
# Checks a GPU in one command: tests, quickstart, benchmarks, and complete runs on CIFAR-10.
#
#   apps/bench/gpu.sh --data-dir DIR [--features cuda|vulkan|metal|wgpu] [--seeds 1,2,3] [--epochs 200]
#                     [--backbones conv4,resnet32] [--methods simclr,…] [--precision f32] [--device N]
#                     [--program FILE] [--tests FILE] [--out DIR]
#   apps/bench/gpu.sh --minutes 12 [--data-dir DIR|FILE.tar.xz] [--device N] [--program FILE] [--tests FILE] [--out DIR]
#
# DIR holds CIFAR-10 (qare data fetch cifar10 --data-dir DIR). The script finishes all methods and backbones of a seed before the
# next seed. It can be stopped at any time, and continues when called again. --out DIR (default: gpu-results) receives the runs and
# results.md, with accuracies and seconds per epoch. --program and --tests name a program and a test binary `backend` that were built
# elsewhere, so the machine with the GPU needs no Rust. Tests use the default GPU (CUDA_VISIBLE_DEVICES selects an NVIDIA GPU, and
# with --minutes --device as well, by nvidia-smi's numbers, or among those of CUDA_VISIBLE_DEVICES).
#
# --minutes N (5 or more) does what N minutes allow, stage by stage (apps/bench/gpu-minutes.sh lists them), and writes summary.md
# after each. In a folder of apps/bench/pack-gpu.sh it uses the program, the tests, the data and the kernels in it.
set -euo pipefail
start=$PWD
cd "$(dirname "$(readlink -f "$0")")/../.."

usage() { sed -n '2,/^set/p' apps/bench/gpu.sh | sed '$d; s/^# \{0,1\}//'; }
path() { [[ $1 == /* ]] && echo "$1" || echo "$start/$1"; }
wrong() { echo "error: $*" >&2; usage >&2; exit 2; }
step() { printf '\n== %s\n' "$*"; }

data= features=cuda seeds=1,2,3 epochs=200 backbones=conv4,resnet32 precision= device= program= tests= out=gpu-results
methods=simclr,simclr_qare,sparseclr,sparseclr_qare minutes= given=
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --data-dir | --features | --seeds | --epochs | --backbones | --methods | --precision | --device | --program | --tests | --out | --minutes)
            (($# > 1)) && [[ -n $2 ]] || wrong "$1: a value is missing"
            given+=" $1 "
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
[[ $out == /* ]] || out=$start/$out
for name in program tests; do
    [[ -z ${!name} || -f ${!name} && -x ${!name} ]] || wrong "--$name ${!name}: is not a program"
done
[[ -z $data || -e $data ]] || wrong "--data-dir $data: there is no such folder"
[[ ! -e $out || -d $out ]] || wrong "--out $out: is not a folder"
[[ $features =~ ^(cuda|vulkan|metal|wgpu)$ ]] || wrong "--features $features: expected cuda, vulkan, metal or wgpu"
# Runs on a CPU would take hours, and check no GPU.
for_gpu() { grep -qE '^  (cuda|vulkan|metal|wgpu)( |$)' <<<"$("$1" list 2>/dev/null)" || wrong "--program $1: is not qare with a backend for GPUs"; }
[[ -z $program ]] || for_gpu "$program"
if [[ -n $minutes ]]; then
    [[ $minutes =~ ^0*[0-9]{1,4}$ ]] && minutes=$((10#$minutes)) && ((minutes >= 5)) || wrong "--minutes $minutes: expected a number from 5 to 9999"
    for name in features seeds epochs backbones methods precision; do
        [[ $given != *" --$name "* ]] || wrong "--$name has no place beside --minutes"
    done
    source apps/bench/gpu-minutes.sh
    exit
fi
[[ -n $data ]] || wrong "--data-dir is missing"
[[ -d $data ]] || wrong "--data-dir $data: expected a folder"
[[ $epochs =~ ^[1-9][0-9]*$ ]] || wrong "--epochs $epochs: expected a number of at least 1"
for names in "$methods" "$backbones"; do
    [[ $names =~ ^[a-z0-9_]+(,[a-z0-9_]+)*$ ]] || wrong "$names: expected names such as simclr,simclr_qare"
done
[[ $seeds =~ ^[0-9]+(,[0-9]+)*$ ]] || wrong "--seeds $seeds: expected numbers such as 1,2,3"
[[ $precision =~ ^(f32|f16|bf16)?$ ]] || wrong "--precision $precision: expected f32, f16 or bf16"
if [[ -z $program || -z $tests ]]; then
    command -v cargo >/dev/null || wrong "without cargo, --program and --tests must be given"
fi
target=${CARGO_TARGET_DIR:-target}
build=(--release --locked --package qare-cli --no-default-features --features "$features")
flags=()
[[ -z $device ]] || flags+=(--device "$device")

step "devices"
if [[ -z $program ]]; then
    cargo build "${build[@]}"
    program=$target/release/qare
fi
known=$("$program" list)
for name in ${methods//,/ } ${backbones//,/ }; do
    grep -q "^  $name " <<<"$known" || wrong "there is no method or backbone $name"
done
mkdir -p "$out"
"$program" devices | tee "$out/devices.txt"

step "golden values and seeds"
if [[ -n $tests ]]; then
    golden=$(mktemp -d)
    trap 'rm -rf "$golden"' EXIT
    source apps/bench/backend-tests.sh
    golden_files "$golden"
    # Each thread has a stream of CubeCL's, and kernels of one may read what another has not yet written.
    "$tests" --test-threads=1
else
    cargo test "${build[@]}" --test backend -- --test-threads=1
    step "figures of every method compared with flex, devices, several devices, half precision"
    cargo test "${build[@]}" --test program -- agreeing:: device_flag:: several_devices:: half_precision::
fi

[[ -z $precision ]] || flags+=(--precision "$precision")
name=$(sed -n '1s/^backend //p' "$out/devices.txt")

step "quickstart"
"$program" run configs/quickstart.toml --no-tui --overwrite --out "$out/quickstart" ${flags[@]+"${flags[@]}"} | tee "$out/quickstart.log"

step "growth of device memory over 500 steps, times of steps"
"$program" bench memory step loader --json "$out/bench.json" ${flags[@]+"${flags[@]}"}

failed=0
done_seeds=
for seed in ${seeds//,/ }; do
    done_seeds=${done_seeds:+$done_seeds,}$seed
    for backbone in ${backbones//,/ }; do
        step "CIFAR-10, $backbone, $epochs epochs, batch 128, seeds $done_seeds"
        # A sweep skips complete runs, such as those of earlier seeds.
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
((failed == 0)) || { echo "error: some runs failed: see above, then run this script again" >&2; exit 1; }
