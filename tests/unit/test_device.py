import tensorflow as tf

from common import device


def test_the_cpu_is_chosen_whatever_the_gpus_brand(monkeypatch):
    # A GPU that CUDA_VISIBLE_DEVICES does not hide: one of another maker.
    hidden = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["/physical_device:GPU:0"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: hidden.append((devices, kind)))
    assert device.start_tensorflow(-1).startswith("the CPU")
    assert hidden == [([], "GPU")]
