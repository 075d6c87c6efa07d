"""The encoder as a tile runs it against the plain loop that anyone would write, from the same NumPy chips.

The plain loop is ``torch.no_grad`` over batches of 64, with the same scaling and the same network; what is measured is
what ``stook.models.inference`` adds and gains: its batch, ``inference_mode``, the answers put into one tensor. Weights
are random: they do not change the work. Both run in one thread and its CPU time is counted, so that other work on the
machine does not decide; threads that wait for each other on a busy machine made it 0.6 or 1.4.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stook.models.encoder import Chips, Encoder
from stook.models.galileo import Galileo, GalileoSize
from stook.models.inference import Embedder
from stook.models.presto import Presto, PrestoSize
from stook.models.resnet import ResNet, ResNetSize
from stook.models.satmae import GroupSize, SatMAEGroup
from stook.models.softcon import SENTINEL2_BANDS, SoftCon, SoftConSize
from tests.evidence.figure import Experiment, Figure

PLAIN_BATCH = 64
ROUNDS, SECONDS = 5, 20.0  # of a family at least: short rounds are repeated until noise has had its chance
MONTHS = 12


@dataclass(frozen=True)
class Runner:
    """An encoder to be measured.

    Attributes:
        name: Second word of the figure.
        build: Makes it.
        chips: How many are encoded; whole batches of the plain loop.
        words: What it is, for the note.
    """

    name: str
    build: Callable[[], Encoder]
    chips: int
    words: str


def resnet() -> ResNet:
    """The smaller of the published depths, on the bands that SoftCon's has."""
    return ResNet(ResNetSize(18, tuple(band.name for band in SENTINEL2_BANDS), "ssl4eo"))


RUNNERS = (
    Runner("presto", lambda: Presto(PrestoSize()), 256, "the published size, 12 months"),
    Runner("galileo", lambda: Galileo(GalileoSize(chip_px=1)), 128, "nano, single pixels, 12 months"),
    Runner(
        "satmae",
        lambda: SatMAEGroup(GroupSize(width=768, depth=1, heads=12)),
        PLAIN_BATCH,
        "group of ViT-B's width, 1 block of its 12",
    ),
    Runner("softcon", lambda: SoftCon(SoftConSize(depth=2)), PLAIN_BATCH, "of ViT-S/14's width, 2 blocks of its 12"),
    Runner("resnet", resnet, PLAIN_BATCH, "ResNet-18, 13 bands of 224 px"),
)


def run(
    scratch: Path, rounds: int = ROUNDS, seconds: float = SECONDS, most_chips: int | None = None
) -> Iterator[Figure]:
    """Chips per second relative to the plain loop, of every family."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from relative(rounds, seconds, most_chips)
    finally:
        torch.set_num_threads(threads)


def relative(least_rounds: int, least_s: float, most_chips: int | None) -> Iterator[Figure]:
    """The figures, with the threads that are set."""
    for runner in RUNNERS:
        torch.manual_seed(0)
        encoder = runner.build().eval()
        chips, embedder = (
            simulated(encoder, min(runner.chips, most_chips or runner.chips)),
            Embedder(encoder, torch.device("cpu")),
        )
        ways = {"ours": partial(embedder, chips.__getitem__, len(chips)), "plain": partial(plain, encoder, chips)}
        seconds, rounds = interleaved(ways, least_rounds, least_s)
        note = (
            f"target ≥ 0.95; {runner.words}; batches of {min(embedder.batch, len(chips))} against {PLAIN_BATCH}; "
            f"{len(chips) / seconds['ours']:.3g} chips a second; one thread, CPU time, best of {rounds}; random weights"
        )
        yield Figure(f"throughput.{runner.name}.relative", seconds["plain"] / seconds["ours"], note)


def interleaved(
    ways: Mapping[str, Callable[[], Tensor]], least_rounds: int, least_s: float
) -> tuple[dict[str, float], int]:
    """Least CPU seconds of each way, and of how many rounds.

    They are taken in turn, each first every other time, after one round to warm up.
    """
    least = dict.fromkeys(ways, float("inf"))
    begun = time.thread_time()
    number = 0
    while number <= least_rounds or time.thread_time() - begun < least_s:
        for name in list(ways)[:: 1 if number % 2 else -1]:
            start = time.thread_time()
            ways[name]()
            if number > 0:
                least[name] = min(least[name], time.thread_time() - start)
        number += 1
    return least, number - 1


@torch.no_grad()
def plain(encoder: Encoder, chips: Chips) -> Tensor:
    """Feature vectors, as the authors' own examples get them: batch by batch."""
    vectors = []
    months, years = torch.as_tensor(chips.months), torch.as_tensor(chips.years)
    for start in range(0, len(chips), PLAIN_BATCH):
        part = chips[start : start + PLAIN_BATCH]
        x = encoder.specification.scaled(torch.as_tensor(part.values))
        latlon = torch.as_tensor(part.latlon, dtype=torch.float32)
        vectors.append(encoder._encode(x, months, years, latlon))
    return torch.cat(vectors)


def simulated(encoder: Encoder, count: int) -> Chips:
    """Chips of uniform noise in plausible units, nothing missing."""
    random, specification = np.random.default_rng(0), encoder.specification
    periods = MONTHS if specification.period == "month" else specification.most_periods
    values = random.random((count, periods, len(specification.bands), *(specification.chip_px,) * 2), np.float32)
    radar = [band.sensor == "sentinel1" for band in specification.bands]
    values[:, :, radar] *= -20
    latlon = np.tile([[50.8, 3.0]], (count, 1))
    return Chips(values, 1 + np.arange(periods) % 12, np.full(periods, 2019), latlon)


SMALL = {"rounds": 1, "seconds": 0.0, "most_chips": 4}
EXPERIMENT = Experiment("throughput", run, small=SMALL)
