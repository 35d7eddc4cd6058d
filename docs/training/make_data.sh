#!/usr/bin/env bash
# Make the data sets that models are trained and tested on: MIDI × SoundFonts → slices, in $WORK.
#
#   docs/training/make_data.sh MIDI_PATH WORK
#
# One piece in ten is kept for testing. Each of the others is played RENDERINGS times (3; 24 at most), each time in
# another of 24 ways: by another keyboard, in another key, at another speed, with or without the pedal. Half of these
# recordings have effects; the targets never have. The audio of a rendering is removed once its slices are there, unless
# KEEP_AUDIO=1.
#
# RENDERINGS=1 makes the data of the shipped models. TARGETS=csound makes the targets of csound-soundfont instead, those
# of the models before them. EVERY=2 takes half of the pieces, and half of the ways; the test pieces are the same.
#
# Finished files are skipped, so the script can be stopped and run again; a larger RENDERINGS adds to what is there. It
# needs libfluidsynth3 and five SoundFonts: Debian's csound-soundfont, fluid-soundfont-gm, fluidr3mono-gm-soundfont and
# musescore-general-soundfont-lossless at Debian's paths, and the one that pretty_midi ships.
set -euo pipefail
[ $# = 2 ] || { echo "usage: $0 MIDI_PATH WORK" >&2; exit 2; }
midi=$1 work=$2 here=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python} passes=${RENDERINGS:-3}
[[ $passes =~ ^([1-9]|1[0-9]|2[0-4])$ ]] || { echo "$0: RENDERINGS=$passes must be from 1 to 24" >&2; exit 2; }
targets=${TARGETS:-musescore} every=${EVERY:-1}
[[ $every =~ ^[1-9]$ ]] || { echo "$0: EVERY=$every must be from 1 to 9" >&2; exit 2; }
csound=${CSOUND:-/usr/share/sounds/sf2/sf_GMbank.sf2}
fluid=${FLUID:-/usr/share/sounds/sf2/FluidR3_GM.sf2}
mono=${FLUID_MONO:-/usr/share/sounds/sf3/FluidR3Mono_GM.sf3}
muse=${MUSESCORE:-/usr/share/sounds/sf2/MuseScore_General_Full.sf2}
tim=${TIMGM:-$("$python" -c "import pretty_midi, pathlib; print(pathlib.Path(pretty_midi.__file__).parent / 'TimGM6mb.sf2')")}

# preset of the keyboard, how it is played
ways=(
    "3"
    "8 --transpose -2 --playback_speed 0.9"
    "2 --transpose 3 --playback_speed 1.1 --duration_rate 2 --no_sustain"
    "8"
    "4 --transpose 2 --playback_speed 1.2 --no_sustain"
    "5 --transpose -3 --playback_speed 0.8 --duration_rate 2"
    "6 --transpose -5 --duration_rate 4 --no_sustain"
    "7 --transpose 5"
    "14 --playback_speed 0.9 --duration_rate 3 --no_sustain"
    "9 --duration_rate 1.5"
    "10 --transpose -1 --playback_speed 1.1 --no_sustain"
    "3 --transpose 1 --duration_rate 2 --no_sustain"
    "8 --transpose -4 --playback_speed 1.15 --no_sustain"
    "12 --transpose 1 --playback_speed 0.85"
    "13 --transpose -1 --duration_rate 2 --no_sustain"
    "20 --transpose 4 --playback_speed 1.25"
    "15 --transpose -2 --playback_speed 0.9 --duration_rate 3 --no_sustain"
    "7 --transpose 2 --playback_speed 1.1 --no_sustain"
    "16 --transpose 3 --duration_rate 1.5"
    "17 --transpose -3 --playback_speed 0.9 --no_sustain"
    "20 --transpose -6 --playback_speed 0.8 --no_sustain"
    "18 --transpose 6 --playback_speed 1.3"
    "19 --playback_speed 0.95 --duration_rate 2 --no_sustain"
    "3 --transpose 3 --playback_speed 0.75 --duration_rate 1.5"
)
# pass, group: sets the array words to one of the ways
choose_way() {
    read -r -a words <<<"${ways[(10#$2 + 12 * $1 + 5 * ($1 / 2)) % 24]}"
}
if [ ! -d "$work/midi" ]; then
    mkdir -p "$work/midi.partial/test"
    number=0
    (cd "$midi" && find . -iname '*.mid' -o -iname '*.midi' | LC_ALL=C sort) | while read -r file; do
        piece=$(basename "${file#./}")
        folder=test
        if [ $((number % 10)) != 9 ]; then
            folder=$(printf '%02d' $((number % 24)))
        fi
        if [ $folder = test ] || [ $((number / 12 % every)) = 0 ]; then
            mkdir -p "$work/midi.partial/$folder"
            cp "$midi/$file" "$work/midi.partial/$folder/$piece"
        fi
        number=$((number + 1))
    done
    mv "$work/midi.partial" "$work/midi"
