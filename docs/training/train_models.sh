#!/usr/bin/env bash
# Train the shipped models, measure them, and store them as float16: data sets → models → scores, all in $WORK.
#
#   docs/training/train_models.sh MIDI_PATH WORK [guitar_acoustic | string_acoustic | synth_lead_synthetic | any] …
#
# Each target gets two models: one that is trained by its error alone (…_generator), and one that goes on from there
# with a discriminator. ALONE names a folder that has the former already, such as pretrained.
#
# Everything can be stopped; the same command resumes. A processor without bfloat16 is faster with
# PRECISION=float32. FILTERS are those of the first layer and, if there is a second number, the most of any layer of the
# generator: for full size, on a GPU, FILTERS=64 PRECISION=mixed_float16. EPOCHS and STEPS make the runs without a
# discriminator longer or shorter, DISC_EPOCHS and DISC_STEPS those with one, WARM_STEPS the discriminator's own. MIX is
# the part of the latter in the model that is shipped; the rest is of the one without a discriminator. With your own
# data sets, for example from NSynth: DATA="features/a features/b", TEST="audios/seen audios/unseen"; MIDI_PATH is then
# ignored.
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
read -r filters limit <<<"${FILTERS:-24 128}"
width=(--base_filters "$filters" ${limit:+--max_filters "$limit"})
common=(--dataset_path "${data[@]}" --origin keyboard_acoustic "${width[@]}"
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
disc=("${common[@]}" --dropout 0 --noise --gen_lr 2e-4 --disc_lr 5e-5 --l1_weight 100 --feature_matching 10
    --mean_weight 20000 --linear_weight 3 --level_weight 10 --disc_filters 16 --batch_size 8 --select sound)

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
    run=("$python" "$here/$script" "${disc[@]}" --target "${instruments[@]}")
    [ $script = train.py ] || run+=(--disc_style)
    # First the discriminator learns by itself, since it has to tell more than noise from the joint training's start on.
    "${run[@]}" --init_from "${ALONE:-$work/models}/${name}_generator" --epochs 1 --gen_lr 1e-9 --disc_lr 2e-4 \
        --steps_per_epoch "${WARM_STEPS:-1000}" --models_path "$work/warm" --output_path "$work/warm/output"
    "${run[@]}" --init_from "$work/warm/$name" --models_path "$work/models" --output_path "$work/output" \
        --epochs "${DISC_EPOCHS:-24}" --steps_per_epoch "${DISC_STEPS:-1600}"
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
