"""Models by name: shipped ones, one's own, and downloaded ones."""

import hashlib
import http.server
import json
import threading

import pytest
from conftest import one_line

from common import pretrained
from common.cli import UserError


@pytest.fixture(autouse=True)
def own_models(monkeypatch, tmp_path):
    """An empty folder instead of models/."""
    monkeypatch.setattr(pretrained, "OWN_MODELS", tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def server(tmp_path):
    """Serves files on loopback, and records the requests."""
    (tmp_path / "served").mkdir()
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words):
            super().__init__(*words, directory=str(tmp_path / "served"))

        def log_message(self, *_):
            requests.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield tmp_path / "served", f"http://127.0.0.1:{running.server_port}", requests
        running.shutdown()


def register(models, url, contents):
    models.mkdir()
    sources = {
        name: {"url": f"{url}/{name}", "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }
    (models / pretrained.REGISTRY_NAME).write_text(json.dumps({"piano_2_flute": sources}))


def write_model(folder):
    folder.mkdir(parents=True)
    (folder / pretrained.GENERATOR_NAME).write_bytes(b"weights")
    return folder


def test_models_by_name(server, tmp_path):
    folder, url, requests = server
    contents = {"generator.weights.h5": b"weights" * 1000, "config.json": b"{}"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    models, cache = tmp_path / "models", tmp_path / "cache"
    register(models, url, contents)
    assert pretrained.describe(models, cache) == ["piano_2_flute: to be downloaded"]
    for _ in range(2):  # the second time from the cache
        found = pretrained.find("piano_2_flute", models, cache)
        assert {path.name: path.read_bytes() for path in found.iterdir()} == contents
    assert sorted(requests) == ["/config.json", "/generator.weights.h5"]
    assert str(found) in pretrained.describe(models, cache)[0]
    (models / "piano_2_flute").mkdir()
    (models / "piano_2_flute" / "generator.weights.h5").write_bytes(b"shipped")
    assert pretrained.find("piano_2_flute", models, cache) == models / "piano_2_flute"
    assert pretrained.find(tmp_path, models, cache) == tmp_path


def test_missing_and_wrong_models_are_refused(server, tmp_path):
    folder, url, _ = server
    models, cache = tmp_path / "models", tmp_path / "cache"
    (folder / "generator.weights.h5").write_bytes(b"others")
    register(models, url, {"generator.weights.h5": b"weights"})
    with pytest.raises(UserError, match="SHA-256 differs") as error:
        pretrained.find("piano_2_flute", models, cache)
    one_line(str(error.value))
    assert not [path for path in cache.rglob("*") if path.is_file()]  # neither a part nor a wrong file
    with pytest.raises(UserError, match=r"no model's name \(known: piano_2_flute\)"):
        pretrained.find("piano_2_lute", models, cache)
    with pytest.raises(UserError, match="does not exist"):
        pretrained.find("some/where", models, cache)
    offline = tmp_path / "offline"
    register(offline, "http://127.0.0.1:1", {"generator.weights.h5": b"weights"})
    with pytest.raises(UserError, match=r"cannot be downloaded .* are you offline") as error:
        pretrained.find("piano_2_flute", offline, cache)
    one_line(str(error.value))
    (offline / pretrained.REGISTRY_NAME).write_text('{"a": {"b": 1}}')
    with pytest.raises(UserError, match="is damaged"):
        pretrained.find("a", offline, cache)


def test_own_models_are_found_by_name(own_models, tmp_path):
    shipped = write_model(tmp_path / "shipped" / "piano_2_flute").parent
    write_model(own_models / "piano_2_flute")
    own = write_model(own_models / "piano_2_lute")
    assert pretrained.find("piano_2_lute", shipped) == own
    assert pretrained.find("piano_2_flute", shipped) == shipped / "piano_2_flute"  # a shipped model comes first
    lines = [f"piano_2_flute: {shipped / 'piano_2_flute'}", f"piano_2_lute: {own}"]
    assert pretrained.describe(shipped) == lines


def test_a_wrong_path_to_a_shipped_model_gives_a_hint(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shipped = write_model(tmp_path / "shipped" / "piano_2_flute").parent
    hint = r"\(a model of that name is shipped: --model piano_2_flute\)"
    with pytest.raises(UserError, match=rf"--model models/piano_2_flute does not exist; .* {hint}") as error:
        pretrained.find("models/piano_2_flute", shipped)
    one_line(str(error.value))
    with pytest.raises(UserError, match="does not exist") as error:
        pretrained.find("models/piano_2_lute", shipped)
    assert "is shipped" not in str(error.value)


def test_the_shipped_models_are_found_by_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    name = pretrained.shipped()[0]
    assert pretrained.find(name) == pretrained.PRETRAINED / name
    with pytest.raises(UserError, match=f"is shipped: --pretrained {name}"):
        pretrained.find(f"models/{name}", flag="--pretrained")


GOOD = {"url": "https://example.org/generator.weights.h5", "sha256": "0" * 64}


@pytest.mark.parametrize(
    "registry",
    [
        {"a": {"generator.weights.h5": {**GOOD, "url": 3}}},
        {"a": {"generator.weights.h5": {**GOOD, "url": "file:///etc/passwd"}}},
        {"a": {"generator.weights.h5": {**GOOD, "sha256": None}}},
        {"a": {"generator.weights.h5": {**GOOD, "sha256": ""}}},
        {"a": {"generator.weights.h5": {**GOOD, "sha256": "0" * 63}}},
        {"a": {"generator.weights.h5": {"url": GOOD["url"]}}},
        {"a": {"generator.weights.h5": [GOOD]}},
        {"a": [GOOD]},
        {"a": 3},
        {"a": {"../../outside": GOOD}},
        {"a": {"/etc/outside": GOOD}},
        {"a": {"..": GOOD}},
        {"a": {"b\\outside": GOOD}},
        {"a": {"": GOOD}},
        {"../outside": {"generator.weights.h5": GOOD}},
        {"/outside": {"generator.weights.h5": GOOD}},
        {"..": {"generator.weights.h5": GOOD}},
        ["a"],
    ],
)
def test_a_damaged_registry_is_one_line_and_nothing_is_fetched(monkeypatch, tmp_path, registry):
    monkeypatch.setattr(pretrained, "_fetch", None)
    (tmp_path / pretrained.REGISTRY_NAME).write_text(json.dumps(registry))
    monkeypatch.chdir(tmp_path)
    for name in ("a", "no_such_model"):
        with pytest.raises(UserError, match=r"registry\.json") as error:
            pretrained.find(name, tmp_path, tmp_path / "cache")
        one_line(str(error.value))
    with pytest.raises(UserError, match=r"registry\.json"):
        pretrained.describe(tmp_path, tmp_path / "cache")
    assert not (tmp_path / "cache").is_dir()


def test_a_registry_that_is_right_is_read(tmp_path):
    registry = {"keyboard_acoustic_2_any": {"generator.weights.h5": GOOD, "config.json": GOOD}}
    (tmp_path / pretrained.REGISTRY_NAME).write_text(json.dumps(registry))
    assert pretrained.read_registry(tmp_path) == registry
