#!/usr/bin/env bash
# Measures qare and PyTorch on this machine, alternating part by part, and prints the ratios.
#
#   apps/bench/compare.sh [--quick] [--device cpu|cuda] [--features BACKEND] [--compile] [--data-dir DIR] [--threads N]
#                         [--program FILE] [--out DIR] [--add] [--rounds N] [PARTS…] [-- FLAGS for both programs, such as --backbones conv4]
#
# Parts: views photographs loader objectives step backbones methods probe epoch memory (default: all). PYTHON names a Python with torch and
# torchvision (apps/bench/pytorch/requirements.txt). PyTorch runs in eager mode, its steps with channels_last too, and with
# --compile by torch.compile; its views by PIL and by torchvision's v2. A ratio is to the fastest of them. --device cuda builds the
# program with the feature cuda and implies --compile. --program FILE measures a program that is built already. --out DIR receives
# the figures as JSON, ratios.md and times.svg; --add keeps the figures of other parts that it already holds. --rounds N
# measures everything N times in turn, and the least medians and minima count: the speed of many machines drifts. The part photographs makes
# 10,000 JPEG files there, 0.9 GB, which later calls use again, and needs 5 GB for a while.
set -euo pipefail
start=$PWD
cd "$(dirname "$0")/../.."

usage() { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; }
# Resolves a path relative to the caller's folder.
path() { [[ $1 == /* ]] && echo "$1" || echo "$start/$1"; }
wrong() { echo "error: $*" >&2; usage >&2; exit 2; }

all=(views photographs loader objectives step backbones methods probe epoch memory)
parts=() both=() compile=no add=no device=cpu features= program= out=target/bench-compare rounds=1
threads=$(nproc 2>/dev/null || sysctl -n hw.ncpu)
python=${PYTHON:-python3}
while (($#)); do
    case $1 in
        --quick) both+=(--quick) ;;
        --compile) compile=yes ;;
        --add) add=yes ;;
        --device | --features | --data-dir | --threads | --program | --out | --rounds)
            (($# > 1)) || wrong "$1: a value is missing"
            case $1 in
                --device) device=$2 ;;
                --features) features=$2 ;;
                --data-dir) both+=(--data-dir "$(path "$2")") ;;
                --threads) threads=$2 ;;
                --program) program=$(path "$2") ;;
                --out) out=$(path "$2") ;;
                --rounds) rounds=$2 ;;
            esac
            shift ;;
        --) shift; both+=("$@"); break ;;
        -h | --help) usage; exit 0 ;;
        -*) wrong "unknown flag $1" ;;
        all) parts=("${all[@]}") ;;
        *) [[ " ${all[*]} " == *" $1 "* ]] || wrong "unknown part $1"; parts+=("$1") ;;
    esac
    shift
done
((${#parts[@]})) || parts=("${all[@]}")
case $device in
    cpu) features=${features:-flex} ;;
    cuda) features=${features:-cuda} compile=yes ;;
    *) wrong "--device $device: expected cpu or cuda" ;;
esac
[[ $rounds =~ ^[1-9][0-9]*$ ]] || wrong "--rounds $rounds: expected a number of rounds"
[[ -z $program || -x $program ]] || wrong "--program $program: there is no such program"
"$python" -c 'import torch, torchvision' 2>/dev/null ||
    wrong "$python has no torch and torchvision: $python -m pip install -r apps/bench/pytorch/requirements.txt, or set PYTHON"

export RAYON_NUM_THREADS=$threads
mkdir -p "$out"
[[ $add == yes ]] || rm -f "$out"/{qare,pytorch-eager,pytorch-channels-last,pytorch-compile,pytorch-v2}.json
qare=$program
if [[ -z $qare ]]; then
    cargo build --release --locked --package qare-cli --no-default-features --features "$features"
    qare=${CARGO_TARGET_DIR:-target}/release/qare
fi

pytorch() { "$python" -B apps/bench/pytorch/bench.py --device "$device" --threads "$threads" --add "$@"; }
[[ " ${parts[*]} " != *" photographs "* ]] || both+=(--photographs "$out/photographs")
for ((round = 1; round <= rounds; round++)); do
    ((round == 1)) || both+=(--least)
    for part in "${parts[@]}"; do
        printf '\n== %s\n' "$part"
        "$qare" bench "$part" ${both[@]+"${both[@]}"} --json "$out/qare.json" --add
        pytorch "$part" ${both[@]+"${both[@]}"} --json "$out/pytorch-eager.json"
        if [[ " step backbones methods " == *" $part "* ]]; then
            pytorch "$part" ${both[@]+"${both[@]}"} --channels-last --json "$out/pytorch-channels-last.json"
        fi
        if [[ $compile == yes && " objectives step backbones methods epoch memory " == *" $part "* ]]; then
            pytorch "$part" ${both[@]+"${both[@]}"} --compile --json "$out/pytorch-compile.json"
        fi
        if [[ $part == views || $part == photographs ]]; then
            pytorch "$part" ${both[@]+"${both[@]}"} --transforms v2 --json "$out/pytorch-v2.json"
        fi
    done
done
files=("$out/qare.json")
for mode in eager channels-last compile v2; do
    [[ ! -f $out/pytorch-$mode.json ]] || files+=("$out/pytorch-$mode.json")
done

printf '\n== ratios\n'
plot=()
grep -q '"objectives\.' "$out/qare.json" && plot=(--plot "$out/times.svg")
"$qare" bench --compare "${files[@]}" --markdown "$out/ratios.md" ${plot[@]+"${plot[@]}"}
