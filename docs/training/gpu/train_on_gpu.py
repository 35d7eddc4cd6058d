#!/usr/bin/env python3
"""Train generators on a GPU with PyTorch, in minutes: alone first, then against discriminators, several at once.

Needs PyTorch, SciPy and soundfile, and what pack.py packed. Networks, losses and data are those of the project's
scripts; the music is rendered while they train, each time in another way. Every model has a CUDA graph of its step and
a stream of its own. Rates fall with the time that is left (half a cosine), so that a run ends when it has to.

The results are generators in float16, as .npz files by the names of Keras's layers, for unpack.py. A wider network
begins as a narrower one that was packed, and computes the same at first.

Example:
  python docs/training/gpu/train_on_gpu.py --packed packed --keyboards 3 8 2 --models string_acoustic any
      --alone_seconds 175 --seconds 0 --output alone
  python docs/training/gpu/train_on_gpu.py --packed packed --keyboards 3 8 2 --models string_acoustic any
      --start alone --alone_seconds 0 --seconds 345 --output results
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from learner import ADVERSARIAL, ALONE, Kind, Learner
from networks import to_keras
from packed import TARGETS
from renderings import KEYBOARD, Renderer, Way

import data

BATCH_SIZE = 16
ROUND = 10  # steps between two looks at the clock
SOUNDING = 0.5  # fraction of a style's frames


class Pool:
    """Slices of the latest renderings, from which batches are drawn; a new piece takes the place of the oldest."""

    def __init__(self, renderer: Renderer, n_slices: int, device: str) -> None:
        """Make room for slices of the four instruments, and the phase of one."""
        self.renderer, self.device = renderer, device
        self.images = torch.zeros(n_slices, 5, 256, 256, dtype=torch.float16, device=device)
        self.pieces = torch.full((n_slices,), -1, device=device)
        self.sounds = torch.zeros(n_slices, dtype=torch.bool, device=device)
        self.next, self.n, self.n_rendered, self.order = 0, 0, 0, []

    def render(self) -> tuple[int, torch.Tensor]:
        """Render another piece: its number, and its slices."""
        if not self.order:
            self.order = list(self.renderer.rng.permutation(self.renderer.trained))
        piece = int(self.order.pop())
        shift = int(self.renderer.rng.integers(256))
        return piece, self.renderer.render(piece, self.renderer.draw_way(), shift)

    def store(self, piece: int, slices: torch.Tensor) -> None:
        """Put slices in the place of the oldest."""
        places = (self.next + torch.arange(len(slices), device=self.device)) % len(self.images)
        self.images[places], self.pieces[places] = slices, piece
        # An instrument for all: pieces rest together.
        self.sounds[places] = (slices[:, 1].amax(1) > 2 * data.SOUNDING_LEVEL - 1).float().mean(1) > SOUNDING
        self.next = (self.next + len(slices)) % len(self.images)
        self.n, self.n_rendered = min(self.n + len(slices), len(self.images)), self.n_rendered + len(slices)

    def draw(self, n: int, target: int | None, random: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Draw a batch: sources, their phases, targets and, if there are several targets, styles: (n, 1, 256, 256)."""
        options = {"device": self.device, "generator": random}
        rows = torch.randint(self.n, (n,), **options)
        if target is not None:
            return tuple(self.images[rows, i].unsqueeze(1).float() for i in (0, 4, 1 + target))
        kinds = 1 + (torch.arange(n, device=self.device) + torch.randint(3, (1,), **options)) % 3
        candidates = torch.randint(self.n, (8, n), **options)
        right = self.sounds[candidates] & (self.pieces[candidates] != self.pieces[rows])
        styles = candidates.gather(0, right.float().argmax(0, keepdim=True))[0]
        picked = (self.images[rows, 0], self.images[rows, 4], self.images[rows, kinds], self.images[styles, kinds])
        return tuple(images.unsqueeze(1).float() for images in picked)


