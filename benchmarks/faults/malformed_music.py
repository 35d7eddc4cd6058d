"""Malformed MIDI files, notes, SoundFonts and records of what a folder was made with."""

import functools
import json
import struct
from pathlib import Path

import damage
import numpy as np
import samples
from malformed_audio import reference
from samples import ORIGIN, TARGET
from trial import Case

_RECORDS = {  # job: its record and the folder of its output
    "render_notes": "notes/render_notes.json",
    "synthesis": "audios/synthesis.json",
    "features": "features/features.json",
    "evaluation": "scores/evaluation.json",
}
_MIDI_MUST_FAIL = ("division 0", "SMPTE without ticks", "one giant delta", "fifty giant deltas", "a gap of a year")


def cases():
    yield from _midi_cases()
    yield from _note_cases()
    yield from _soundfont_cases()
    yield from _record_cases()


# ---- MIDI


def _midi_cases():
    for name, function in damage.general(repeats=4):
        yield Case("malformed MIDI", f"MIDI {name}", functools.partial(_midi_case, function), True)
    for name, data in _special_midi().items():
        yield Case("malformed MIDI", f"MIDI {name}", functools.partial(_midi_case, lambda *_, data=data: data), True)


def _special_midi():
    """Make MIDI files that are valid as bytes and absurd as music, by name."""

    def variable(value):
        groups = [value & 127]
        while value := value >> 7:
            groups.insert(0, value & 127 | 128)
        return bytes(groups)

    def file(events, division=480, n_tracks=1, declared=None, midi_type=1):
        track = b"".join(events) + b"\x00\xff\x2f\x00"
        length = len(track) if declared is None else declared
        return struct.pack(">4sIHHH4sI", b"MThd", 6, midi_type, n_tracks, division, b"MTrk", length) + track

    def note(start, length):
        return [variable(start) + b"\x90\x3c\x64", variable(length) + b"\x80\x3c\x40"]

    plain, giant = note(0, 480), 2**28 - 1
    return {
        "division 0": file(plain, 0),
        "division 1": file(note(0, 400_000), 1),
        "division 32767": file(plain, 32767),
        "SMPTE without ticks": file(plain, 0xE700),
        "SMPTE 25 with 40": file(plain, 0xE728),
        "SMPTE 0 frames": file(plain, 0x8001),
        "one giant delta": file([*plain, *note(giant, 480)]),
        "fifty giant deltas": file([event for _ in range(50) for event in note(giant, 480)]),
        "a gap of a year": file([*plain, *[variable(giant) + b"\xb0\x07\x40"] * 113, *note(0, 480)]),
        "a gap of hours": file([*plain, *note(480 * 2 * 3600 * 5, 480)]),
        "a long note": file(note(0, 480 * 2 * 3600 * 9)),
        "running status": file([b"\x00\x90\x3c\x64"] + [b"\x08\x3c\x00\x08\x3c\x64"] * 3000),
        "data before a status": file([b"\x00\x3c\x64", *plain]),
        "a track longer than the file": file(plain, declared=2**31 - 1),
        "a track of length 0": file(plain, declared=0),
        "65535 tracks": file(plain, n_tracks=65535),
        "type 2": file(plain, midi_type=2),
        "type 9": file(plain, midi_type=9),
        "tempo 0": file([b"\x00\xff\x51\x03\x00\x00\x00", *plain]),
        "tempo of 16 s": file([b"\x00\xff\x51\x03\xff\xff\xff", *note(0, 480 * 60)]),
        "tempo of 1 byte": file([b"\x00\xff\x51\x01\x07", *plain]),
        "a giant meta event": file([b"\x00\xff\x01" + variable(giant) + b"text", *plain]),
        "a giant sysex": file([b"\x00\xf0" + variable(giant) + b"\x7e", *plain]),
        "text that is not UTF-8": file([b"\x00\xff\x03\x04\xff\xfe\xe9\x00", *plain]),
        "a delta without an end": file([b"\xff" * 2000, *plain]),
        "notes that never end": file([b"\x00\x90\x3c\x64"] * 2000),
        "velocity 0 alone": file([b"\x00\x90\x3c\x00"] * 10),
        "drums alone": file([b"\x00\x99\x3c\x64", b"\x40\x89\x3c\x40"]),
        "no tracks": struct.pack(">4sIHHH", b"MThd", 6, 1, 0, 480),
        "100 s at once": file([b"\x00\x90\x3c\x64"] * 20_000 + [variable(96_000) + b"\x80\x3c\x40"]),
        "RIFF": b"RIFF\x24\x00\x00\x00RMID" + file(plain),
    }


def _midi_case(function, trial):
    world, midi, audios = trial.world.folder, trial.folder / "midi", trial.folder / "audios"
    samples.copy(world / "midi" / "first.mid", midi / "first.mid")
    (midi / "bad.mid").write_bytes(function((world / "midi" / "second.mid").read_bytes(), trial.rng))
    words = ("--nsynth_path", world / "notes", "--midi_path", midi, "--audios_path", audios)
    outcome = trial.must("synthesize_audios.py", (*words, "--instruments", ORIGIN, TARGET), ["bad.mid"])
    made = [audios / name / "bad.wav" for name in (ORIGIN, TARGET)]
    for name in (ORIGIN, TARGET):
        good = audios / name / "first.wav"
        if not good.exists() or good.read_bytes() != (world / "audios" / name / "first.wav").read_bytes():
            trial.fail(f"a good file beside it was not played: {outcome}")
            break
    if outcome.status:
        trial.fail("audio of a file that was refused" if any(path.exists() for path in made) else None)
    else:
        audio = [reference(path)[0] for path in made if path.exists()]
        if len(audio) < 2 or len(audio[0]) != len(audio[1]) or not audio[0].any():
            trial.fail("exit status 0, and no audio, or silence")
        if any(trial.case.name == f"MIDI {name}" for name in _MIDI_MUST_FAIL):
            trial.fail("was played")
    trial.fail(samples.leftovers(trial.folder))