fi

needed=" 0 3 8 11 " # presets of the targets and of the tests, and those of the renderings that are made
for ((pass = 0; pass < passes; pass++)); do
    for group in "$work"/midi/[0-2]*; do
        choose_way "$pass" "$(basename "$group")"
        needed+="${words[0]} "
    done
done

# preset of the notes, SoundFont, its programs
notes() {
    [[ $needed == *" $1 "* ]] || return 0
    "$python" "$here/render_notes.py" --nsynth_path "$work/notes" --sample_rate 44100 --preset "$1" --soundfont "$2" \
        --instruments "${@:3}"
}
# The targets: steel guitar, string ensemble, saw lead. compare_soundfonts.py has measured them; README.md says why.
case $targets in
    musescore) notes 0 "$muse" guitar_acoustic=25 string_acoustic=48 synth_lead_synthetic=81 ;;
    csound) notes 0 "$csound" guitar_acoustic=24 string_acoustic=48 synth_lead_synthetic=81 ;;
    *) echo "$0: TARGETS=$targets must be musescore or csound" >&2; exit 2 ;;
esac
# The keyboards: grand pianos, bright and honky-tonk pianos, electric pianos, harpsichords.
notes 2 "$csound" keyboard_acoustic=4
notes 3 "$fluid" keyboard_acoustic=0
notes 4 "$fluid" keyboard_acoustic=1
notes 5 "$fluid" keyboard_acoustic=2
notes 6 "$fluid" keyboard_acoustic=4
notes 7 "$mono" keyboard_acoustic=0
notes 8 "$muse" keyboard_acoustic=0
notes 9 "$csound" keyboard_acoustic=6
notes 10 "$fluid" keyboard_acoustic=3
notes 12 "$muse" keyboard_acoustic=1
notes 13 "$muse" keyboard_acoustic=2
notes 14 "$muse" keyboard_acoustic=4
notes 15 "$muse" keyboard_acoustic=5
notes 16 "$fluid" keyboard_acoustic=5
notes 17 "$fluid" keyboard_acoustic=6
notes 18 "$mono" keyboard_acoustic=1
notes 19 "$muse" keyboard_acoustic=3
notes 20 "$muse" keyboard_acoustic=8:0
# The unseen piano. No model is trained with it, nor with csound's pianos, which have recordings in common with it.
notes 11 "$tim" keyboard_acoustic=0

# folder below $work, MIDI files, preset of the keyboard, how it is played
audio() {
    "$python" "$here/synthesize_audios.py" --nsynth_path "$work/notes" --midi_path "$work/midi/$2" \
        --audios_path "$work/$1" --preset 0 keyboard_acoustic="$3" "${@:4}"
}
dataset() {
    if [ "$(cat "$work/$1/done" 2>/dev/null)" = "$*" ]; then return; fi
    audio "$1/audios" "${@:2}"
    "$python" "$here/compute_features.py" --audios "$work/$1/audios" --features "$work/$1/features"
    echo "$*" >"$work/$1/done"
    [ "${KEEP_AUDIO:-0}" = 1 ] || rm -r "$work/$1/audios"
}
for ((pass = 0; pass < passes; pass++)); do
    for group in "$work"/midi/[0-2]*; do
        group=$(basename "$group")
        choose_way "$pass" "$group"
        half=$((10#$group / 12))
        if (((10#$group + half + pass) % 2)); then words+=(--effects all=0.3 room=0.5 --seed $((pass + half))); fi
        dataset "train/$(printf '%02d' "$pass")-$group" "$group" "${words[@]}"
    done
done
# Two seen keyboards and the unseen one, on the test pieces, without changes; and the unseen one with effects.
for preset in 3 8 11; do
    audio "test/$preset" test "$preset"
done
audio test/11_effects test 11 --effects all=0.3 room=0.6
