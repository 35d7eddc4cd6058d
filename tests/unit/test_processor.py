import pytest

from common import processor
from common.processor import Workload, choose_threads, computes, lacks_wide_vectors

ZEN = "processor\t: 0\nflags\t\t: fpu sse2 avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu\n"


@pytest.fixture
def cpu(monkeypatch):
    def make(cores, *flags):
        monkeypatch.setattr(processor, "available_cores", lambda: cores)
        monkeypatch.setattr(processor, "_flags", lambda: set(flags))

    return make


def test_an_operation_gets_all_cores(cpu):
    cpu(2, "avx2")
    assert choose_threads(Workload(16, "mixed_bfloat16")) == (2, 2)
    cpu(16, "avx512f", "amx_bf16")
    assert choose_threads(Workload(16, "mixed_bfloat16")) == (16, 16)


def test_short_operations_on_two_cores_get_one_each(cpu):
    cpu(2, "avx512f", "amx_bf16")
    assert choose_threads(Workload(16, "mixed_bfloat16")) == (1, 2)
    assert choose_threads(Workload(32, "mixed_bfloat16")) == (2, 2)
    assert choose_threads(Workload(16, "float32")) == (2, 2)


def test_the_user_has_the_last_word(cpu):
    cpu(2, "avx512f", "amx_bf16")
    assert choose_threads(Workload(16, "mixed_bfloat16", (3, 4))) == (3, 4)


def test_what_a_processor_computes_in(cpu):
    cpu(2, "avx2")
    assert computes("float32")
    assert not computes("mixed_bfloat16")
    assert not computes("mixed_float16")
    cpu(2, "avx512f")
    assert computes("mixed_bfloat16")
    assert not computes("mixed_float16")
    cpu(2)  # unknown
    assert computes("mixed_bfloat16")


def test_the_features_are_those_of_the_first_core(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(ZEN)
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    assert processor._flags() == {"fpu", "sse2", "avx2", "fma"}
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "missing")
    assert processor._flags() == set()


def test_wide_vectors(cpu):
    cpu(2, "avx2")
    assert lacks_wide_vectors()
    cpu(2, "avx2", "avx512f")
    assert not lacks_wide_vectors()
    cpu(2)  # unknown
    assert not lacks_wide_vectors()
