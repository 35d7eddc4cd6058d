import numpy as np
import pytest

from losses import discriminator_loss, generator_loss, l1_loss


def test_losses_have_their_values():
    target, generated = np.full((2, 256, 256, 1), 0.5, np.float32), np.full((2, 256, 256, 1), 0.25, np.float32)
    zeros, large = np.zeros((2, 16, 16, 1), np.float32), np.full((2, 16, 16, 1), 30, np.float32)
    assert float(l1_loss(target, generated)) == pytest.approx(0.25)
    loss, mae = generator_loss(zeros, target, generated)
    assert float(mae) == pytest.approx(0.25)
    assert float(loss) == pytest.approx(np.log(2) + 25)
    assert float(discriminator_loss(zeros, zeros)) == pytest.approx(2 * np.log(2))
    assert float(discriminator_loss(large, -large)) == pytest.approx(0, abs=1e-6)
    assert float(discriminator_loss(-large, large)) == pytest.approx(60, rel=1e-6)
