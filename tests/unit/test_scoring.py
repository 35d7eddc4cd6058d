import numpy as np
from sounds import identity, music

import data
from evaluation import scoring
from inference.settings import PhaseSettings


def test_phases_on_both_grids_are_systems_of_their_own():
    source, target = music(3.1, seed=1)[0], music(3.1, seed=2)[0]
    phases = [
        PhaseSettings(name, 4, interleave=fine) for name in ("griffinlim_input", "input") for fine in (False, True)
    ]
    outputs = list(scoring.run_systems(source, target, np.zeros(256, np.float32), {"m": identity}, phases, 32))
    systems = [output.system for output in outputs]
    assert systems == scoring.system_names(["m"], phases)
    assert "m, griffinlim_input, interleaved" in systems
    assert "true magnitude, input, interleaved" in systems
    assert scoring.choose_reference(systems, "m") == "m, griffinlim_input"
    images = {name: data.log_magnitude(data.stft(audio)) for name, audio in (("m", source), ("true magnitude", target))}
    for output in outputs:
        assert output.audio.shape == source.shape
        if output.system in (scoring.INPUT, scoring.EQUALIZER):
            continue
        expected = images[output.system.partition(",")[0]]
        np.testing.assert_allclose(output.log_magnitude, expected, atol=1e-4)


def test_a_finer_grid_alone_is_measured_with_the_baselines_of_the_plain_one():
    source = music(1)[0]
    phases = [PhaseSettings("input", interleave=True)]
    outputs = scoring.run_systems(source, source, np.zeros(256, np.float32), {"m": identity}, phases, 32)
    systems = {output.system: output for output in outputs}
    assert list(systems) == scoring.system_names(["m"], phases)
    np.testing.assert_allclose(
        systems["m, input, interleaved"].audio, systems["true magnitude, input"].audio, atol=5e-3
    )
