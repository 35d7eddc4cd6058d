"""The rules of the house, which docs/architecture.md explains: who imports whom, and how large things may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

SCRIPTS = {
    "render_notes",
    "synthesize_audios",
    "compute_features",
    "train",
    "train_multitarget",
    "train_generator",
    "train_phase",
    "predict",
    "predict_multitarget",
    "evaluate",
    "export",
}
CORE = {"data", "phase_gradient", "source_noise", "fast_layers", "model", "losses", "lr_finder"}
STAGES = {"synthesis", "dataset", "training", "inference", "evaluation"}
# The names of ours that the modules of a folder may import.
ALLOWED = {
    "common": CORE | {"common"},
    "synthesis": CORE | {"common", "synthesis"},
    "dataset": CORE - {"fast_layers", "model", "losses", "lr_finder"} | {"common", "dataset"},
    "inference": CORE | {"common", "inference"},
    "training": CORE | {"common", "dataset", "inference", "training"},
    "evaluation": CORE | {"common", "synthesis", "dataset", "inference", "evaluation"},
}
FORBIDDEN = {
    "synthesis": {"tensorflow", "keras"},  # MIDI × notes → audio runs without them
    "dataset": {"keras"},  # knows no network
}
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 350, 80, 8


def modules():
    """All modules but tests, benchmarks and docs, by their path below the repository."""
    folders = [REPOSITORY, *(REPOSITORY / name for name in ALLOWED)]
    return sorted(path.relative_to(REPOSITORY) for folder in folders for path in folder.glob("*.py"))


def parse(path):
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))


def imported(tree):
    """The full names of what a module imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module


def test_the_root_holds_scripts_and_core_alone():
    assert {path.stem for path in modules() if len(path.parts) == 1} == SCRIPTS | CORE
    assert {path.parent.name for path in REPOSITORY.glob("*/__init__.py")} == set(ALLOWED)


@pytest.mark.parametrize("path", modules(), ids=str)
def test_a_module_imports_what_its_place_allows(path):
    ours = SCRIPTS | CORE | set(ALLOWED)
    names = {name.split(".")[0] for name in imported(parse(path))}
    if len(path.parts) == 2:
        folder = path.parts[0]
        assert names & ours <= ALLOWED[folder]
        assert not names & FORBIDDEN.get(folder, set())
    elif path.stem in SCRIPTS:
        assert not names & SCRIPTS
    else:
        assert names & ours <= (
            {"data", "phase_gradient", "source_noise", "fast_layers"} if path.stem == "model" else {"data"}
        )


def test_imports_between_modules_have_no_circle():
    graph = {}
    for path in modules():
        name = ".".join(path.with_suffix("").parts)
        graph[name] = set()
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                graph[name] |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    graph = {name: {other for other in others if other in graph} for name, others in graph.items()}
    while graph:
        leaves = {name for name, others in graph.items() if not others}
        assert leaves, f"a circle among {sorted(graph)}"
        graph = {name: others - leaves for name, others in graph.items() if name not in leaves}


@pytest.mark.parametrize("path", modules(), ids=str)
def test_files_functions_and_parameters_are_few_enough(path):
    assert len((REPOSITORY / path).read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef):
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            named = [parameter.arg for parameter in parameters if parameter.arg not in ("self", "cls")]
            assert len(named) <= MAX_PARAMETERS, f"{node.name} takes {len(named)} parameters"
            n_lines = node.end_lineno - node.lineno + 1
            docstring = node.body[0] if ast.get_docstring(node) is not None else None
            n_lines -= docstring.end_lineno - docstring.lineno + 1 if docstring else 0
            assert n_lines <= MAX_FUNCTION_LINES, f"{node.name} has {n_lines} lines"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_namespaces_end_at_the_command_line(path):
    at_command_line = path.stem in SCRIPTS or path.name in ("arguments.py", "cli.py", "device.py")
    assert at_command_line or "Namespace" not in (REPOSITORY / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_help_loads_no_heavy_library(name):
    # What keeps --help fast, without a clock: none of the libraries that take long is imported for it.
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{name}.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(REPOSITORY / name) + '.py'!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "heavy = {'tensorflow', 'keras', 'librosa', 'scipy', 'matplotlib', 'soundfile', 'av', 'h5py', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert result.stdout.splitlines()[-1] == "[]"


def test_every_module_says_what_it_holds():
    for path in modules():
        docstring = ast.get_docstring(parse(path))
        assert docstring and len(docstring.splitlines()[0]) <= 120, path


def test_python_versions_are_the_same_everywhere():
    text = Path(REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.10' in text
    assert 'target-version = "py310"' in text
