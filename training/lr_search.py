"""The learning-rate search of the train scripts: range tests of the networks, alone and together."""

import csv
import itertools
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import lr_finder
from common import plots, storage
from common.progress import progress
from dataset.paired_dataset import PairedDataset
from training import phase_steps, steps
from training.loss_weights import PAPER, LossWeights
from training.recipe import LearningRate
from training.steps import Networks, Optimizers, Step


class SearchSettings(NamedTuple):
    """The rates of a search.

    Attributes:
        start: the first rate.
        end: the last rate.
        n_steps: number of rates.
        jit_compile: whether XLA compiles the steps.
        loss_weights: what the losses weigh.
    """

    start: float
    end: float
    n_steps: int
    jit_compile: bool
    loss_weights: LossWeights = PAPER


class Search(NamedTuple):
    """One range test.

    Attributes:
        metric: the loss that it watches; also the name of its files.
        title: what is trained, for messages.
        networks: names of the networks that are trained.
        make_step: function of (networks, optimizers) that makes the training step.
    """

    metric: str
    title: str
    networks: tuple[str, ...]
    make_step: Callable[[Networks, Optimizers], Step]


class Outcome(NamedTuple):
    """The result of one range test: rates that were reached, their losses, and the suggestion.

    Attributes:
        rates: learning rates [shape=(n,)].
        losses: the loss at each.
        smoothed: the smoothed loss at each.
        suggestion: the suggested rate; None if the loss never falls.
        end: how the search ended, for messages.
    """

    rates: np.ndarray
    losses: list[float]
    smoothed: np.ndarray
    suggestion: float | None
    end: str


def list_searches(names: Collection[str], weights: LossWeights = PAPER) -> list[Search]:
    """List the searches of the networks that a script trains, with these losses.

    Args:
        names: "phase"; or "generator", also with "discriminator".
        weights: what the losses of the latter weigh.
    """

    def generator_step(*learners: Networks | Optimizers) -> Step:
        return steps.generator_steps(*learners, weights=weights)[0]

    def discriminator_step(*learners: Networks | Optimizers) -> Step:
        return steps.discriminator_step(*learners, weights=weights)

    def adversarial_step(*learners: Networks | Optimizers) -> Step:
        return steps.adversarial_steps(*learners, weights=weights)[0]

    def phase_step(*learners: Networks | Optimizers) -> Step:
        return phase_steps.phase_steps(*learners)[0]

    if "phase" in names:
        return [Search("phase_error", "network of the phase", ("phase",), phase_step)]
    both = ("generator", "discriminator")
    searches = [
        Search("gen_mae", "generator alone", both[:1], generator_step),
        Search("disc_loss", "discriminator alone", both[1:], discriminator_step),
        Search("gen_loss", "both together", both, adversarial_step),
    ]
    return searches if "discriminator" in names else searches[:1]


def search_rates(
    folder: Path,
    settings: SearchSettings,
    dataset: PairedDataset,
    learning_rates: Mapping[str, LearningRate],
    start: Callable[[tuple[str, ...]], tuple[Networks, Optimizers]],
) -> int:
    """Run the searches of a train script, each from the same initial weights and on the same batches.

    The search of both networks keeps the ratio of the rates that were suggested for each alone. Only `folder` is
    written to: `<metric>.csv` and `<metric>.png`.

    Args:
        folder: where tables and pictures go.
        settings: the rates to try.
        dataset: what to learn from.
        learning_rates: dict of network to its learning rate in this call.
        start: function of names of networks that makes all networks and the optimizers of these.

    Returns:
        The script's exit status: 1 if a search found nothing.
    """
    # At first the rates of the flags, for the ratio of a network for which nothing was found.
    found = {network: rate.value for network, rate in learning_rates.items()}
    suggested: dict[str, float] = {}
    failed = False
    for search in list_searches(learning_rates, settings.loss_weights):
        networks, optimizers = start(search.networks)
        factors = {network: found[network] / found[search.networks[0]] for network in search.networks}
        outcome = _search(search, networks, optimizers, factors, dataset, settings)
        _write_table((folder / search.metric).with_suffix(".csv"), outcome)
        if outcome.losses:
            picture = (folder / search.metric).with_suffix(".png")
            plots.save_range_test(picture, *outcome[:4], search.metric)
        if outcome.suggestion is None:
            failed = True
            message = f"{search.title}: {search.metric} does not fall; {outcome.end}"
            print(message, file=sys.stderr, flush=True)
            continue
        flags = {learning_rates[network].flag: outcome.suggestion * factor for network, factor in factors.items()}
        message = f"{search.title}: {search.metric} falls most steeply at {_as_flags(flags)}; {outcome.end}"
        print(message, flush=True)
        if len(search.networks) == 1:
            found[search.networks[0]] = outcome.suggestion
        suggested |= flags
    print(f"tables and pictures: {folder}")
    if suggested:
        print(f"to paste: {_as_flags(suggested)}")
    return 1 if failed else 0


def _search(
    search: Search,
    networks: Networks,
    optimizers: Optimizers,
    factors: Mapping[str, float],
    dataset: PairedDataset,
    settings: SearchSettings,
) -> Outcome:
    """Run one range test; `factors` are the rates of the networks relative to that of the first one."""
    rates = np.geomspace(settings.start, settings.end, settings.n_steps)
    train_step = tf.function(search.make_step(networks, optimizers), jit_compile=settings.jit_compile, autograph=False)

    def step(batch: tuple[tf.Tensor, ...]) -> tf.Tensor:
        return train_step(*batch)[search.metric]

    def set_rate(rate: float) -> None:
        for network, factor in factors.items():
            optimizers[network].learning_rate = rate * factor

    endless = itertools.chain.from_iterable(dataset.train_batches(epoch, 0) for epoch in itertools.count())
    batches = progress(itertools.islice(endless, len(rates)), len(rates), f"steps, {search.title}")
    losses, reason = lr_finder.range_test(step, set_rate, rates, batches)
    smoothed = lr_finder.smooth(losses) if losses else np.array([])
    reached = rates[: len(losses)]
    last = rates[min(len(losses), len(rates) - 1)]
    end = f"ended at {last:.1e} ({reason})" if reason else "reached the last rate"
    return Outcome(reached, losses, smoothed, lr_finder.suggest(reached, smoothed) if losses else None, end)


def _as_flags(rates: Mapping[str, float]) -> str:
    return " ".join(f"--{flag} {rate:.1e}" for flag, rate in rates.items())


def _write_table(path: Path, outcome: Outcome) -> None:
    with storage.atomic_write(path) as partial, open(partial, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["learning_rate", "loss", "smoothed_loss"])
        writer.writerows(zip(outcome.rates.tolist(), outcome.losses, outcome.smoothed.tolist(), strict=True))
