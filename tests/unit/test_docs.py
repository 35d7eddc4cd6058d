"""The documentation: links lead somewhere, docs/usage.md has all flags, lines are short, spelling is American."""

import functools
import re
import subprocess
import sys

import pytest
from conftest import REPOSITORY

README = REPOSITORY / "README.md"
USAGE = REPOSITORY / "docs" / "usage.md"
ARCHITECTURE = REPOSITORY / "docs" / "architecture.md"
DOCUMENTS = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "pretrained").rglob("*.md"),
        REPOSITORY / "models" / "README.md",
    ]
)
SCRIPTS = (
    "render_notes.py",
    "synthesize_audios.py",
    "compute_features.py",
    "train.py",
    "train_multitarget.py",
    "train_generator.py",
    "train_phase.py",
    "predict.py",
    "predict_multitarget.py",
    "evaluate.py",
    "export.py",
)
SHARED_FLAGS = {"predict_multitarget.py": "predict.py", "train_phase.py": "train.py"}  # whose flags a script has, too
FOREIGN_FLAGS = {"--help", "--logdir", "--no"}  # --logdir: of tensorboard; --no-deps: of pip
MAX_README_LINES, MAX_WIDTH = 250, 120
# Stems as in "colour" and "normalised". "Analyses" may be a noun, and "synthesis" is one.
BRITISH = re.compile(
    r"\b\w*(?:(?:colour|behaviour|honour|favour|neighbour|centre|licence|defence|artefact|catalogue|judgement)\w*"
    r"|learnt|modelling|labelled|whilst|grey"
    r"|(?:normal|equal|general|initial|summar|visual|optim|minim|maxim|random|recogn|quant|standard|organ|real|util"
    r"|serial)is(?:e|ed|er|ers|es|ing|ation)"
    r"|(?:analys|synthesis)(?:e|ed|er|ing))\b",
    re.IGNORECASE,
)

FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`[^`]+`")
LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)|(?:src|href)=\"([^\"]+)\"", re.MULTILINE)
REFERENCE, DEFINITION = re.compile(r"\]\[([^\]]+)\]"), re.compile(r"^\[([^\]]+)\]: ", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z_]*")
COMMAND = re.compile(r"^\$ python (\w+\.py)((?:.*\\\n)*.*)$", re.MULTILINE)

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))


def read(path):
    return path.read_text(encoding="utf-8")


def prose(path):
    """A document without blocks of code."""
    return FENCED.sub("", read(path))


def anchors(path):
    """The anchors that GitHub gives to the headings of a document."""
    seen, found = {}, set()
    for heading in HEADING.findall(prose(path)):
        text = re.sub(r"\]\([^)]*\)", "]", heading)  # of a link, the text alone
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
        seen[slug] = seen.get(slug, 0) + 1
    return found


@functools.cache
def flags_of(script):
    """The flags of a script, from the list of options in its help."""
    command = [sys.executable, REPOSITORY / script, "--help"]
    help_text = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout
    options = re.findall(r"^ {2}(-.+?)(?: {2}|$)", help_text, re.MULTILINE)
    return {flag for option in options for flag in FLAG.findall(option)} - FOREIGN_FLAGS


def usage_sections():
    """The sections of docs/usage.md by the scripts that their headings name."""
    for section in re.split(r"^## ", read(USAGE), flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        yield re.findall(r"\w+\.py", heading), text


@every_document
def test_links_and_pictures_lead_somewhere(path):
    text = INLINE_CODE.sub("", prose(path))
    assert set(REFERENCE.findall(text)) <= set(DEFINITION.findall(text))
    for target in filter(None, (group for match in LINK.findall(text) for group in match)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        linked = path.parent / file if file else path
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@every_document
def test_lines_are_short(path):
    for number, line in enumerate(read(path).splitlines(), 1):
        is_table = path != README and line.lstrip().startswith("|")
        assert is_table or len(line) <= MAX_WIDTH, f"line {number} has {len(line)} characters"


@every_document
def test_spelling_is_american(path):
    assert not BRITISH.findall(INLINE_CODE.sub("", prose(path)))


def test_the_readme_is_short():
    assert len(read(README).splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("script", SCRIPTS)
def test_usage_has_every_flag_of_a_script(script):
    shown = {script, SHARED_FLAGS.get(script)}
    documented = {flag for scripts, text in usage_sections() if shown & {*scripts} for flag in FLAG.findall(text)}
    assert flags_of(script) <= documented


@pytest.mark.parametrize("path", [README, USAGE], ids=lambda path: path.name)
def test_flags_in_the_documentation_exist(path):
    existing = FOREIGN_FLAGS.union(*map(flags_of, SCRIPTS))
    assert set(FLAG.findall(read(path))) <= existing


@every_document
def test_commands_in_the_documentation_have_flags_of_their_script(path):
    for script, words in COMMAND.findall(read(path)):
        assert script in SCRIPTS
        assert set(FLAG.findall(words)) <= flags_of(script), script


def test_the_architecture_names_every_module():
    folders = re.findall(r"^\| `(\w+)/` \| holds \|\n((?:\|.*\n)+)", read(ARCHITECTURE), re.MULTILINE)
    assert {folder for folder, _ in folders} == {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    for folder, rows in folders:
        named = {name for row in rows.splitlines() for name in re.findall(r"`([\w.]+)`", row.split("|")[1])}
        files = [*(REPOSITORY / folder).glob("*.py"), *(REPOSITORY / folder).glob("*.html")]
        assert named == {path.name for path in files} - {"__init__.py"}, folder


def test_what_prediction_needs_is_part_of_what_everything_needs():
    needed, all_needed = (
        [line for line in (REPOSITORY / name).read_text().splitlines() if line[0] != "#"]
        for name in ("requirements-predict.txt", "requirements.txt")
    )
    assert set(needed) < set(all_needed)
