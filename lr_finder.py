"""The learning-rate range test (Smith 2017, "Cyclical learning rates", arXiv:1506.01186, section 3.3).

The rate grows geometrically from batch to batch while the network learns. Where the loss falls most steeply, over the
logarithm of the rate, learning is fastest: that rate is the suggestion.
"""

import csv
import itertools
import sys
from typing import NamedTuple

import numpy as np

import cli
import files

SMOOTHING = 0.8  # weight of a loss relative to that of its neighbour
DIVERGED = 4  # a search ends where the smoothed loss is so many times its least


class Search(NamedTuple):
    """A search: the loss it watches (the name of its files), what it is about, the networks that learn, their steps."""

    metric: str
    title: str
    networks: tuple
    make_steps: object


def searches(with_discriminator):
    """The searches of a generator alone, or of a generator and a discriminator: list of `Search`."""
    import steps

    alone = Search("gen_mae", "generator alone", ("generator",), lambda *made: steps.generator_steps(*made)[0])
    if not with_discriminator:
        return [alone]
    networks = ("generator", "discriminator")
    return [
        alone,
        Search("disc_loss", "discriminator alone", networks[1:], steps.discriminator_step),
        Search("gen_loss", "both together", networks, lambda *made: steps.adversarial_steps(*made)[0]),
    ]


def range_test(step, set_rate, rates, batches):
    """Learns from a batch at each rate, until the loss is no number or many times its least.

    Args:
        step: function of a batch to its loss (float) before the update that it makes.
        set_rate: function of a rate.
        rates: increasing.
        batches: at least as many as rates.

    Returns:
        List of losses, shorter than `rates` if the search ended early; and why it did: "NaN", "diverged" or None.
    """
    losses, average, least = [], 0.0, np.inf
    for number, (rate, batch) in enumerate(zip(rates, batches, strict=False), 1):
        set_rate(rate)
        loss = float(step(batch))
        if not np.isfinite(loss):
            return losses, "NaN"
        losses.append(loss)
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING**number)  # without the bias to the 0 that it starts from
        least = min(least, smoothed)
        if smoothed > DIVERGED * least:
            return losses, "diverged"
    return losses, None


def smooth(losses):
    """Averages each loss with its neighbours on both sides, weighted by 0.8^distance: float array of the same length.

    The weights are divided by their sum, so that the ends are not biased. An average over the past alone would lag
    behind by some steps, and the suggestion with it. Losses after the least one count no more than the greatest one
    before it, or a loss that blows up would reach back.
    """
    losses = np.asarray(losses, dtype=np.float64)
    losses = np.minimum(losses, losses[: int(np.argmin(losses)) + 1].max())
    n = len(losses)
    kernel = SMOOTHING ** np.abs(np.arange(-n, n + 1))
    return np.convolve(losses, kernel)[n : 2 * n] / np.convolve(np.ones(n), kernel)[n : 2 * n]


def suggest(rates, smoothed):
    """The rate at which the smoothed loss falls most steeply over the logarithm of the rate; None if it never falls."""
    last = int(np.argmin(smoothed)) + 1
    if last < 3:
        return None
    slopes = np.gradient(smoothed[:last], np.log(rates[:last]))
    steepest = int(np.argmin(slopes))
    return float(rates[steepest]) if slopes[steepest] < 0 else None


def find(folder, arguments, examples, rate_flags, start):
    """Runs the searches of a train script, each from the same fresh weights and on the same batches.

    The search of both networks keeps the ratio of the rates that they were suggested alone. Nothing but `folder` is
    written: `<metric>.csv` and `<metric>.png`.

    Args:
        folder: where tables and pictures go.
        arguments: the script's.
        examples: the `Examples` to learn from.
        rate_flags: dict of network to the flag that sets its rate.
        start: function of names of networks to fresh networks and optimizers.

    Returns:
        The script's exit status: 1 if a search found nothing.
    """
    import tensorflow as tf

    import plots

    rates = np.geomspace(arguments.findlr_start, arguments.findlr_end, arguments.findlr_steps)
    # At first those of the flags, for the ratio of a network that nothing was found for.
    found, flags, failed = {network: getattr(arguments, flag) for network, flag in rate_flags.items()}, {}, False
    for search in searches("discriminator" in rate_flags):
        networks, optimizers = start(search.networks)
        factors = {network: found[network] / found[search.networks[0]] for network in search.networks}
        train_step = tf.function(search.make_steps(networks, optimizers), jit_compile=arguments.jit_compile)

        def step(batch, train_step=train_step, metric=search.metric):
            return train_step(*batch)[metric]

        def set_rate(rate, factors=factors, optimizers=optimizers):
            for network, factor in factors.items():
                optimizers[network].learning_rate = rate * factor

        endless = itertools.chain.from_iterable(examples.train_batches(epoch, 0) for epoch in itertools.count())
        batches = cli.progress(itertools.islice(endless, len(rates)), len(rates), f"steps, {search.title}")
        losses, end = range_test(step, set_rate, rates, batches)
        smoothed = smooth(losses) if losses else np.array([])
        seen = rates[: len(losses)]
        rate = suggest(seen, smoothed)
        place = folder / search.metric
        _write(place.with_suffix(".csv"), seen, losses, smoothed)
        if losses:
            plots.save_range_test(place.with_suffix(".png"), seen, losses, smoothed, rate, search.metric)
        ended = f"ended at {rates[min(len(losses), len(rates) - 1)]:.1e} ({end})" if end else "went on to the end"
        if rate is None:
            failed = True
            print(f"{search.title}: {search.metric} does not fall; {ended}", file=sys.stderr, flush=True)
            continue
        of_networks = {rate_flags[network]: rate * factor for network, factor in factors.items()}
        print(f"{search.title}: {search.metric} falls most steeply at {_as_flags(of_networks)}; {ended}", flush=True)
        if len(search.networks) == 1:
            found[search.networks[0]] = rate
        flags |= of_networks
    print(f"tables and pictures: {folder}")
    if flags:
        print(f"to paste: {_as_flags(flags)}")
    return 1 if failed else 0


def _as_flags(rates):
    return " ".join(f"--{flag} {rate:.1e}" for flag, rate in rates.items())


def _write(path, rates, losses, smoothed):
    with files.replacing(path) as partial, open(partial, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["learning_rate", "loss", "smoothed_loss"])
        writer.writerows(zip(rates.tolist(), losses, smoothed.tolist(), strict=True))
