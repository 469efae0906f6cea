#!/usr/bin/env bash
# Counts what a training step asks of an NVIDIA GPU, on a machine without one: launches, copies, waits, kernels that do not compile.
#
#   apps/bench/dry-run.sh --program FILE [--trainings NAMES] [--tests FILE] [--check] [--kernels N] [--nvrtc DIR] [--cache DIR]
#                         [--out DIR] [--steps N] [-- FLAGS for qare pretrain, such as --backbone resnet32]
#   apps/bench/dry-run.sh --install [--cache DIR]: installs NVRTC, builds the driver, and does no more; 3 if pip cannot install
#
# FILE is the program with the feature cuda. It trains on drawn images with the driver of apps/bench/dry-cuda, which computes nothing,
# and with NVIDIA's compiler NVRTC. A step's counts are the difference of two runs that differ in their number of steps, so what
# happens once drops out. Tuned choices of kernels follow the number of launches alone: every kernel takes the same time.
#
# NAMES: a method, its set term and its precision, such as sparseclr_qare_frobenius_f16 (default: all in apps/bench/counts.txt). --check
# fails if a count is above its limit in that file, or anything failed. --kernels N lists the N most frequent kernels and sizes of
# copies. --nvrtc DIR has lib/libnvrtc.so.13 and include (default: CUDA_PATH, or else pip installs it into the cache, 250 MB).
# --cache DIR (default: target/dry-run) keeps compiled kernels: without them NVRTC takes ten minutes. Two runs at once need two
# caches. --out DIR (default: target/dry-run/runs) receives summaries and logs.
#
# --tests FILE runs the tests in f32 of the test binary `backend` on the same driver, which makes them compile their kernels; their values are
# wrong, of course. f16 and bf16 would double the 350 MB of kernels, all of which are read at each start.
# CACHE/kernels then holds what apps/bench/pack-gpu.sh --cache packs for a GPU of the architecture DRY_CUDA_CAPABILITY (9.0).
set -euo pipefail
start=$PWD
cd "$(dirname "$(readlink -f "$0")")/../.."

usage() { sed -n '2,/^set/p' apps/bench/dry-run.sh | sed '$d; s/^# \{0,1\}//'; }
path() { [[ $1 == /* ]] && echo "$1" || echo "$start/$1"; }
wrong() { echo "error: $*" >&2; usage >&2; exit 2; }

program= tests= nvrtc= out= check=no install=no kernels=0 steps=6 more=()
cache=${CARGO_TARGET_DIR:-target}/dry-run
limits=apps/bench/counts.txt
trainings=$(sed -n 's/^\([a-z0-9_]\{1,\}\) .*/\1/p' "$limits" | paste -sd,)
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --check) check=yes ;;
        --install) install=yes ;;
        --program | --tests | --nvrtc | --cache | --out | --trainings | --kernels | --steps)
            (($# > 1)) && [[ -n $2 ]] || wrong "$1: a value is missing"
            name=${1#--} value=$2
            case $name in
                program | tests | nvrtc | cache | out) value=$(path "$value") ;;
            esac
            printf -v "$name" '%s' "$value"
            shift ;;
        --) shift; more=("$@"); break ;;
        *) wrong "unknown argument $1" ;;
    esac
    shift
done
if [[ $install == no ]]; then
    [[ -n $program ]] || wrong "--program is missing"
    for name in program tests; do
        [[ -z ${!name} || -f ${!name} && -x ${!name} ]] || wrong "--$name ${!name}: is not a program"
    done
    [[ $trainings =~ ^[a-z0-9_]+(,[a-z0-9_]+)*$ ]] || wrong "--trainings $trainings: expected names such as simclr,simclr_qare_frobenius_f16"
    known=$("$program" list 2>/dev/null) || wrong "--program $program: is not qare"
    grep -q '^  cuda' <<<"$known" || wrong "--program $program: was not built with the feature cuda"
    for training in ${trainings//,/ }; do
        method=${training%_f16} method=${method%_bf16}
        method=${method%_frobenius} method=${method%_centred} method=${method%_mean} method=${method%_uniformity}
        grep -q "^  $method " <<<"$known" || wrong "--trainings $training: there is no method $method"
    done
fi
# The drawn dataset has 5,000 images.
batch=256
[[ $steps =~ ^[1-6]$ ]] || wrong "--steps $steps: expected 1 to 6"
[[ $kernels =~ ^[0-9]+$ ]] || wrong "--kernels $kernels: expected a number"
# NVRTC with CUDA's headers.
has_nvrtc() { [[ -f $1/lib/libnvrtc.so.13 && -f $1/include/cuda_runtime.h ]]; }
[[ -z $nvrtc ]] || has_nvrtc "$nvrtc" || wrong "--nvrtc $nvrtc: has no lib/libnvrtc.so.13 or no include/cuda_runtime.h"
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
out=${out:-$cache/runs}
mkdir -p "$out"

if [[ -z $nvrtc && -n ${CUDA_PATH:-} ]] && has_nvrtc "$CUDA_PATH"; then
    nvrtc=$CUDA_PATH
elif [[ -z $nvrtc ]]; then
    nvrtc=$cache/nvrtc/nvidia/cu13
    has_nvrtc "$nvrtc" || python3 -m pip install --quiet --no-deps --target "$cache/nvrtc" nvidia-cuda-nvrtc==13.0.88 \
        nvidia-cuda-runtime==13.0.96 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85 ||
        { echo "error: pip cannot install NVRTC" >&2; exit 3; }
fi

# The driver, under NVIDIA's names in a folder of its own.
cargo build --quiet --release --locked --package qare-dry-cuda || { echo "error: the driver cannot be built" >&2; exit 1; }
[[ $install == no ]] || exit 0
build=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd)
mkdir -p "$cache/driver" "$cache/kernels"
for library in libcuda.so libcuda.so.1 libnvrtc.so libnvrtc.so.13; do
    ln -sf "$build/libdry_cuda.so" "$cache/driver/$library"
