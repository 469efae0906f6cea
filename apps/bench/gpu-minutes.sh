# The stages of `gpu.sh --minutes N`, which reads this file. Each has a share of the time. One that fails or takes too long is recorded,
# and the next one runs. Everything that they leave is in $out from the start, so it is there even if the script is killed:
#   summary.md    card, driver, stages, figures: for BENCHMARKS.md
#   logs/         output of each stage
#   *.json        figures of qare and PyTorch
#   cache/        compiled kernels and results of autotuning, grown; packed into cache.tar.xz at the end
command -v timeout >/dev/null || wrong "--minutes needs the command timeout of GNU coreutils"
[[ -n $program || -f bin/qare.xz ]] || wrong "--minutes needs --program FILE, or a folder of apps/bench/pack-gpu.sh"
set +e
python=${PYTHON:-python3}
logs=$out/logs
work=$(mktemp -d)
# In the background: thousands of images may take a minute to remove.
trap '(setsid rm -rf "$work" >/dev/null 2>&1 &)' EXIT
begin=$SECONDS
# The end is for the summary.
left() { echo $((minutes * 60 - 20 - (SECONDS - begin))); }

child=
stop() {
    trap - INT TERM HUP
    [[ -z $child ]] || kill "$child" 2>/dev/null
    printf '%s\t%s\t%s\n' "${current:-between stages}" "stopped from outside" "" >>"$out/stages.tsv"
    summary
    pack_cache
    exit 143
}
trap stop INT TERM HUP

# Appends to the record: name, outcome, seconds.
record() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$out/stages.tsv"; printf -- '-- %s: %s\n' "$1" "$2"; summary; }
skip() { record "$1" "skipped: $2" ""; }

# stage NAME SECONDS COMMAND…: runs a command with a limit, which is for 12 minutes in total.
stage() {
    local name=$1 limit=$(($2 * minutes / 12)) from=$SECONDS code outcome
    shift 2
    ((limit <= $(left))) || limit=$(left)
    ((limit >= 5)) || { skip "$name" "no time left"; return 1; }
    current=$name
    printf '\n== %s (at %d s, for at most %d s)\n' "$name" $((SECONDS - begin)) "$limit"
    timeout -k 5 "$limit" "$@" >"$logs/${name// /-}.txt" 2>&1 </dev/null &
    child=$!
    wait "$child"
    code=$? child= current=
    tail -n 6 "$logs/${name// /-}.txt" | cut -c1-200
    case $code in
        0) outcome=passed ;;
        124 | 137) outcome="took more than $limit s" ;;
        *)
            outcome=$(tail -n 40 "$logs/${name// /-}.txt" | grep -aiE 'error|panicked|FAILED' | tail -n 1 | cut -c1-120 | tr '\t|' '  ')
            outcome="failed with $code${outcome:+: $outcome}" ;;
    esac
    record "$name" "$outcome" $((SECONDS - from))
    return "$code"
}

unpack() { # FILE.xz TARGET
    if command -v xz >/dev/null; then timeout 60 xz -dc "$1" >"$2"; else
        timeout 60 "$python" -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"))' "$1" "$2"
    fi
}

# Packs the cache in the seconds that are left for it.
pack_cache() {
    timeout 15 bash -o pipefail -c 'tar -C "$1/cache" -cf - . | xz -T0 -2 >"$1/cache.part"' - "$out" 2>/dev/null &&
        mv "$out/cache.part" "$out/cache.tar.xz" && rm -rf "$out/cache"
    rm -f "$out/cache.part"
}

# What a script of pack-gpu.sh has beside it.
for name in qare backend; do
    if [[ -f bin/$name.xz ]]; then
        unpack "bin/$name.xz" "$work/$name" && chmod +x "$work/$name"
        case $name in
            qare) program=${program:-$work/qare} ;;
            backend) tests=${tests:-$work/backend} ;;
        esac
    fi
done
[[ -n $data || ! -f data.tar.xz ]] || data=$PWD/data.tar.xz
for_gpu "$program"

