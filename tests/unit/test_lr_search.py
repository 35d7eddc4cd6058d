"""The searches of the train scripts: which networks learn from which batches, at which rates, and what is suggested."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from training import lr_search
from training.loss_weights import LossWeights
from training.recipe import LearningRate

RATES = {"generator": LearningRate("gen_lr", 1e-3), "discriminator": LearningRate("disc_lr", 1e-4)}
SETTINGS = lr_search.SearchSettings(1e-5, 1e-1, 5, False)


@pytest.mark.parametrize(
    ("suggestions", "status", "ratio", "flags"),
    [
        ((2e-3, 4e-4, 1e-3), 0, 0.2, "--gen_lr 1.0e-03 --disc_lr 2.0e-04"),
        ((None, 4e-4, 1e-3), 1, 0.4, "--disc_lr 4.0e-04 --gen_lr 1.0e-03"),  # with the ratio to the rate of the flag
        ((2e-3, None, 4e-3), 1, 0.05, "--gen_lr 4.0e-03 --disc_lr 2.0e-04"),
        ((2e-3, 4e-4, None), 1, 0.2, "--gen_lr 2.0e-03 --disc_lr 4.0e-04"),
        ((None, None, None), 1, 0.1, None),
    ],
)
def test_both_networks_together_keep_the_ratio_of_each_alone(
    monkeypatch, tmp_path, capsys, suggestions, status, ratio, flags
):
    seen, answers = [], iter(suggestions)

    def search(search, networks, optimizers, factors, *_):
        seen.append((search.metric, networks, factors))
        return lr_search.Outcome(np.array([1e-5]), [1.0], np.array([1.0]), next(answers), "reached the last rate")

    monkeypatch.setattr(lr_search, "_search", search)
    monkeypatch.setattr(lr_search.plots, "save_range_test", lambda *_: None)
    assert lr_search.search_rates(tmp_path, SETTINGS, None, RATES, lambda names: (names, None)) == status
    assert seen == [
        ("gen_mae", ("generator",), {"generator": 1}),
        ("disc_loss", ("discriminator",), {"discriminator": 1}),
        ("gen_loss", ("generator", "discriminator"), {"generator": 1, "discriminator": pytest.approx(ratio)}),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disc_loss.csv", "gen_loss.csv", "gen_mae.csv"]
    stdout, stderr = capsys.readouterr()
    assert stderr.count("does not fall") == suggestions.count(None)
    assert stdout.splitlines()[-1] == (f"to paste: {flags}" if flags else f"tables and pictures: {tmp_path}")


def test_searches_take_the_steps_that_train(monkeypatch):
    made = lr_search.steps
    monkeypatch.setattr(made, "generator_steps", lambda *learners, weights: (("generator", weights), "validation"))
    monkeypatch.setattr(made, "discriminator_step", lambda *learners, weights: ("discriminator", weights))
    monkeypatch.setattr(made, "adversarial_steps", lambda *learners, weights: (("both", weights), "validation"))
    weights = LossWeights(l1=3.0)
    searches = lr_search.list_searches(("generator", "discriminator"), weights)
    made = [search.make_step({}, {}) for search in searches]
    assert made == [("generator", weights), ("discriminator", weights), ("both", weights)]
    assert len(lr_search.list_searches(("generator",))) == 1


def test_a_search_trains_on_whole_epochs_at_rising_rates():
    losses, epochs, rates = [1.0, 0.9, 0.7, 0.4, 0.35], [], []
    batches = iter([(tf.constant(loss),) for loss in losses])
    optimizers = {"generator": SimpleNamespace(), "discriminator": SimpleNamespace()}

    def train_batches(epoch, first_step):
        epochs.append((epoch, first_step))
        return [next(batches) for _ in range(2 if epoch < 2 else 1)]

    def make_step(networks, given):
        assert given is optimizers

        def step(loss):
            tf.py_function(lambda: rates.append([given[name].learning_rate for name in optimizers]), [], [])
            return {"gen_loss": loss}

        return step

    search = lr_search.Search("gen_loss", "both together", tuple(optimizers), make_step)
    factors = {"generator": 1.0, "discriminator": 0.5}
    dataset = SimpleNamespace(train_batches=train_batches)
    outcome = lr_search._search(search, {}, optimizers, factors, dataset, SETTINGS)
    assert epochs == [(0, 0), (1, 0), (2, 0)]
    assert outcome.losses == pytest.approx(losses)
    np.testing.assert_allclose(outcome.rates, np.geomspace(1e-5, 1e-1, 5))
    np.testing.assert_allclose(rates, np.geomspace(1e-5, 1e-1, 5)[:, np.newaxis] * [1, 0.5])
    assert outcome.suggestion in outcome.rates
    assert outcome.end == "reached the last rate"
