"""Building coverage on SIMULATED imagery: how good it is at places never trained on, and how good anything could be.

Everything is measured per cell of 100 m, at whole places that were neither fitted, stopped early nor calibrated on: of
the country that was trained on (``seen``), and of a second country with other fields, roofs, soils and seasons
(``unseen``). Five seeds: of start values, order, dropout, and of the division of blocks. The network, its input and its
training are those of ``stook train`` with the demonstration's settings.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from stook.models.choices import DEFAULT_QUANTILES
from stook.models.fine_tuning import FineTuning, LabelledChips, Loss, fine_tune, predict
from stook.models.quantiles import HIDDEN_WIDTH, Conformal, QuantileHead, coverage, quantile_loss, r2
from stook.models.resnet import ResNet
from stook.transforms.ground.squares import Squares
from stook.transforms.labelled.chips_of_cells import PlacedChips
from stook.transforms.labelled.splits import DEALT, SplitSettings, divided
from stook.transforms.simulation.scenes import Revisit
from tests.evidence.buildings_ceiling import ceiling
from tests.evidence.buildings_places import SITES, SIZE, SMALL_SITES, Sites, chips
from tests.evidence.figure import Experiment, Figure
from tests.pipelines.small_season import RARELY

OFTEN, SEEDS, EPOCHS = Revisit(), 5, 30
BATCH, LEARNING_RATE = 64, 3e-3
CHECKED_SHARE = CALIBRATED_SHARE = 0.15  # of blocks, as ``stook train`` has them
PROMISED = DEFAULT_QUANTILES[-1] - DEFAULT_QUANTILES[0]


@dataclass(frozen=True)
class Outcome:
    """One seed at one group of held-out places.

    Attributes:
        median: R² of the median.
        mean: R² of the node of the mean.
        sum_ratio: Sum of that node / sum of the true shares.
        single: R² of the single output trained by mean squared error.
        covered: Share of cells within the 5–95 % interval.
        width: Mean width of that interval, 0…1.
    """

    median: float
    mean: float
    sum_ratio: float
    single: float
    covered: float
    width: float


def run(
    scratch: Path, places: Sites = SITES, revisit: Revisit = OFTEN, seeds: int = SEEDS, epochs: int = EPOCHS
) -> Iterator[Figure]:
    """The ceilings, then both heads of every seed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from measured(scratch, places, revisit, seeds, epochs)
    finally:
        torch.set_num_threads(threads)


def measured(scratch: Path, places: Sites, revisit: Revisit, seeds: int, epochs: int) -> Iterator[Figure]:
    """The figures, in one thread."""
    best = {name: ceiling(group[0], revisit) for name, group in (("seen", places.seen), ("unseen", places.unseen))}
    for name, found in best.items():
        note = (
            f"simulated; Fisher information of a cell's share beside overpass noise for one who knows all else: least "
            f"RMSE {found.error:.4f}. From the cells' mean colours {found.means:.4f}; from mean colours without "
            f"knowing the ground beneath {found.colour:.3f}. One place of 3 km"
        )
        yield Figure("buildings.r2.ceiling" + suffix(name), found.pixels, note)

    trained = [chips(place, scratch / str(place.seed), revisit) for place in places.trained]
    held_out = {
        name: LabelledChips.joined([chips(place, scratch / str(place.seed), revisit).labelled for place in group])
        for name, group in (("seen", places.seen), ("unseen", places.unseen))
    }
    outcomes = [judge(trained, held_out, seed, epochs) for seed in range(seeds)]
    for name, cells in held_out.items():
        yield from figures(name, [outcome[name] for outcome in outcomes], len(cells.targets), best[name].pixels)


