"""A small sample of the campaign of faults: malformed files that need no network, and kills of two scripts."""

import subprocess
import sys

import pytest
from conftest import REPOSITORY


@pytest.mark.slow
def test_a_sample_of_the_campaign_of_faults_holds(tmp_path):
    command = [sys.executable, REPOSITORY / "benchmarks" / "faults" / "run.py", "--quick", "--folder", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| malformed MIDI |" in result.stdout
    assert not list(tmp_path.iterdir())


def test_the_campaign_is_as_large_as_promised():
    code = (
        "import collections, sys; sys.path.insert(0, 'benchmarks/faults'); import run; cases = run.all_cases(); "
        "print(len(cases), len({case.name for case in cases})); "
        "print(sum(case.kind.startswith('malformed') for case in cases))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    (n_cases, n_names), (n_malformed,) = (map(int, line.split()) for line in result.stdout.splitlines())
    assert n_names == n_cases
    assert n_malformed >= 500