def validation_batches(renderer: Renderer, keyboards: list[int], n: int, device: str) -> list[torch.Tensor]:
    """Render the held-back pieces with some keyboards, half of them with effects: float16 (n, 5, 256, 256) each."""
    parts = []
    for number, piece in enumerate(renderer.held_back):
        for index, keyboard in enumerate(keyboards):
            slices = renderer.render(int(piece), Way(keyboard, effects=bool((number + index) % 2)))
            parts.append(slices[: max(1, n // len(renderer.held_back) // len(keyboards))])
    slices = torch.cat(parts)
    slices = slices[torch.randperm(len(slices), device=device, generator=renderer.generator)]
    return [slices[i : i + BATCH_SIZE] for i in range(0, len(slices) - BATCH_SIZE + 1, BATCH_SIZE)]


def run(learners: list[Learner], pool: Pool, seconds: float, validation: list, arguments: argparse.Namespace) -> None:
    """Train all learners for some time; validate and store them at the end of each epoch, an equal part of it."""
    started, rounds, epoch = time.monotonic(), 0, 0
    gpu = torch.cuda.get_device_name() if pool.device == "cuda" else "none"
    where = {"gpu": gpu, "torch": torch.__version__.partition("+")[0], "models_at_once": len(learners)}
    drawn = rendered = 0
    queue = Queue(pool.device)
    while True:
        elapsed = (time.monotonic() - started) / seconds
        for learner in learners:
            learner.set_rate(0.5 + 0.5 * math.cos(math.pi * min(1.0, elapsed)))
        for _ in range(ROUND):
            for learner in learners:
                with learner.stream():
                    for _ in range(arguments.any_steps if learner.target is None else 1):
                        learner.step()
        rounds += 1
        drawn += ROUND * BATCH_SIZE
        while rendered * arguments.uses < drawn:
            before = pool.n_rendered
            rendering = pool.render()
            Learner.wait_for(learners)
            pool.store(*rendering)
            Learner.release(learners)
            rendered += pool.n_rendered - before
        queue.shorten(learners)
        if elapsed * arguments.epochs >= epoch + 1 or elapsed >= 1:
            if pool.device == "cuda":
                torch.cuda.synchronize()
            epoch += 1
            for learner in learners:
                row = learner.finish_epoch(epoch, validation)
                print(learner.name, json.dumps({key: round(value, 4) for key, value in row.items()}), flush=True)
                learner.save(arguments.output, {"slices_rendered": pool.n_rendered, **where})
            text = f"{rounds * ROUND} steps of {BATCH_SIZE}, {time.monotonic() - started:.0f} s, {rendered} slices"
            print(text, flush=True)
        if elapsed >= 1:
            break


class Queue:
    """Keeps the host at most two rounds ahead of the GPU, so that rates follow the clock."""

    def __init__(self, device: str) -> None:
        """Begin with an empty queue."""
        self._events: list[torch.cuda.Event] = []
        self._is_needed = device == "cuda"

    def shorten(self, learners: list[Learner]) -> None:
        """Mark the end of a round, and wait for that of the one before the last."""
        if not self._is_needed:
            return
        Learner.wait_for(learners)
        self._events.append(torch.cuda.current_stream().record_event())
        if len(self._events) > 2:
            self._events.pop(0).synchronize()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", required=True, type=Path, help="folder that pack.py wrote")
    parser.add_argument("--keyboards", required=True, type=int, nargs="+", help="presets of the keyboards")
    parser.add_argument("--validate_with", type=int, nargs="+", default=[3, 8], help="presets that validate")
    parser.add_argument("--models", nargs="+", default=[*TARGETS, "any"], choices=[*TARGETS, "any"])
    parser.add_argument("--variants", nargs="*", default=["{}"], help="JSON of what differs from the recipe")
    parser.add_argument(
        "--alone_seconds",
        type=float,
        default=150,
        help="time without discriminators; 0: the packed weights are the start",
    )
    parser.add_argument("--seconds", type=float, default=300, help="time with them")
    parser.add_argument("--epochs", type=int, default=10, help="validations in either time")
    parser.add_argument("--validation_slices", type=int, default=192, help="of the held-back pieces")
    parser.add_argument("--pool", type=int, default=40_000, help="slices at a time; 0.5 MB each")
    parser.add_argument("--uses", type=float, default=4, help="how often a slice is drawn by each model")
    parser.add_argument("--start", type=Path, help="folder with results of --alone_seconds to start from (packed ones)")
    parser.add_argument("--filters", type=int, default=24, help="of the first layer of generators")
    parser.add_argument("--max_filters", type=int, default=128, help="of any layer of generators")
    parser.add_argument("--any_steps", type=int, default=2, help="steps of the model for any target for one of others")
    parser.add_argument("--precision", choices=["tf32", "bf16"], default="bf16", help="of convolutions")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True, type=Path, help="a new folder, which gets the .npz files")
    arguments = parser.parse_args()
    names = [f"{KEYBOARD}_{preset:03d}.json" for preset in {*arguments.keyboards, *arguments.validate_with}]
    for name in ("midi.npz", *(f"{target}_000.json" for target in TARGETS), *names):
        if not (arguments.packed / name).is_file():
            parser.error(f"argument --packed: {arguments.packed} must hold {name}, which pack.py writes")
    if not set(arguments.validate_with) <= set(arguments.keyboards):
        parser.error("argument --validate_with: must be some of --keyboards")
    missing = [name for name in arguments.models if arguments.start and not find_start(arguments.start, name)]
    if missing:
        parser.error(f"argument --start: {arguments.start} must hold {missing[0]}_generator.npz")
    try:
        arguments.variants = [json.loads(variant) for variant in arguments.variants]
    except json.JSONDecodeError as error:
        parser.error(f"argument --variants: must be JSON objects ({error})")
    if not all(isinstance(variant, dict) and variant.keys() <= ADVERSARIAL.keys() for variant in arguments.variants):
        parser.error(f"argument --variants: must be JSON objects of {' '.join(ADVERSARIAL)}")
    if any(arguments.output.glob("*.npz")):
        parser.error(f"argument --output: {arguments.output} holds results; it must be a new folder")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("argument --device: PyTorch finds no GPU; with cpu, it is slow")
    return arguments


def find_start(folder: Path, name: str) -> Path | None:
    """Find the generator that a run without discriminators or pack.py stored; None if there is none."""
    paths = folder / f"{name}_generator.npz", folder / f"{KEYBOARD}_2_{name}_generator.npz"
    return next((path for path in paths if path.is_file()), None)


def read_start(path: Path | None) -> dict[str, np.ndarray]:
    """Read the weights of a generator; none if there is none."""
    if not path:
        return {}
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files if not key.startswith("/")}


def main():
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    torch.backends.cudnn.benchmark = True
    device, started = arguments.device, time.monotonic()

    def report(text: str) -> None:
        print(f"[{time.monotonic() - started:.1f} s] {text}", flush=True)

    renderer = Renderer(arguments.packed, arguments.keyboards, device, arguments.seed)
    report("notes read")
    validation = validation_batches(renderer, arguments.validate_with, arguments.validation_slices, device)
    pool = Pool(renderer, arguments.pool, device)
    while pool.n < arguments.pool and pool.n_rendered < arguments.pool * 2:
        pool.store(*pool.render())
    report(f"{pool.n} slices")
    kind = Kind(arguments.filters, arguments.max_filters, BATCH_SIZE, arguments.precision, device, pool.draw)
    folder = arguments.start or arguments.packed
    starts = {name: read_start(find_start(folder, name)) for name in arguments.models}
    if arguments.alone_seconds:
        alone = [Learner(name, ALONE, starts[name], kind) for name in arguments.models]
        report("learners alone")
        run(alone, pool, arguments.alone_seconds, validation, arguments)
        report("trained alone")
        starts = {learner.name: to_keras(learner.averaged, BATCH_SIZE) for learner in alone}
        del alone
    if arguments.seconds:
        learners = [
            Learner(name, {**ADVERSARIAL, **variant}, starts[name], kind, f"_{number}")
            for name in arguments.models
            for number, variant in enumerate(arguments.variants)
        ]
        report("learners with discriminators")
        run(learners, pool, arguments.seconds, validation, arguments)
    report(f"done; {torch.cuda.max_memory_allocated() / 1e9 if device == 'cuda' else 0:.1f} GB")


if __name__ == "__main__":
    main()