def figures(name: str, outcomes: list[Outcome], cells: int, best: float) -> Iterator[Figure]:
    """What is said of one group of held-out places."""
    median, mean, single, covered = (
        np.array([getattr(outcome, field) for outcome in outcomes]) for field in ("median", "mean", "single", "covered")
    )
    where = f"simulated; {cells} cells of two held-out places, {len(outcomes)} seeds"
    country = {"seen": "the trained country", "unseen": "a country never trained on"}[name]
    yield Figure(
        f"buildings.r2.{name}",
        float(median.mean()),
        f"{where} ({spread(median)}), {country}; {median.mean() / best:.3f} of the ceiling; node of the mean "
        f"{mean.mean():.3f}",
    )
    gain, error = median - single, float(np.std(median - single, ddof=1) / np.sqrt(len(single)))
    half = float(stats.t.ppf(0.975, len(gain) - 1)) * error
    yield Figure(
        "buildings.r2.gain_over_single" + suffix(name),
        float(gain.mean()),
        f"{where}, {country}; median of quantiles less one output trained by squared error ({single.mean():.3f}), "
        f"paired; standard error {error:.4f}, 95 % interval {gain.mean() - half:+.4f}…{gain.mean() + half:+.4f}; node "
        f"of the mean less the same {(mean - single).mean():+.4f}",
    )
    ratios = np.array([outcome.sum_ratio for outcome in outcomes])
    yield Figure(
        "buildings.sum_ratio" + suffix(name),
        float(ratios.mean()),
        f"{where} ({spread(ratios)}), {country}; sum of the node of the mean / sum of the true shares; target 1",
    )
    width = np.mean([outcome.width for outcome in outcomes])
    yield Figure(
        "buildings.interval_coverage" + suffix(name),
        float(covered.mean()),
        f"{where} ({spread(covered)}), {country}; within the calibrated 5–95 % interval, which promises "
        f"{PROMISED:.2f}; {width:.3f} wide on average",
    )


def judge(trained: list[PlacedChips], held_out: dict[str, LabelledChips], seed: int, epochs: int) -> dict[str, Outcome]:
    """Train both heads, each with an encoder of its own, from the same start and on the same blocks."""
    labelled = LabelledChips.joined([part.labelled for part in trained])
    squares = Squares.joined([part.squares for part in trained])
    settings = SplitSettings("blocks", CHECKED_SHARE, CALIBRATED_SHARE, seed)
    sides = divided(squares, labelled.blocks, labelled.chips.latlon[:, ::-1], settings).sides
    fit, check, calibrate = (labelled.take(sides == side) for side in DEALT)
    several = learnt(seed, epochs, QuantileHead, partial(quantile_loss, quantiles=DEFAULT_QUANTILES), fit, check)
    one = learnt(seed, epochs, single_output, squared_error, fit, check)
    raw = predict(*several, calibrate, BATCH)[:, :-1].numpy()
    conformal = Conformal.fit(raw, calibrate.targets, DEFAULT_QUANTILES)
    found = {}
    for name, cells in held_out.items():
        said = predict(*several, cells, BATCH)
        quantiles, mean = conformal.apply(said[:, :-1]).numpy(), said[:, -1].numpy()
        found[name] = Outcome(
            median=r2(quantiles[:, DEFAULT_QUANTILES.index(0.5)], cells.targets),
            mean=r2(mean, cells.targets),
            sum_ratio=float(mean.sum() / cells.targets.sum()),
            single=r2(predict(*one, cells, BATCH)[:, 0].clamp(0, 1).numpy(), cells.targets),
            covered=coverage(quantiles, cells.targets),
            width=float(np.mean(quantiles[:, -1] - quantiles[:, 0])),
        )
        print(f"# seed {seed}, {name}: {found[name]}", flush=True)
    return found


def learnt(
    seed: int, epochs: int, make_head: Callable[[int], nn.Module], loss: Loss, fit: LabelledChips, check: LabelledChips
) -> tuple[ResNet, nn.Module]:
    """An encoder and a head, trained together with one and the same budget."""
    torch.manual_seed(seed)
    encoder = ResNet(SIZE)
    head = make_head(encoder.output.width)
    settings = FineTuning(epochs, patience=epochs, batch=BATCH, learning_rate=LEARNING_RATE, seed=seed)
    fine_tune(encoder, head, fit, check, loss, settings)
    return encoder, head


def single_output(width: int) -> nn.Module:
    """The layers of a ``QuantileHead`` with one output: [cell, width] -> [cell, 1]."""
    return nn.Sequential(*list(QuantileHead(width).layers)[:-1], nn.Linear(HIDDEN_WIDTH, 1))


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Of a single output [cell, 1]."""
    return functional.mse_loss(predicted[:, 0], target)


def suffix(name: str) -> str:
    """The held-out places of the trained country go without saying."""
    return "" if name == "seen" else f"_{name}"


def spread(values: np.ndarray) -> str:
    """Least and greatest of the seeds."""
    return f"{values.min():.3f}…{values.max():.3f}"


SMALL = {"places": SMALL_SITES, "revisit": RARELY, "seeds": 2, "epochs": 1}
EXPERIMENT = Experiment("buildings", run, small=SMALL)
