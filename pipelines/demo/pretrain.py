"""Make the demonstration's bundles from simulated places of their own.

``python -m stook.pipelines.demo.pretrain`` writes, beside itself, ``bundle``, a small encoder of the Presto family with
a head for cropland, ``bundle-buildings``, a narrow ResNet with quantiles of building coverage, and ``bundle-piles``, a
narrow ResNet on pictures (see ``stook.pipelines.demo.piles``); ``… pretrain piles`` only one of ``cropland``,
``buildings``, ``piles``. The places they learn from and the place they are judged on have other seeds, positions and
weather than the demonstration's.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stook.models.bundle import Bundle, Conditions, Provenance
from stook.models.encoder import Chips
from stook.models.errors import InputError
from stook.models.inference import Embedder
from stook.models.metrics import Estimate, evaluate
from stook.models.presto import Presto, PrestoSize, with_ndvi
from stook.models.tasks import ClassTask
from stook.models.training import Samples, choose_strength, fit_calibration, fit_head, joined, logits
from stook.pipelines.demo.buildings import train_buildings
from stook.pipelines.demo.piles import train_piles
from stook.pipelines.demo.place import BUNDLE, WINDOW, YEAR, imagery_section
from stook.pipelines.sections import ImagerySection, WindowSection
from stook.transforms.labelled.features import SeasonReader, SeasonSettings, training_grid
from stook.transforms.labelled.label_files import read_labels
from stook.transforms.labelled.labels import Classes
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.scenes import write_archive
from stook.transforms.simulation.truth import write_truth

SIZE = PrestoSize(width=32, depth=2, heads=4, mlp_ratio=2.0, most_steps=24)
TRAINING_PLACES = (
    Place(longitude=38.5, latitude=9.5, width_m=3000, height_m=3000, seed=101),
    Place(longitude=33.5, latitude=7.5, width_m=3000, height_m=3000, seed=102),
    Place(longitude=40.5, latitude=11.0, width_m=3000, height_m=3000, seed=103),
)
HELD_OUT_PLACE = Place(longitude=34.5, latitude=10.0, width_m=3000, height_m=3000, seed=104)
NAMES = ("cropland", "buildings", "piles")
PIXELS_PER_PLACE = 12_000
BLOCK_M = 500.0
STRENGTHS = (0.01, 0.1, 1.0)
EPOCHS = 15
BATCH = 512
LEARNING_RATE = 2e-3
HIDDEN_SHARE = 0.15  # of months, and of sensors within a month, left out at random so that gaps are nothing new
CLASSES = Classes(positive=(1,), negative=(0,))  # of the truth: every pixel, mixed ones too, by its larger part
LICENCE = "Apache-2.0; trained on simulated imagery only"
PERIODS = WindowSection.model_validate(WINDOW).window().periods(YEAR)
SPECIFICATION, _ = Presto.interface(SIZE)
MONTHS = np.array([period.first.month for period in PERIODS])


@dataclass(frozen=True)
class Pixels:
    """Labelled time series of one simulated place.

    Attributes:
        values: float32 [pixel, period, band].
        latlon: float64 [pixel, 2].
        labels: bool [pixel], cropland.
        blocks: int [pixel].
    """

    values: np.ndarray
    latlon: np.ndarray
    labels: np.ndarray
    blocks: np.ndarray


def simulate(place: Place, folder: Path) -> Pixels:
    """Simulate a place and read a random sample of its pixels through the ordinary path."""
    landscape = Landscape.simulate(place)
    catalog = write_archive(landscape, folder / "archive", YEAR)
    imagery = ImagerySection.model_validate(imagery_section(catalog), context={"folder": folder})
    settings = SeasonSettings(imagery.sources(), PERIODS, cloud_dilation_px=0, readers=2)
    [files] = write_truth(landscape, folder / "truth").values()
    labels = read_labels(files["cropland"], CLASSES).thinned(PIXELS_PER_PLACE, seed=0)
    grid = training_grid(cell_px=1)
    reader = SeasonReader(SPECIFICATION, settings, labels.bounds, grid)
    parts, found = [], []
    for tile, index, rows, columns in labels.by_tile(grid):
        season = reader.read(tile)
        seen = season.composite.observed[rows, columns]
        values = season.composite.values[:, :, rows[seen], columns[seen]]
        parts.append(np.ascontiguousarray(np.moveaxis(values, -1, 0)))
        found.append(index[seen])
    index = np.concatenate(found)
    table = labels.table.iloc[index]
    return Pixels(
        np.concatenate(parts),
        table[["lat", "lon"]].to_numpy(),
        table["label"].to_numpy(bool),
        labels.blocks(BLOCK_M)[index],
    )


def train_encoder(places: list[Pixels]) -> Presto:
    """Train a small Presto with a linear read-out on cropland, months and sensors hidden at random."""
    torch.manual_seed(0)
    encoder, read_out = Presto(SIZE), nn.Linear(SIZE.width, 1)
    values = torch.tensor(np.concatenate([place.values for place in places]))
    x, mask = with_ndvi(SPECIFICATION.scaled(values[..., None, None])[..., 0, 0])
    latlon = torch.tensor(np.concatenate([place.latlon for place in places]), dtype=torch.float32)
    labels = torch.tensor(np.concatenate([place.labels for place in places]), dtype=torch.float32)
    months = torch.tensor(MONTHS - 1).expand(BATCH, -1)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *read_out.parameters()], LEARNING_RATE, weight_decay=0.02)
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps)
    for epoch in range(EPOCHS):
        losses = []
        for batch in torch.randperm(len(x)).split(BATCH):
            if len(batch) < BATCH:
                continue
            features = encoder(x[batch], hide(mask[batch]), months, elsewhere(latlon[batch]))
            loss = functional.binary_cross_entropy_with_logits(read_out(features).squeeze(-1), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {np.mean(losses):.4f}")
    return encoder.eval()


def hide(mask: Tensor) -> Tensor:
    """``mask`` [pixel, period, channel] with further months, and radar or optics of further months, masked."""
    pixels, periods, channels = mask.shape
    month = torch.rand(pixels, periods, 1) < HIDDEN_SHARE
    radar, optics = (torch.rand(pixels, periods, 1) < HIDDEN_SHARE for _ in range(2))
    is_radar = torch.arange(channels) < 2
    return mask | month | (radar & is_radar) | (optics & ~is_radar)


def elsewhere(latlon: Tensor) -> Tensor:
    """Positions moved at random by some degrees, so that no place is learnt by heart."""
    return latlon + torch.randn_like(latlon) * 5


def features(encoder: Presto, place: Pixels) -> Samples:
    """The embeddings of a place with its labels and blocks."""
    years = np.full(len(MONTHS), YEAR)
    values = place.values[..., None, None]
    vectors = Embedder(encoder)(lambda part: Chips(values[part], MONTHS, years, place.latlon[part]), len(values))
    return Samples(vectors[:, :, 0, 0].numpy(), place.labels, place.blocks)


def card(held_out: dict[str, Estimate], strength: float) -> str:
    """The bundle's card."""
    seeds = ", ".join(str(place.seed) for place in TRAINING_PLACES)
    figures = "\n".join(f"- {metric}: {estimate}" for metric, estimate in held_out.items())
    return f"""# Demonstration: cropland on a SIMULATED landscape

Encoder and head were trained on simulated imagery only, by `make demo-bundle`. They say nothing about
any real place; use them for the demonstration and for tests.

Encoder: Presto family, width {SIZE.width}, depth {SIZE.depth}, trained on simulated places with seeds {seeds}.
Head: linear, C = {strength:g} by cross-validation over {BLOCK_M:g} m blocks, Platt scaling on held-out blocks.

## Accuracy at a simulated place that was held out (seed {HELD_OUT_PLACE.seed}), random pixels

With 95 % intervals from resampling whole {BLOCK_M:g} m blocks:

{figures}
"""


