"""Pictures of pieces whose names are not plain."""

import numpy as np
import pytest

from common import plots


@pytest.mark.parametrize("name", [r"a$\frac$b", "$x_2$", "caf\udce9", "<script>", "a\nb", "曲"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_name_can_be_a_title(tmp_path, name):
    rows = [{name: np.zeros((256, 16), np.float32)}]
    plots.save_spectrograms(tmp_path / "spectrogram.png", rows, title=name)
    plots.save_animation(tmp_path / "prediction.gif", [rows, rows])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prediction.gif", "spectrogram.png"]
