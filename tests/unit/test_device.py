import tensorflow as tf

from common import device, processor
from common.processor import Workload


def test_the_cpu_is_chosen_whatever_the_gpus_brand(monkeypatch):
    # A GPU that CUDA_VISIBLE_DEVICES does not hide: one of another maker.
    hidden = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["/physical_device:GPU:0"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: hidden.append((devices, kind)))
    assert device.start_tensorflow(-1).startswith("the CPU")
    assert hidden == [([], "GPU")]


def test_the_threads_of_a_workload_are_set_and_said(monkeypatch):
    chosen = {}
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", lambda n: chosen.update(intra=n))
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", lambda n: chosen.update(inter=n))
    name = device.start_tensorflow(-1, workload=Workload(16, "float32", (3, 4)))
    assert chosen == {"intra": 3, "inter": 4}
    assert name.endswith("cores; threads: 3 an operation, 4 operations at once)")
    assert device._set_threads(Workload(16, "float32"), has_gpu=True) == ""


def test_a_cpu_without_16_bit_units_gets_float32_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(processor, "_flags", lambda: {"avx2"})
    assert device.network_options("mixed_bfloat16") == {"dtype": "float32", "by_matmul": True}
    assert "does not compute in bfloat16; the networks are in float32" in capsys.readouterr().out
    monkeypatch.setattr(processor, "_flags", lambda: {"avx512f"})
    assert device.network_options("mixed_bfloat16") == {"dtype": "mixed_bfloat16", "by_matmul": False}
    assert device.network_precision("float32") == "float32"
    assert not capsys.readouterr().out


def test_matrix_products_are_for_float32_on_a_cpu_without_wide_vectors(monkeypatch):
    monkeypatch.setattr(processor, "_flags", lambda: {"avx2"})
    assert device.prefers_matmul("float32")
    assert not device.prefers_matmul("mixed_bfloat16")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["/physical_device:GPU:0"])
    assert not device.prefers_matmul("float32")
    monkeypatch.undo()
    monkeypatch.setattr(processor, "_flags", lambda: {"avx2", "avx512f"})
    assert not device.prefers_matmul("float32")


def test_tensorflow_that_runs_already_keeps_its_threads():
    tf.zeros(1).numpy()
    assert device._set_threads(Workload(16, "float32", (63, 64)), has_gpu=False) == ""