def main(names: Sequence[str]) -> None:
    """Train the bundles of these names: simulate, train, judge, write."""
    wrong = [name for name in names if name not in NAMES]
    if wrong:
        raise InputError(f"{', '.join(wrong)}: no bundle of the demonstration; allowed are {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory() as scratch:
        if "piles" in names:
            train_piles(Path(scratch) / "piles")
        if "buildings" in names:
            train_buildings(Path(scratch) / "buildings")
        if "cropland" not in names:
            return
        places = (*TRAINING_PLACES, HELD_OUT_PLACE)
        folders = [Path(scratch) / str(place.seed) for place in places]
        *training, held_out = [simulate(place, folder) for place, folder in zip(places, folders, strict=True)]
        train_cropland(training, held_out)


def train_cropland(training: list[Pixels], held_out: Pixels) -> None:
    """Write the bundle of cropland."""
    encoder = train_encoder(training)
    samples = joined([features(encoder, place) for place in training])
    choice = choose_strength(samples, "linear", STRENGTHS)
    head = fit_head(samples, "linear", choice.strength)
    calibration = fit_calibration(choice, samples.labels)
    there = features(encoder, held_out)
    probability = calibration.probability(torch.as_tensor(logits(head, there.features))).numpy()
    metrics = evaluate(there.labels, probability, there.blocks)
    print(card(metrics, choice.strength))
    origin = "small Presto trained on simulated imagery"
    provenance = Provenance("cropland", origin, None, LICENCE, "simulated places", card(metrics, choice.strength))
    conditions = Conditions(start_month=PERIODS[0].first.month, months=len(PERIODS))
    Bundle(encoder, ClassTask(head, calibration), conditions, provenance).save(BUNDLE)


if __name__ == "__main__":
    main(sys.argv[1:] or NAMES)
