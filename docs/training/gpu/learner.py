"""A model in training: networks, optimizers, moving averages, and a step that is one CUDA graph, batch and all."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import terms
import torch
from augment import augment
from finish import finish
from growth import grow
from networks import Discriminator, Generator, from_keras, to_keras
from packed import EMA, TARGETS

# What the losses weigh, and the rates (docs/method.md). `heard` is the part of all terms that is of the finished audio
# (`finish`); if there is any, the discriminator judges that.
ALONE = {"l1": 1.0, "mean": 3.0, "linear": 0.03, "heard": 0.5, "rate": 1e-3}
ADVERSARIAL = {
    "adversarial": 1.0,
    "l1": 100.0,
    "feature_matching": 10.0,
    "mean": 20_000.0,
    "linear": 3.0,
    "level": 10.0,
    "heard": 0.0,
    "rate": 2e-4,
    "disc_rate": 5e-5,
    "disc_filters": 16,
    "warm_steps": 500,
}
_METRICS = "gen_mae", "gen_loss", "disc_loss", "heard_mae"


class Kind(NamedTuple):
    """What all models of a run have in common."""

    filters: int  # of the first layer of generators
    max_filters: int | None  # of any layer
    batch_size: int  # slices a step
    precision: str  # "tf32", or "bf16" for the convolutions
    device: str  # "cuda" or "cpu"
    draw: Callable[..., tuple[torch.Tensor, ...]]  # batch size, target and random numbers to a batch (`Pool.draw`)

    @property
    def size(self) -> dict[str, int | None]:
        """Return the arguments of `Generator`."""
        return {"filters": self.filters, "max_filters": self.max_filters}


class Learner:
    """A generator and, if it has one, a discriminator; both train on the device, without the host."""

    def __init__(
        self,
        name: str,
        weights: Mapping[str, float],
        start: Mapping[str, np.ndarray],
        kind: Kind,
        suffix: str = "",
    ) -> None:
        """Make the networks, and record their step.

        Args:
            name: the target instrument, or `any`.
            weights: what the losses weigh, and the rates.
            start: weights in Keras's layout of a generator that is as wide or narrower; empty for new ones.
            kind: what all models have in common.
            suffix: of the file of the result.
        """
        self.name, self.weights, self.kind = name + suffix, weights, kind
        self.target = None if name == "any" else TARGETS.index(name)
        self.is_adversarial = bool(weights.get("adversarial"))
        n_inputs = 2 if self.target is None else 1
        generator = Generator(n_inputs=n_inputs, noise=self.is_adversarial, **kind.size)
        if start:
            from_keras(generator, grow(start, to_keras(generator, kind.batch_size)), kind.batch_size)
        options = {"device": kind.device, "memory_format": torch.channels_last}
        self.generator = generator.to(**options)
        self.averaged = copy.deepcopy(self.generator).eval()
        self.discriminator = None
        if self.is_adversarial:
            self.discriminator = Discriminator(int(weights["disc_filters"]), self.target is None).to(**options)
        self.rates = {name: torch.tensor(0.0, device=kind.device) for name in ("generator", "discriminator")}
        on_gpu = kind.device == "cuda"
        self.optimizers = {
            name: torch.optim.Adam(
                network.parameters(), lr=self.rates[name], betas=(0.5, 0.999), eps=1e-7, capturable=on_gpu
            )
            for name, network in (("generator", self.generator), ("discriminator", self.discriminator))
            if network is not None
        }
        seed = torch.initial_seed() + [*TARGETS, "any"].index(name)
        self.random = torch.Generator(kind.device).manual_seed(seed)
        self.batch = []
        self.sums = torch.zeros(len(_METRICS), device=kind.device)
        self.n_steps, self.steps_in_epoch, self.rows = 0, 0, []
        self.graph, self._stream = None, None
        if on_gpu:
            self._record()

    def _record(self) -> None:
        """Record the step as a CUDA graph; the steps before that, at a rate of 0, change nothing but statistics."""
        states = [copy.deepcopy(network.state_dict()) for network in self._networks()]
        self._stream = torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(3):
                self._step()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.random)
        with torch.cuda.graph(self.graph, stream=self._stream):
            self._step()
        torch.cuda.synchronize()
        for network, state in zip(self._networks(), states, strict=True):
            network.load_state_dict(state)
        for optimizer in self.optimizers.values():
            for state in optimizer.state.values():
                for value in state.values():
                    value.zero_()
        self.sums.zero_()

    def _networks(self) -> list[torch.nn.Module]:
        return [network for network in (self.generator, self.averaged, self.discriminator) if network is not None]

    def losses(
        self, generator: Generator, batch: list[torch.Tensor], finished: bool = False
    ) -> tuple[torch.Tensor, ...]:
        """Compute the losses of a batch.

        Args:
            generator: the network.
            batch: sources, their phases, targets and, if there are any, styles.
            finished: whether to compute the pictures of the finished audio also where no loss needs them.

        Returns:
            The metrics (4,), both losses, the generated pictures, and the finished ones.
        """
        source, phase, target, *style = batch
        weights, part = self.weights, self.weights["heard"]
        with self._autocast():
            generated = generator(source, *style)
        heard = finish(generated, phase) if part or finished else generated
        errors = [terms.l1_errors(target, images).mean() for images in (generated, heard)]
        loss = 0.0
        for images, error, weight in ((generated, errors[0], 1 - part), (heard, errors[1], part)):
            if weight:
                loss = loss + weight * (weights["l1"] * error + terms.further_terms(target, images, weights))
        disc_loss = torch.zeros_like(errors[0])
        if self.is_adversarial:
            with self._autocast():
                real, real_features = self.discriminator(source, target, *style)
                fake, fake_features = self.discriminator(source, heard if part else generated, *style)
            loss = loss + weights["adversarial"] * terms.cross_entropy(fake, True)
            if weights["feature_matching"]:
                loss = loss + weights["feature_matching"] * terms.feature_matching(real_features, fake_features)
            disc_loss = terms.cross_entropy(real, True) + terms.cross_entropy(fake, False)
        metrics = torch.stack([errors[0], loss, disc_loss, errors[1]]).detach()
        return metrics, loss, disc_loss, generated, heard

    def _autocast(self) -> torch.autocast:
        enabled = self.kind.precision == "bf16"
        return torch.autocast(self.kind.device, torch.bfloat16, enabled, cache_enabled=False)

    def _step(self) -> None:
        source, *others = self.kind.draw(self.kind.batch_size, self.target, self.random)
        self.batch = [augment(source, self.random), *others]
        metrics, gen_loss, disc_loss, *_ = self.losses(self.generator, self.batch)
        parts = [("generator", self.generator, gen_loss), ("discriminator", self.discriminator, disc_loss)]
        parts = parts[: len(self.optimizers)]
        gradients = [torch.autograd.grad(loss, list(net.parameters()), retain_graph=True) for _, net, loss in parts]
        for (kind, network, _), values in zip(parts, gradients, strict=True):
            for parameter, gradient in zip(network.parameters(), values, strict=True):
                parameter.grad = gradient
            self.optimizers[kind].step()
        with torch.no_grad():
            ours = [*self.averaged.parameters(), *_statistics(self.averaged)]
            torch._foreach_lerp_(ours, [*self.generator.parameters(), *_statistics(self.generator)], 1 - EMA)
            self.sums += metrics

    def step(self) -> None:
        """Draw a batch, and train on it."""
        self.graph.replay() if self.graph else self._step()
        self.n_steps += 1
        self.steps_in_epoch += 1

    def set_rate(self, factor: float) -> None:
        """Set the learning rates, as part of those at the beginning; the discriminator begins alone."""
        warm = self.n_steps < self.weights.get("warm_steps", 0)
        self.rates["generator"].fill_(1e-9 if warm else factor * self.weights["rate"])
        self.rates["discriminator"].fill_(factor * self.weights.get("disc_rate", 0.0))

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Run what is inside a `with` block on the learner's stream."""
        with torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext():
            yield

    @staticmethod
    def wait_for(learners: "list[Learner]") -> None:
        """Let the present stream wait for all learners."""
        for learner in learners:
            if learner._stream:
                torch.cuda.current_stream().wait_stream(learner._stream)

    @staticmethod
    def release(learners: "list[Learner]") -> None:
        """Let all learners wait for the present stream."""
        for learner in learners:
            if learner._stream:
                learner._stream.wait_stream(torch.cuda.current_stream())

    def finish_epoch(self, epoch: int, validation: list[torch.Tensor]) -> dict[str, float]:
        """Validate the averaged generator, and return a row of the history."""
        means = (self.sums / max(1, self.steps_in_epoch)).tolist()
        self.sums.zero_()
        self.steps_in_epoch = 0
        row = {"epoch": float(epoch), **self._named(means), **self.validate(validation)}
        row["steps"] = float(self.n_steps)
        self.rows.append(row)
        return row

    @torch.no_grad()
    def validate(self, validation: list[torch.Tensor]) -> dict[str, float]:
        """Measure the averaged generator on validation slices, with the moving statistics of normalization."""
        for network in self._networks():
            network.eval()
        sums = torch.zeros(len(_METRICS), device=self.kind.device)
        totals = torch.zeros(3, len(terms.sound_names()), device=self.kind.device)
        for number, slices in enumerate(validation):
            target = number % 3 if self.target is None else self.target
            images = slices.float()
            batch = [images[:, :1], images[:, 4:], images[:, 1 + target : 2 + target]]
            if self.target is None:
                batch.append(validation[number - 1][:, 1 + target : 2 + target].float())
            metrics, *_, generated, heard = self.losses(self.averaged, batch, finished=True)
            sums += metrics
            totals += torch.stack([terms.sound_totals(image) for image in (generated, heard, batch[2])])
        self.generator.train()
        if self.discriminator is not None:
            self.discriminator.train()
        means = (sums / len(validation)).tolist()
        ours, finished, true = totals.tolist()
        of_sound = terms.summarize(means[0], ours, true)
        heard = {f"heard_{name}": value for name, value in terms.summarize(means[3], finished, true).items()}
        return {f"{name}_val": value for name, value in {**self._named(means), **of_sound, **heard}.items()}

    def _named(self, means: list[float]) -> dict[str, float]:
        """Name the metrics; those of a discriminator only if there is one."""
        named = dict(zip(_METRICS, means, strict=True))
        return named if self.is_adversarial else {name: named[name] for name in ("gen_mae", "heard_mae")}

    def save(self, folder: Path, facts: Mapping[str, float]) -> None:
        """Store the averaged generator as float16, with the history, and what it makes of an image."""
        kind = "" if self.is_adversarial else "_generator"
        weights = {
            name: value.astype(np.float16) for name, value in to_keras(self.averaged, self.kind.batch_size).items()
        }
        example = self._example(weights)
        columns = list(self.rows[0])
        history = np.array([[row[column] for column in columns] for row in self.rows])
        settings = {**self.weights, **facts, "steps": self.n_steps, "batch_size": self.kind.batch_size}
        settings |= {name: getattr(self.kind, name) for name in ("filters", "max_filters", "precision")}
        others = {"/columns": columns, "/history": history, "/settings": str(settings), **example}
        if self.discriminator is not None:
            judge = to_keras(self.discriminator, self.kind.batch_size)
            others |= {f"/discriminator/{name}": value.astype(np.float16) for name, value in judge.items()}
        with open(folder / f"{self.name}{kind}.npz", "wb") as file:
            np.savez(file, **weights, **others)

    @torch.no_grad()
    def _example(self, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute what the stored weights make of the latest images."""
        network = Generator(n_inputs=len(self.batch) - 2, noise=self.is_adversarial, **self.kind.size).eval()
        from_keras(network, weights, 10**9)  # the variances as they are
        images = [image[:1].float().cpu() for image in (self.batch[0], *self.batch[3:])]
        names = ("/source", "/style")[: len(images)]
        generated = network(*images)[0, 0].numpy()
        return {
            **{name: image[0, 0].numpy() for name, image in zip(names, images, strict=True)},
            "/generated": generated,
        }


def _statistics(network: torch.nn.Module) -> list[torch.Tensor]:
    """Return the moving means and variances."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]