# Finds CUDA where neither the environment nor the system's loader has it.
complete() {
    [[ -f $1/include/cuda_runtime.h && -f $1/include/crt/mma.h ]] && [[ -f $1/include/cccl/cuda/barrier || -f $1/include/cuda/barrier ]]
}
if [[ -z ${CUDA_PATH:-} ]]; then
    shopt -s nullglob
    # pip's packages, such as PyTorch brings, lie in site-packages/nvidia; they need nvidia-cuda-crt besides.
    packages=$(timeout 30 "$python" -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null)
    for folder in /usr/local/cuda /opt/cuda /usr/local/cuda-1[23]* \
        ${CONDA_PREFIX:+"$CONDA_PREFIX" "$CONDA_PREFIX/targets/x86_64-linux"} ${packages:+"$packages"/cu1[23]}; do
        if complete "$folder"; then export CUDA_PATH=$folder; break; fi
    done
    shopt -u nullglob
fi
libraries=
# The test binary relies on the loader.
for folder in ${CUDA_PATH:+"$CUDA_PATH/lib64" "$CUDA_PATH/lib"} /usr/local/nvidia/lib64 /usr/lib/wsl/lib; do
    [[ ! -d $folder ]] || libraries+=:$folder
done
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}$libraries
LD_LIBRARY_PATH=${LD_LIBRARY_PATH#:}
export RUST_BACKTRACE=1

# One GPU for all: PyTorch and the tests take the first that they see.
flags=()
if [[ -n $device ]] && grep -q '^  cuda' <<<"$("$program" list)"; then
    [[ $device =~ ^[0-9]{1,3}$ ]] || wrong "--device $device: expected the number of a GPU"
    if [[ -n ${CUDA_VISIBLE_DEVICES+set} ]]; then
        IFS=, read -ra visible <<<"$CUDA_VISIBLE_DEVICES"
        [[ -n ${visible[10#$device]:-} ]] || wrong "--device $device: CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES has no such GPU"
        export CUDA_VISIBLE_DEVICES=${visible[10#$device]}
    else
        export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=$device
    fi
elif [[ -n $device ]]; then
    flags+=(--device "$device")
fi
# Without a GPU nothing is tried, and results of an earlier run stay.
if ! timeout 30 "$program" devices >"$work/devices.txt" 2>&1 || ! grep -q -- '--device [0-9]' "$work/devices.txt"; then
    cat "$work/devices.txt" >&2
    echo "error: the program finds no GPU" >&2
    exit 1
fi
mkdir -p "$logs" "$out/cache"
rm -f "$out"/{qare,pytorch-eager,pytorch-compile}.json "$out/ratios.md" "$out/kernels.md"
: >"$out/stages.tsv"
export QARE_CACHE_DIR=$out/cache
# Kernels of the packed folder, then those of an earlier run.
for archive in kernels.tar.xz "$out/cache.tar.xz"; do
    if [[ -f $archive ]]; then
        unpack "$archive" "$work/cache.tar" && tar -C "$out/cache" -xf "$work/cache.tar"
        rm -f "$work/cache.tar"
    fi
done

card() {
    timeout 10 nvidia-smi ${CUDA_VISIBLE_DEVICES:+-i "${CUDA_VISIBLE_DEVICES%%,*}"} --query-gpu=name,driver_version \
        --format=csv,noheader 2>/dev/null | grep -m 1 ,
}
# Of several GPUs and compilers, the folder of this one: the program tries to write to its own at each start.
touch "$work/before"
newest() {
    local folder
    folder=$(ls -td "$@" 2>/dev/null | head -n 1)
    [[ $folder -nt $work/before ]] && echo "$folder"
}
machine() {
    nvidia-smi
    echo "CUDA_PATH=${CUDA_PATH:-}"
    echo "LD_LIBRARY_PATH=$LD_LIBRARY_PATH"
    nproc
    "$program" --version
    "$program" devices
}

summary() {
    local card nvrtc log
    card=$(card)
    [[ -n $card ]] || card=$(sed -n 's/^  --device [^ ]* *//p' "$logs/devices.txt" 2>/dev/null | head -n 1)
    nvrtc=$(newest "$out"/cache/*/*-nvrtc*[0-9] | sed -n 's/.*\/cuda-\(sm[0-9]*\)-nvrtc\([0-9.]*\)$/\1, NVRTC \2/p')
    {
        echo "### ${card:-no GPU found}"
        echo
        echo "$(date '+%-d %B %Y'): ${card:-no GPU found} (name, driver), ${nvrtc:-no kernel compiled}; $(timeout 10 "$program" --version 2>/dev/null), $(nproc) cores."
        echo
        echo "| stage | outcome | seconds |"
        echo "| --- | --- | ---: |"
        awk -F '\t' '{ printf "| %s | %s | %s |\n", $1, $2, $3 }' "$out/stages.tsv"
        for log in CIFAR-10 quickstart; do
            grep -qa '^epoch ' "$logs/$log.txt" 2>/dev/null || continue
            printf '\n%s:\n\n```text\n' "$log"
            grep -aE '^(epoch |test accuracy|untrained|[a-z_]+ +[0-9.]+ %)' "$logs/$log.txt" | tail -n 12
            echo '```'
        done
        [[ ! -s $out/kernels.md ]] || { echo; cat "$out/kernels.md"; }
        [[ ! -f $out/ratios.md ]] || { echo; cat "$out/ratios.md"; }
    } >"$out/summary.md.part"
    mv "$out/summary.md.part" "$out/summary.md"
}

# The sum over the second half of CubeCL's log of launches: after the first steps, which load kernels.
kernels_by_time() {
    (cd "$work/profile" && "$program" bench memory --batches 256 --steps 20 "$@") || return
    local log=$work/profile/kernels.log
    tail -n $(($(wc -l <"$log") / 2)) "$log" | awk -F '|' '
        NF > 2 {
            time = $2; gsub(/ /, "", time)
            unit = 0
            if (time ~ /ns$/) unit = 0.001
            else if (time ~ /µs$/) unit = 1
            else if (time ~ /ms$/) unit = 1000
            else if (time ~ /s$/) unit = 1e6
            if (!unit) next
            sub(/^ */, "", $3); sub(/ *$/, "", $3)
            sum[$3] += time * unit; count[$3]++; total += time * unit
        }
        END { for (name in sum) printf "%s\t%d\t%.1f\t%.1f\n", name, count[name], sum[name] / count[name], 100 * sum[name] / total }
    ' | sort -t "$(printf '\t')" -k4,4nr | head -n 15 >"$work/kernels.tsv"
    {
        echo "| kernel (sparseclr_qare, conv4, B = 256, one at a time) | launches | mean µs | share of time |"
        echo "| --- | ---: | ---: | ---: |"
        awk -F '\t' '{ printf "| %s | %d | %s | %s %% |\n", $1, $2, $3, $4 }' "$work/kernels.tsv"
    } >"$out/kernels.md"
    cat "$out/kernels.md"
}

# `timeout` runs programs, not functions.
export -f machine kernels_by_time unpack
export program work out python
mkdir -p "$work/profile"

stage devices 20 bash -c machine
# Compiles and tunes the kernels of a step. Where those of the pack do not fit, that takes minutes. With 100 s for it, the limits up to the
# kernels by time add up to 12 minutes.
stage "first step" 300 "$program" bench memory --batches 256 --steps 5 ${flags[@]+"${flags[@]}"}

# The tests have kernels of their own, beside those of the program.
source apps/bench/backend-tests.sh
golden_files "$work/golden"
compiled=$(newest "$out"/cache/*/*-nvrtc*[0-9])
tuned=$(newest "$out"/cache/*/*/autotune)
configure_tests "$work/tests" "${compiled:-$out/cache/kernels}-tests" \
    "$([[ -n $tuned ]] && dirname "$tuned" || echo "$out/cache/tests")"
tested() { # SECONDS NAME FILTER FLAGS…: tests of the backend.
    if [[ -z $tests ]]; then
        skip "$2" "no test binary"
    else
        stage "$2" "$1" env -C "$work/tests" QARE_GOLDEN_REPORT=1 "$tests" --test-threads=1 --nocapture "${@:3}"
    fi
}
golden() { # SECONDS TEST…
    local limit=$1 test
    shift
    for test in "$@"; do
        tested "$limit" "${test//_/ }" "reference::$test" --exact
    done
}
golden 25 losses_agree set_terms_agree
golden 60 backbones_agree
# What Burn's own kernels may get wrong.
tested 30 products products::
tested 30 "odd sizes" odd_sizes::
tested 50 terms terms:: --skip half_precision

# measure LIMIT BACKBONE: a step and memory in qare, for seven trainings, and in PyTorch, for three.
measure() {
    local name=$2 mode more
    local flags_of_both=(step memory --backbones "$2" --batches 256 --seconds 2 --steps 100 --add)
    [[ $2 == conv4 ]] || flags_of_both=(step --backbones "$2" --batches 256 --seconds 2 --add)
    stage "step of $name" $(($1 + 20)) "$program" bench "${flags_of_both[@]}" --json "$out/qare.json" ${flags[@]+"${flags[@]}"}
    if timeout 60 "$python" -c 'import torch, torchvision; assert torch.cuda.is_available()' 2>/dev/null; then
        for mode in eager compile; do
            more=()
            [[ $mode == eager ]] || more=(--compile)
            stage "step of $name, PyTorch $mode" "$1" "$python" -B apps/bench/pytorch/bench.py "${flags_of_both[@]}" --device cuda \
                --json "$out/pytorch-$mode.json" ${more[@]+"${more[@]}"}
        done
    else
        skip "step of $name, PyTorch" "$python has no torch and torchvision that find a GPU"
    fi
    ratios
}
ratios() {
    local files=("$out/qare.json") mode
    [[ -f $out/qare.json ]] || return
    for mode in eager compile; do
        [[ ! -f $out/pytorch-$mode.json ]] || files+=("$out/pytorch-$mode.json")
    done
    if ((${#files[@]} == 1)); then # There is nothing to compare with.
        { echo '```text'; cat "$logs"/step-of-{conv4,resnet32}.txt 2>/dev/null; echo '```'; } >"$out/ratios.md"
        return
    fi
    timeout 20 "$program" bench --compare "${files[@]}" --markdown "$out/ratios.md" >"$logs/ratios.txt" 2>&1
}
measure 50 conv4

# CIFAR-10 in its own files, or as images in folders of classes.
if [[ -n $data && -f $data ]]; then
    mkdir -p "$work/data"
    stage "unpacking the data" 30 bash -c 'unpack "$1" "$2/data.tar" && tar -C "$2" -xf "$2/data.tar" && rm "$2/data.tar"' - \
        "$data" "$work/data" && data=$work/data || data=
fi
five=(--epochs 5 --data-size 256 --seed 1 --no-tui --overwrite --out "$out/cifar10" ${flags[@]+"${flags[@]}"})
if [[ -z $data ]]; then
    skip CIFAR-10 "no data"
elif [[ -n $(find "$data" -maxdepth 2 -name data_batch_1.bin -o -maxdepth 2 -name data_batch_1 | head -n 1) ]]; then
    stage CIFAR-10 120 "$program" run configs/cifar10/sparseclr_qare.toml --data-dir "$data" "${five[@]}"
else
    stage CIFAR-10 120 "$program" run configs/folder/sparseclr_qare.toml --data-dir "$data" --image-size 32 "${five[@]}"
fi

printf '[profiling.logger]\nlevel = "medium"\nfile = "%s"\n' "$work/profile/kernels.log" >"$work/profile/cubecl.toml"
rm -f "$work/profile/kernels.log"
stage kernels 40 bash -c 'kernels_by_time "$@"' - ${flags[@]+"${flags[@]}"}
stage quickstart 80 "$program" run configs/quickstart.toml --no-tui --overwrite --out "$out/quickstart" ${flags[@]+"${flags[@]}"}
measure 80 resnet32
tested 60 "views of the device" views_of_the_device::
tested 60 "same seed" same_seed::
golden 80 losses_agree_in_half_precision backbones_agree_in_half_precision gradients_of_open_relus_agree_in_half_precision \
    metric_losses_agree
tested 80 "set terms of half precision" set_terms::set_terms_of_half_precision

gzip -c "$work/profile/kernels.log" >"$logs/kernels.log.gz" 2>/dev/null
summary
pack_cache
printf '\n'
cat "$out/summary.md"
awk -F '\t' '$2 !~ /^(passed|skipped)/ { failed = 1 } END { exit failed }' "$out/stages.tsv"