done
export LD_LIBRARY_PATH=$cache/driver:$nvrtc/lib CUDA_PATH=$nvrtc DRY_CUDA_NVRTC=$nvrtc/lib/libnvrtc.so.13
# A time far above the host's cost of a launch and its noise, so that tuning prefers fewer launches.
export DRY_CUDA_KERNEL_MICROSECONDS=500
# Embeddings of length 0 have no objective on the host.
export DRY_CUDA_READS=numbers
unset "${!CUBECL_@}"

# Compiled kernels are kept, in the program's own folders. Tuning starts anew: its result must not depend on earlier programs.
export QARE_CACHE_DIR=$cache/kernels
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '[autotune]\ncache = { file = "%s" }\n' "$work/autotune" >"$work/cubecl.toml"
# Every step costs the same: one in 16 would be a sample for the figures. The kNN accuracy after an epoch costs the same in all runs, and
# little.
printf 'figures = "none"\n[knn]\nheld_out = 8\nbank = 8\n' >"$work/recipe.toml"

# Runs a training of a number of steps.
run() {
    local training=$1 kind=$2 steps=$3 method=$1 flags=()
    case $method in
        *_f16 | *_bf16) flags+=(--precision "${method##*_}") method=${method%_*} ;;
    esac
    case $method in
        *_frobenius | *_centred | *_mean | *_uniformity) flags+=(--set-term "${method##*_}") method=${method%_*} ;;
    esac
    flags+=(--method "$method")
    printf '%s, %s run of %d steps\n' "$training" "$kind" "$steps" >&2
    if ! (cd "$work" && DRY_CUDA_SUMMARY=$out/$training.$kind.json DRY_CUDA_LOG=$out/$training.$kind.log \
        "$program" pretrain --config recipe.toml --dataset shapes --no-tui --overwrite --epochs 1 --batch-size $batch \
        --train-images $((batch * steps)) "${flags[@]}" ${more[@]+"${more[@]}"} >"$out/$training.$kind.out" 2>&1); then
        tail -n 20 "$out/$training.$kind.out" >&2
        echo "error: $training: the run failed, see $out/$training.$kind.out" >&2
        exit 1
    fi
}
names=()
for training in ${trainings//,/ }; do
    names+=("$training")
    rm -f "$out/$training".{first,short,long}.{json,log,out}
    run "$training" first "$steps"
    run "$training" short "$steps"
    run "$training" long $((3 * steps))
done

if [[ -n $tests ]]; then
    source apps/bench/backend-tests.sh
    rm -f "$out"/tests.{json,log,out}
    # Beside the program's folder, which is the newest: all of a folder is read at each start.
    compiled=$(ls -td "$cache"/kernels/*/*-nvrtc*[0-9] | head -n 1)-tests
    configure_tests "$work/tests" "$compiled" "$work/autotune"
    golden_files "$work/golden"
    echo "tests of the backend, for their kernels" >&2
    (cd "$work/tests" && DRY_CUDA_SUMMARY=$out/tests.json DRY_CUDA_LOG=$out/tests.log \
        "$tests" --test-threads=1 --skip half_precision >"$out/tests.out" 2>&1) || true
    grep -q '^test result:' "$out/tests.out" || { tail -n 20 "$out/tests.out" >&2; echo "error: the tests did not run to their end" >&2; exit 1; }
    sed -n '/"failures": {/,/}/{//!p}' "$out/tests.json"
fi

[[ $check == yes ]] || limits=
"$build/dry-report" "$out" $((2 * steps)) "$kernels" "$limits" "${names[@]}"
