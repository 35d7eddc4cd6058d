#!/usr/bin/env bash
# Trains the models that ship, measures them, and makes them small: data sets → models → scores, all in $WORK.
#
#   docs/training/train_models.sh MIDI_PATH WORK [guitar_acoustic | string_acoustic | synth_lead_synthetic | any] …
#
# Everything can be stopped, and the same command goes on. For full size, on a GPU: FILTERS=64 PRECISION=mixed_float16.
# With data sets of your own, from NSynth say: DATA="features/a features/b", TEST="audios/seen audios/unseen", and
# anything for MIDI_PATH.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 MIDI_PATH WORK [target] …" >&2; exit 2; }
midi=$1 work=$2 here=$(cd "$(dirname "$0")/../.." && pwd)
shift 2
python=${PYTHON:-python}
filters=${FILTERS:-16} precision=${PRECISION:-float32} epochs=${EPOCHS:-14}
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(guitar_acoustic string_acoustic synth_lead_synthetic any)

if [ -z "${DATA:-}" ]; then
    "$here/docs/training/make_data.sh" "$midi" "$work"
fi
read -r -a data <<<"${DATA:-$(echo "$work"/train/*/features)}"
read -r -a test <<<"${TEST:-$work/test/0 $work/test/3 $work/test/11}"
common=(--dataset_path "${data[@]}" --origin keyboard_acoustic --base_filters "$filters" --precision "$precision"
    --schedule cosine --ema 0.999 --augment --validation_split 0.04 --steps_per_epoch 1000 --epochs "$epochs"
    --models_path "$work/models" --output_path "$work/output")

for target in "${targets[@]}"; do
    if [ "$target" = any ]; then
        model=$work/models/keyboard_acoustic_2_any
        "$python" "$here/train_multitarget.py" "${common[@]}" --gen_lr 1e-3 --disc_lr 2e-4 \
            --target guitar_acoustic string_acoustic synth_lead_synthetic
    else
        model=$work/models/keyboard_acoustic_2_${target}_generator
        "$python" "$here/train_generator.py" "${common[@]}" --lr 1e-3 --target "$target"
    fi
    name=$(basename "$model" _generator)
    "$python" "$here/docs/training/ship_model.py" --model "$model" --output "$work/ship" --name "$name"
    for audios in "${test[@]}"; do
        "$python" "$here/evaluate.py" --model "$work/ship/$name" --audios_path "$audios" \
            --output "$work/scores/$name/$(basename "$audios")" --phase input griffinlim_input
    done
done
