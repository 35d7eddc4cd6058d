#!/usr/bin/env bash
# Make the recordings and pictures of this folder: a melody, and six seconds of other music, by four instruments.
#
#   docs/examples/make_examples.sh NOTES
#
# NOTES is a folder with notes of the four instruments, preset 0. The files in this folder were made with notes of two
# SoundFonts: render_notes.py --sample_rate 44100 --preset 0, keyboard_acoustic=0 of csound's sf_GMbank.sf2,
# guitar_acoustic=25 string_acoustic=48 synth_lead_synthetic=81 of MuseScore_General_Full.sf2.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 NOTES" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd) root=$(cd "$(dirname "$0")/../.." && pwd) work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python}
"$python" "$here/write_pieces.py" --midi_path "$work/all"
mkdir "$work/midi"
cp "$work/all/melody.mid" "$work/all/exercise_02.mid" "$work/midi/"
"$python" "$root/synthesize_audios.py" --nsynth_path "$1" --midi_path "$work/midi" --audios_path "$work/audios"
for folder in "$work"/audios/*/; do
    instrument=$(basename "$folder")
    mkdir -p "$here/$instrument"
    cp "$folder/melody.wav" "$here/$instrument/melody.wav"
    "$python" -c 'import sys, soundfile
source, output = sys.argv[1:]
soundfile.write(output, *soundfile.read(source, frames=6 * 44100, dtype="int16"))' \
        "$folder/exercise_02.wav" "$here/$instrument/style.wav"
    "$python" "$here/draw_spectrograms.py" --output "$here/$instrument/melody.png" "$instrument=$here/$instrument/melody.wav"
done
