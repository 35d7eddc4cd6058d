"""Data preparation on a Dask cluster of two processes: the outputs are those of threads, whatever dies on the way."""

import contextlib
import os
import signal
import subprocess
import sys
from unittest import mock

import pytest
from conftest import ORIGIN, REPOSITORY, TARGET, one_line, read_json, run_script, start_script, wait_for

import synthesize_audios
from common import cluster

distributed = pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")  # comes with Dask
pytestmark = pytest.mark.slow
PITCHES = ("--pitches", "59-60", "--velocities", 50, 100)


def contents(folder):
    """The files of a folder; manifests without the times of the audio."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    if (name := "features/features.json") in files:
        entries = read_json(folder / name)["entries"]
        files[name] = {key: (entry["slices"], entry["sounding"]) for key, entry in entries.items()}
    return files


@pytest.fixture(scope="module")
def workers():
    """A cluster of two worker processes, as a cluster's administrator starts them."""
    # Dask leaves the variables of its workers in the environment, where later scripts would find them.
    with mock.patch.dict(os.environ, PYTHONPATH=str(REPOSITORY)):
        started = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=60
        )
    with started:
        yield started


def commands(folder, notes, midi, *who):
    """The three commands on a folder: (script, words)."""
    out = folder / "notes"
    yield "render_notes.py", ("--builtin", "--nsynth_path", out, *PITCHES, "--instruments", f"{ORIGIN}=0", *who)
    words = ("--nsynth_path", notes, "--midi_path", midi, "--audios_path", folder / "audios")
    yield "synthesize_audios.py", (*words, "--instruments", ORIGIN, TARGET, *who)
    yield "compute_features.py", ("--audios", folder / "audios", "--features", folder / "features", *who)


@pytest.fixture(scope="module")
def expected(tmp_path_factory, notes_path, midi_path):
    """What threads make."""
    folder = tmp_path_factory.mktemp("threads")
    for script, words in commands(folder, notes_path, midi_path):
        run_script(script, *words, check=0)
    return contents(folder)


def prepare(folder, notes, midi, *who):
    """Run the three commands and return what they made."""
    for script, words in commands(folder, notes, midi, *who):
        run_script(script, *words, check=0)
    return contents(folder)


def test_a_cluster_makes_the_same_files(workers, expected, notes_path, midi_path, tmp_path):
    made = prepare(tmp_path, notes_path, midi_path, "--scheduler", workers.scheduler_address)
    assert made == expected


def test_effects_are_the_same_on_a_cluster(workers, notes_path, midi_path, tmp_path):
    made = []
    for who in ((), ("--scheduler", workers.scheduler_address)):
        words = ("--nsynth_path", notes_path, "--midi_path", midi_path, "--audios_path", tmp_path / str(len(who)))
        run_script("synthesize_audios.py", *words, "--instruments", ORIGIN, TARGET, "--effects", "all", *who, check=0)
        made.append(contents(tmp_path / str(len(who))))
    assert made[0] == made[1]


def test_processes_of_this_machine_make_the_same_files(expected, notes_path, midi_path, tmp_path):
    *_, (script, words) = commands(tmp_path, notes_path, midi_path, "--scheduler", "local:2")
    for threaded, flags in list(commands(tmp_path, notes_path, midi_path))[:2]:
        run_script(threaded, *flags, check=0)
    result = run_script(script, *words, check=0)
    assert contents(tmp_path) == expected
    assert "distributed" not in result.stderr


def test_a_bad_file_costs_itself_alone(workers, notes_path, midi_path, tmp_path):
    midi = tmp_path / "midi"
    midi.mkdir()
    (midi / "good.mid").write_bytes((midi_path / "first.mid").read_bytes())
    (midi / "bad.mid").write_text("no MIDI")
    _, (script, words), _ = commands(tmp_path, notes_path, midi, "--scheduler", workers.scheduler_address)
    result = run_script(script, *words, check=1)
    assert "bad.mid: " in result.stderr and "Traceback" not in result.stderr
    assert (tmp_path / "audios" / ORIGIN / "good.wav").is_file()


@pytest.fixture
def long_midi(midi_path, tmp_path):
    """Sixteen pieces: enough to be killed among them."""
    folder = tmp_path / "midi"
    folder.mkdir()
    for number in range(16):
        for name in ("first", "second"):
            (folder / f"{name}{number}.mid").write_bytes((midi_path / f"{name}.mid").read_bytes())
    return folder


def begun(folder):
    return lambda: len(list((folder / "audios").glob("*/*.wav"))) > 3


def test_a_worker_that_dies_costs_nothing(expected, notes_path, long_midi, tmp_path):
    _, (script, words), _ = commands(tmp_path, notes_path, long_midi, "--scheduler", "local:2")
    process = start_script(script, *words)
    wait_for(begun(tmp_path), process)
    worker_processes(process.pid)[0].kill()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.startswith("32 pieces of") and "Traceback" not in err
    check_audio(tmp_path, expected)


