import pytest

from common.cli import UserError
from training import tensorboard_log


def test_a_folder_that_tensorflow_cannot_write_is_refused_before_the_training(tmp_path):
    with pytest.raises(UserError, match="its name must be UTF-8"):
        tensorboard_log.make_logger(tmp_path / "Pr\udce9lude", ["gen_mae"])
