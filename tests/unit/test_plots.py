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


@pytest.mark.filterwarnings("error")
def test_a_chart_of_bands_shows_its_lines_in_their_colors_and_leaves_gaps():
    import io

    from PIL import Image

    chart = plots.BandChart("texture", ["150–\n300", "300–\n600", "<1"], 1.0, 0.15, 0.0, 2.0)
    lines = [[0.5, 0.6, 0.7], [1.5, np.nan, 9.0], [np.nan] * 3]
    for dark, ground in ((False, (0xF4, 0xF4, 0xF6)), (True, (0x1F, 0x1F, 0x24))):
        png = plots.draw_bands(chart, lines, ["#ff0000", "#0000ff", "#00ffff"], dark)
        picture = np.array(Image.open(io.BytesIO(png)).convert("RGB"))
        assert picture.shape == (400, 640, 3) and tuple(picture[0, 0]) == ground
        red, blue, missing = ((picture == color).all(axis=-1) for color in ((255, 0, 0), (0, 0, 255), (0, 255, 255)))
        assert red.any() and blue.any() and not missing.any()
        assert np.argwhere(red)[:, 0].min() > np.argwhere(blue)[:, 0].max()  # high values are above
