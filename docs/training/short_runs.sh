#!/usr/bin/env bash
# Try settings of adversarial training: short runs from one model, each with one change, and one evaluation of them all.
#
#   docs/training/short_runs.sh START WORK TARGET AUDIOS DATASET …
#
# START is a model's folder with a generator and, to go on with it, a discriminator. One of another width (disc_wide) is
# trained anew first, against START's generator, for as many steps. WORK gets a folder of models for each run, and
# scores/. AUDIOS is a folder of test pieces that make_data.sh made. STEPS sets the length of each run, JOBS how
# many run at a time, RUNS which of them (all). The same command resumes.
set -euo pipefail
[ $# -ge 5 ] || { echo "usage: $0 START WORK TARGET AUDIOS DATASET …" >&2; exit 2; }
start=$1 work=$2 target=$3 audios=$4 here=$(cd "$(dirname "$0")/../.." && pwd)
shift 4
data=("$@")
python=${PYTHON:-python} name=keyboard_acoustic_2_$target
change() {
    case $1 in
        base) ;;
        disc_slow) echo --disc_lr 2e-5 ;;
        features) echo --feature_matching 10 ;;
        linear) echo --linear_weight 10 ;;
        r1) echo --r1 1 ;;
        l1_100) echo --l1_weight 100 ;;
        l1_30) echo --l1_weight 30 ;;
        disc_wide) echo --disc_filters 32 ;;
        disc_band) echo --disc_band ;;
        disc_fast) echo --gen_lr 1e-4 --disc_lr 4e-4 ;;
        no_ema) echo --ema 0 ;;
        noise) echo --noise ;;
        *) echo "$0: RUNS has $1, which is none of the runs" >&2; return 2 ;;
    esac
}
order=(base disc_slow features linear r1 l1_100 l1_30 disc_wide disc_band disc_fast no_ema noise)
read -r -a runs <<<"${RUNS:-${order[*]}}"

# folder of models, initial weights, further flags
run() {
    mkdir -p "$1"
    "$python" "$here/train.py" --dataset_path "${data[@]}" --origin keyboard_acoustic --target "$target" \
        --base_filters 16 --init_from "$2" --gen_lr 2e-4 --disc_lr 2e-4 --l1_weight 60 --ema 0.999 --schedule cosine \
        --augment --dropout 0 --batch_size 4 --validation_split 0.04 --epochs 1 --steps_per_epoch "${STEPS:-600}" \
        --devices cpu --threads 1 1 --models_path "$1" --output_path "$1/output" "${@:3}" >"$1/log" 2>&1 ||
        { echo "$1 failed: see $1/log" >&2; return 1; }
}
train() {
    local options initial=$start
    read -r -a options <<<"$(change "$1")"
    if [ "$1" = disc_wide ]; then
        mkdir -p "$work/start"
        cp "$start/config.json" "$start/generator.weights.h5" "$work/start"
        run "$work/disc_wide/start" "$work/start" --gen_lr 1e-9 "${options[@]}" || return 1
        initial=$work/disc_wide/start/$name
    fi
    run "$work/$1" "$initial" ${options[@]+"${options[@]}"}
}

for run in "${runs[@]}"; do
    change "$run" >/dev/null || exit 2
    while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-1}" ]; do wait -n; done
    train "$run" &
done
wait
models=()
for run in "${runs[@]}"; do models+=("$work/$run/$name"); done
"$python" "$here/evaluate.py" --model "$start" "${models[@]}" --audios_path "$audios" --seconds 12 --pieces 16 \
    --listen 0 --interleave yes --output "$work/scores"
