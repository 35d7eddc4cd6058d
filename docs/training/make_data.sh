#!/usr/bin/env bash
# Make the data sets that the shipped models are trained and tested on: MIDI × SoundFonts → slices, in $WORK.
#
#   docs/training/make_data.sh MIDI_PATH WORK
#
# One piece in ten is kept for testing. Each of the others is played once by a keyboard, in one of twelve renderings, and
# by the three targets. Finished files are skipped, so the script can be stopped and run again. It needs libfluidsynth3
# and four SoundFonts: Debian's csound-soundfont, fluid-soundfont-gm and fluidr3mono-gm-soundfont at Debian's paths, and
# the one that pretty_midi ships.
set -euo pipefail
[ $# = 2 ] || { echo "usage: $0 MIDI_PATH WORK" >&2; exit 2; }
midi=$1 work=$2 here=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python}
csound=${CSOUND:-/usr/share/sounds/sf2/sf_GMbank.sf2}
fluid=${FLUID:-/usr/share/sounds/sf2/FluidR3_GM.sf2}
mono=${FLUID_MONO:-/usr/share/sounds/sf3/FluidR3Mono_GM.sf3}
tim=${TIMGM:-$("$python" -c "import pretty_midi, pathlib; print(pathlib.Path(pretty_midi.__file__).parent / 'TimGM6mb.sf2')")}

# preset of the notes, SoundFont, its programs
notes() {
    "$python" "$here/render_notes.py" --nsynth_path "$work/notes" --preset "$1" --soundfont "$2" --instruments "${@:3}"
}
notes 0 "$csound" keyboard_acoustic=0 guitar_acoustic=24 string_acoustic=48 synth_lead_synthetic=81
notes 1 "$csound" keyboard_acoustic=1
notes 2 "$csound" keyboard_acoustic=4
notes 3 "$fluid" keyboard_acoustic=0
notes 4 "$fluid" keyboard_acoustic=1
notes 5 "$fluid" keyboard_acoustic=2
notes 6 "$fluid" keyboard_acoustic=4
notes 7 "$mono" keyboard_acoustic=0
notes 8 "$tim" keyboard_acoustic=5
notes 9 "$csound" keyboard_acoustic=6
notes 10 "$fluid" keyboard_acoustic=3
notes 11 "$tim" keyboard_acoustic=0 # the unseen keyboard: no model is trained with it

# rendering, preset of the keyboard, how it is played
renderings=(
    "00 0"
    "01 1 --transpose -2 --playback_speed 0.9"
    "02 2 --transpose 3 --playback_speed 1.1 --duration_rate 2 --no_sustain"
    "03 3"
    "04 4 --transpose 2 --playback_speed 1.2 --no_sustain"
    "05 5 --transpose -3 --playback_speed 0.8 --duration_rate 2"
    "06 6 --transpose -5 --duration_rate 4 --no_sustain"
    "07 7 --transpose 5"
    "08 8 --playback_speed 0.9 --duration_rate 3 --no_sustain"
    "09 9 --duration_rate 1.5"
    "10 10 --transpose -1 --playback_speed 1.1 --no_sustain"
    "11 3 --transpose 1 --duration_rate 2 --no_sustain"
)
if [ ! -d "$work/midi" ]; then
    mkdir -p "$work/midi.partial/test"
    number=0
    (cd "$midi" && find . -iname '*.mid' -o -iname '*.midi' | LC_ALL=C sort) | while read -r file; do
        piece=$(basename "${file#./}")
        folder=test
        if [ $((number % 10)) != 9 ]; then folder=$(printf '%02d' $((number % 12))); fi
        mkdir -p "$work/midi.partial/$folder"
        cp "$midi/$file" "$work/midi.partial/$folder/$piece"
        number=$((number + 1))
    done
    mv "$work/midi.partial" "$work/midi"
fi

# folder below $work, MIDI files, preset of the keyboard, how it is played
dataset() {
    "$python" "$here/synthesize_audios.py" --nsynth_path "$work/notes" --midi_path "$work/midi/$2" \
        --audios_path "$work/$1/audios" --preset 0 keyboard_acoustic="$3" "${@:4}"
    "$python" "$here/compute_features.py" --audios "$work/$1/audios" --features "$work/$1/features"
}
for line in "${renderings[@]}"; do
    read -r -a words <<<"$line"
    dataset "train/${words[0]}" "${words[0]}" "${words[@]:1}"
done
# Two seen keyboards and the unseen one, on the test pieces, without changes.
for preset in 0 3 11; do
    "$python" "$here/synthesize_audios.py" --nsynth_path "$work/notes" --midi_path "$work/midi/test" \
        --audios_path "$work/test/$preset" --preset 0 keyboard_acoustic="$preset"
done