# ---- notes and SoundFonts


def _note_cases():
    for name, function in damage.general(repeats=1):
        yield Case("malformed notes", f"note {name}", functools.partial(_note_case, function), True)
    for name in ("FLOAT", "PCM_24", "PCM_U8", "DOUBLE", "silent", "rate 1", "rate 8000", "stereo", "one sample", "NaN"):
        yield Case("malformed notes", f"note {name}", functools.partial(_note_case, name), True)


def _note_case(change, trial):
    """Change all notes of an instrument in the same way, and play a piece with them."""
    import soundfile

    notes = trial.folder / "notes"
    samples.copy(trial.world.folder / "notes", notes)
    paths = sorted(notes.glob(f"{TARGET}*.wav"))
    for path in paths:
        if callable(change):
            path.write_bytes(change(path.read_bytes(), trial.rng))
            continue
        audio, rate = soundfile.read(path)
        audio = audio * (change != "silent") + (np.nan if change == "NaN" else 0)
        audio = np.stack([audio, audio], axis=1) if change == "stereo" else audio
        audio = audio[:1] if change == "one sample" else audio
        rate = int(change.split()[1]) if change.startswith("rate") else rate
        subtype = change if change in soundfile.available_subtypes("WAV") else "FLOAT" if change == "NaN" else "PCM_16"
        soundfile.write(path, audio, rate, subtype=subtype)
    audios = trial.folder / "audios"
    words = ("--nsynth_path", notes, "--midi_path", trial.world.folder / "midi", "--audios_path", audios)
    names = [TARGET, *(path.name for path in paths)]
    outcome = trial.must("synthesize_audios.py", (*words, "--instruments", ORIGIN, TARGET), names)
    if outcome.status == 0:
        rms = [np.sqrt((reference(audios / name / "first.wav")[0] ** 2).mean()) for name in (ORIGIN, TARGET)]
        if min(rms) < 1e-3:
            trial.fail(f"silence in silence: RMS {rms[0]:.4f} and {rms[1]:.4f}")
        if change in ("FLOAT", "PCM_24", "DOUBLE") and not 0.3 < rms[1] / _good_rms(trial) < 3:
            trial.fail("the level of the notes was lost")


def _good_rms(trial):
    return np.sqrt((reference(trial.world.folder / "audios" / TARGET / "first.wav")[0] ** 2).mean())


def _soundfont_cases():
    font = _find_soundfont()
    if font:
        for name, function in damage.general():
            title = f"SoundFont {name}"
            yield Case("malformed SoundFonts", title, functools.partial(_soundfont_case, font, function))


def _find_soundfont():
    """Return a small SoundFont of the development packages; None if it or FluidSynth is not installed."""
    import ctypes.util
    import importlib.util

    package = importlib.util.find_spec("pretty_midi")
    path = Path(package.origin).parent / "TimGM6mb.sf2" if package else None
    return path if path and path.is_file() and ctypes.util.find_library("fluidsynth") else None


def _soundfont_case(font, function, trial):
    path, notes = trial.folder / "bad.sf2", trial.folder / "notes"
    path.write_bytes(function(font.read_bytes(), trial.rng))
    words = ("--soundfont", path, "--nsynth_path", notes, "--instruments", f"{ORIGIN}=0", "--pitches", "60-61")
    outcome = trial.must("render_notes.py", (*words, "--velocities", "100"), [path.name])
    if outcome.status == 0:
        made = [reference(note)[0] for note in sorted(notes.glob("*.wav"))]
        if not made or not all(len(note) == 64_000 and note.any() for note in made):
            trial.fail("exit status 0, and no notes, or silent ones")


# ---- records


def _record_cases():
    changes = {name: functools.partial(_text_record, text) for name, text in damage.json_values().items()}
    changes |= {f"mutant {number}": functools.partial(_mutant_record, number) for number in range(8)}
    for function in (damage.truncate, damage.noise, damage.latin_1, damage.zeros):
        changes[function.__name__] = functools.partial(_damaged_record, function)
    for job, record in _RECORDS.items():
        for name, change in list(changes.items())[:: 3 if job == "evaluation" else 1]:  # which takes longer
            title = f"{job} {Path(record).name}: {name}"
            function = functools.partial(_record_case, job, record, change)
            yield Case("malformed records", title, function, job != "evaluation")


def _text_record(text, path, rng):
    path.write_text(text, encoding="utf-8", errors="surrogatepass")


def _mutant_record(number, path, rng):
    mutants = list(damage.json_mutants(json.loads(path.read_text()), rng, number + 1))
    path.write_text(json.dumps(mutants[-1][1]))


def _damaged_record(function, path, rng):
    path.write_bytes(function(path.read_bytes(), rng))


def _record_case(job, record, make, trial):
    """Damage the record of a complete folder; the same command refuses it, or what it leaves is as it was."""
    out = trial.folder / "out"
    command = trial.world.jobs[job](out)
    trial.must_succeed(*command, what="before any fault")
    make(out / record, trial.rng)
    before = samples.contents(out, samples.RECORDS)
    trial.must(*command, [Path(record).name, Path(record).parts[0]])
    trial.fail(samples.differences(before, samples.contents(out, samples.RECORDS)))
    trial.fail(samples.leftovers(out))