def test_a_client_that_dies_goes_on(workers, expected, notes_path, long_midi, tmp_path):
    _, (script, words), _ = commands(tmp_path, notes_path, long_midi, "--scheduler", workers.scheduler_address)
    process = start_script(script, *words)
    wait_for(begun(tmp_path), process)
    process.kill()
    process.communicate()
    # Tasks of the run that was killed may still be running.
    assert "32 pieces" in run_script(script, *words, check=0).stdout or count_entries(tmp_path) == 32
    check_audio(tmp_path, expected)


def test_ctrl_c_leaves_nothing(workers, expected, notes_path, long_midi, tmp_path):
    _, (script, words), _ = commands(tmp_path, notes_path, long_midi, "--scheduler", workers.scheduler_address)
    process = start_script(script, *words)
    wait_for(begun(tmp_path), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    if process.returncode:  # otherwise it was done already
        assert one_line(err.splitlines()[-1]) == "synthesize_audios.py: stopped; finished files are kept"
    run_script(script, *words, check=0)
    check_audio(tmp_path, expected)


def check_audio(folder, expected):
    """All pieces are there, each as threads make it, and nothing else."""
    assert count_entries(folder) == 32
    names = {path.name for path in (folder / "audios").iterdir()}
    assert names == {ORIGIN, TARGET, "synthesis.json", ".lock"}
    for instrument in (ORIGIN, TARGET):
        paths = list((folder / "audios" / instrument).iterdir())
        assert len(paths) == 32
        for path in paths:
            piece = path.stem.rstrip("0123456789")
            assert path.read_bytes() == expected[f"audios/{instrument}/{piece}.wav"]


def count_entries(folder):
    return len(read_json(folder / "audios" / "synthesis.json")["entries"])


def worker_processes(client):
    """The processes that a client's cluster started to run tasks."""
    children = psutil.Process(client).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_what_is_wrong_with_a_cluster_is_one_line(notes_path, midi_path, tmp_path, call_script, monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    _, (script, words), _ = commands(tmp_path, notes_path, midi_path, "--scheduler", "tcp://127.0.0.1:9")
    status, _, err = call_script(synthesize_audios, *words)
    assert status == 2 and "tcp://127.0.0.1:9 cannot be reached" in one_line(err)
    for wrong in ("local:0", "local", "127.0.0.1:8786", "tcp://host"):
        assert "must be local:N" in one_line(run_script(script, *words[:-1], wrong, check=2).stderr)
    assert "not allowed with" in one_line(run_script(script, *words, "--jobs", 2, check=2).stderr.splitlines()[-1])


def test_a_worker_without_this_code_is_refused(notes_path, midi_path, tmp_path):
    code = (
        "import distributed, sys\n"
        "if __name__ == '__main__':\n"
        "    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, host='127.0.0.1',\n"
        "            dashboard_address=None, silence_logs=60) as cluster:\n"
        "        print(cluster.scheduler_address, flush=True)\n"
        "        sys.stdin.read()\n"
    )
    (tmp_path / "start.py").write_text(code)
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen([sys.executable, "start.py"], **options) as process:
        address = process.stdout.readline().strip()
        _, (script, words), _ = commands(tmp_path, notes_path, midi_path, "--scheduler", address)
        result = run_script(script, *words, check=2)
        process.stdin.close()
    assert "PYTHONPATH" in one_line(result.stderr)


def test_other_versions_and_another_folder_are_refused(
    workers, notes_path, midi_path, tmp_path, call_script, monkeypatch
):
    _, (_, words), _ = commands(tmp_path, notes_path, midi_path, "--scheduler", workers.scheduler_address)
    here = cluster.environment()
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "environment", lambda: {**here, "numpy": "1.0"})
        status, _, err = call_script(synthesize_audios, *words)
    assert status == 2 and f"numpy {here['numpy']} instead of 1.0" in one_line(err)
    with monkeypatch.context() as patch:  # as on a machine on which the folder is another
        mark = tmp_path / "elsewhere" / "run"
        patch.setattr(cluster.storage, "open_run", lambda folder: contextlib.nullcontext(mark))
        status, _, err = call_script(synthesize_audios, *words)
    assert status == 2 and "does not see the output folder" in one_line(err)


def test_dask_is_optional(notes_path, midi_path, tmp_path, call_script, monkeypatch):
    _, (_, words), _ = commands(tmp_path, notes_path, midi_path, "--scheduler", "local:2")
    monkeypatch.setitem(sys.modules, "distributed", None)
    status, _, err = call_script(synthesize_audios, *words)
    assert status == 2 and "pip install -r requirements-dask.txt" in one_line(err)
