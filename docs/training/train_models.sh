#!/usr/bin/env bash
# Train the shipped models, measure them, and store them as float16: data sets → models → scores, all in $WORK.
#
#   docs/training/train_models.sh MIDI_PATH WORK [guitar_acoustic | string_acoustic | synth_lead_synthetic | any] …
#
# Everything can be stopped; the same command resumes. A processor without bfloat16 is faster with
# PRECISION=float32. For full size, on a GPU: FILTERS=64 PRECISION=mixed_float16. EPOCHS and STEPS make runs longer or
# shorter. With your own data sets, for example from NSynth: DATA="features/a features/b", TEST="audios/seen audios/unseen";
# MIDI_PATH is then ignored.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 MIDI_PATH WORK [target] …" >&2; exit 2; }
midi=$1 work=$2 here=$(cd "$(dirname "$0")/../.." && pwd)
shift 2
python=${PYTHON:-python}
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(guitar_acoustic string_acoustic synth_lead_synthetic any)
for target in "${targets[@]}"; do
    case $target in
        guitar_acoustic | string_acoustic | synth_lead_synthetic | any) ;;
        *) echo "$0: $target is no target; it must be one of the four in the usage line" >&2; exit 2 ;;
    esac
done

if [ -z "${DATA:-}" ]; then
    "$here/docs/training/make_data.sh" "$midi" "$work"
fi
read -r -a data <<<"${DATA:-$(echo "$work"/train/*/features)}"
read -r -a test <<<"${TEST:-$work/test/3 $work/test/8 $work/test/11 $work/test/11_effects}"
common=(--dataset_path "${data[@]}" --origin keyboard_acoustic --base_filters "${FILTERS:-16}"
    --precision "${PRECISION:-mixed_bfloat16}" --schedule cosine --ema 0.999 --augment --validation_split 0.04
    --epochs "${EPOCHS:-12}" --checkpoint_minutes 5)

# The start of all of them: much of what each has to learn is what keyboards have in common.
"$python" "$here/train_generator.py" "${common[@]}" --target guitar_acoustic --lr 1e-3 --steps_per_epoch "${STEPS:-1000}" \
    --models_path "$work/start" --output_path "$work/start/output"
common+=(--init_from "$work/start/keyboard_acoustic_2_guitar_acoustic_generator" --batch_size 4 --dropout 0
    --steps_per_epoch "${STEPS:-2600}" --models_path "$work/models" --output_path "$work/output")

for target in "${targets[@]}"; do
    if [ "$target" = any ]; then
        "$python" "$here/train_multitarget.py" "${common[@]}" --generator_alone --gen_lr 1e-3 \
            --target guitar_acoustic string_acoustic synth_lead_synthetic
    else
        "$python" "$here/train_generator.py" "${common[@]}" --lr 1e-3 --target "$target"
    fi
    name=keyboard_acoustic_2_$target
    "$python" "$here/docs/training/ship_model.py" --model "$work/models/${name}_generator" --output "$work/ship" --name "$name"
    for audios in "${test[@]}" "$here/docs/examples"; do
        "$python" "$here/evaluate.py" --model "$work/ship/$name" --audios_path "$audios" --seconds 30 \
            --output "$work/scores/$name/$(basename "$audios")"
    done
done
