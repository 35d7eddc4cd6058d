#!/usr/bin/env bash
# Train the shipped models, measure them, and store them as float16: data sets → models → scores, all in $WORK.
#
#   docs/training/train_models.sh MIDI_PATH WORK [guitar_acoustic | string_acoustic | synth_lead_synthetic | any] …
#
# Each target gets two models: one that is trained by its error alone (…_generator), and one that goes on from there
# with a discriminator, and then with a new, slower one. ALONE names a folder that has the former already, such as
# pretrained, and FIRST a folder of models that were trained with the first discriminator.
#
# Everything can be stopped; the same command resumes. A processor without bfloat16 is faster with
# PRECISION=float32. For full size, on a GPU: FILTERS=64 PRECISION=mixed_float16. EPOCHS and STEPS make the runs without
# a discriminator longer or shorter, DISC_EPOCHS and DISC_STEPS those with the first one, SLOW_EPOCHS and SLOW_STEPS
# those with the second, WARM_STEPS a discriminator's own. MIX is the part of the last run in the model that is shipped;
# the rest is of the one without a discriminator. With your own data sets, for example from NSynth: DATA="features/a
# features/b", TEST="audios/seen audios/unseen"; MIDI_PATH is then ignored.
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
    --checkpoint_minutes 5)
# The weights and the rates: README.md has what was tried.
alone=(--epochs "${EPOCHS:-12}" "${common[@]}" --mean_weight 300 --linear_weight 3)

# The start of all of them: much of what each has to learn is what keyboards have in common.
if [ -z "${ALONE:-}" ]; then
    "$python" "$here/train_generator.py" "${alone[@]}" --target guitar_acoustic --lr 1e-3 \
        --steps_per_epoch "${STEPS:-1000}" --models_path "$work/start" --output_path "$work/start/output"
    alone+=(--init_from "$work/start/keyboard_acoustic_2_guitar_acoustic_generator")
fi
generator=("${alone[@]}" --steps_per_epoch "${STEPS:-2600}" --models_path "$work/models" --output_path "$work/output"
    --batch_size 4 --dropout 0)
disc=("${common[@]}" --dropout 0 --noise --gen_lr 2e-4 --feature_matching 10 --mean_weight 20000 --linear_weight 3
    --level_weight 10 --select sound)

# folder of models, initial weights, flags: train with a new discriminator. First it learns by itself, since it has to
# tell more than noise from the start of the joint training on.
train_with_disc() {
    local run=("$python" "$here/$script" "${disc[@]}" --target "${instruments[@]}" "${@:3}")
    [ $script = train.py ] || run+=(--disc_style)
    "${run[@]}" --init_from "$2" --epochs 1 --steps_per_epoch "${WARM_STEPS:-1000}" --gen_lr 1e-9 --disc_lr 2e-4 \
        --models_path "$1/warm" --output_path "$1/warm/output"
    "${run[@]}" --init_from "$1/warm/$name" --models_path "$1" --output_path "$1/output"
}

for target in "${targets[@]}"; do
    name=keyboard_acoustic_2_$target
    script=train.py instruments=("$target")
    if [ "$target" = any ]; then
        script=train_multitarget.py instruments=(guitar_acoustic string_acoustic synth_lead_synthetic)
        [ -n "${ALONE:-}" ] || "$python" "$here/$script" "${generator[@]}" --generator_alone --gen_lr 1e-3 \
            --target "${instruments[@]}"
    else
        [ -n "${ALONE:-}" ] || "$python" "$here/train_generator.py" "${generator[@]}" --lr 1e-3 --target "$target"
    fi
    if [ -z "${FIRST:-}" ]; then
        train_with_disc "$work/first" "${ALONE:-$work/models}/${name}_generator" --disc_lr 2e-4 --l1_weight 150 \
            --batch_size 4 --epochs "${DISC_EPOCHS:-30}" --steps_per_epoch "${DISC_STEPS:-2600}"
    fi
    train_with_disc "$work/models" "${FIRST:-$work/first}/$name" --disc_lr 5e-5 --l1_weight 100 --batch_size 8 \
        --epochs "${SLOW_EPOCHS:-10}" --steps_per_epoch "${SLOW_STEPS:-1600}"
    # A mix of both is shipped: it keeps more of the pitches than the one that was trained with a discriminator.
    rm -rf "$work/mixed/$name"
    "$python" "$here/docs/training/interpolate.py" --weight "${MIX:-0.9}" --output "$work/mixed/$name" \
        --models "${ALONE:-$work/models}/${name}_generator" "$work/models/$name"
    shipped=("$work/mixed/$name")
    [ -n "${ALONE:-}" ] || shipped+=("$work/models/${name}_generator")
    for model in "${shipped[@]}"; do
        "$python" "$here/docs/training/ship_model.py" --model "$model" --output "$work/ship"
    done
    for audios in "${test[@]}" "$here/docs/examples"; do
        "$python" "$here/evaluate.py" --model "$work/ship/$name" "${ALONE:-$work/ship}/${name}_generator" --seconds 30 \
            --audios_path "$audios" --output "$work/scores/$name/$(basename "$audios")"
    done
done
