"""Real aerial pictures of Zanzibar and the footprints of its houses: the share under roofs, with an interval.

One tile of zoom 20 is one cell, 38 m of ground; its label is the exact share under footprints (© OpenStreetMap
contributors, ODbL). It is pictured twice, at zoom 20 and as a quarter of a tile of zoom 19, both brought to the same
pixels: more to train on, but one place, so both views lie on the same side of every split. A network is trained from
nothing on whole blocks, others stop it, others calibrate its intervals, and it is judged on blocks that it never saw
and whose neighbours it never saw. There is little of it all: 184 cells.

The picture of the best, the median and the worst cell is written into the project's ignored folder ``out``; it shows
real imagery and is no part of the project.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import rasterio
import shapely
import torch
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from stook.models.choices import DEFAULT_QUANTILES
from stook.models.encoder import Chips
from stook.models.fine_tuning import FineTuning, LabelledChips, fine_tune, predict
from stook.models.metrics import Estimate, bootstrap
from stook.models.quantiles import Conformal, QuantileHead, coverage, quantile_loss, r2
from stook.models.resnet import ResNet, ResNetSize
from stook.models.training import blocked_folds
from stook.transforms.imagery.pictures import Sheet, averaged
from stook.transforms.imagery.sources import PROFILES
from stook.transforms.labelled.footprints import covered_shares, read_ground
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure, kept

FOLDER = SHARED / "data/zanzibar"
CRS = "EPSG:3857"
ZOOM = 20
HALF_WORLD_M = 20_037_508.342789244  # of the square of Web Mercator
TILE_M = 2 * HALF_WORLD_M / 2**ZOOM  # 38.2 m of the projection, 38.0 m of the ground here
CHIP_PX = 128  # 0.30 m
BLOCK_CELLS = 4  # 152 m
FOLDS = 6
SHARES = {"check": 0.2, "calibrate": 0.2}  # of the blocks that are not held out
SIZE = ResNetSize(
    depth=18, bands=("red", "green", "blue"), scaling="imagenet", chip_px=CHIP_PX, resolution_m=0.3, width=16
)
SETTINGS = FineTuning(epochs=40, patience=15, batch=16)


@dataclass(frozen=True)
class Cells:
    """The cells of the place.

    Attributes:
        columns: int [cell], of the tile of zoom 20.
        rows: int [cell], southwards.
        views: float32 [cell, view, band, y, x], 0…1, of zoom 19 and of zoom 20.
        shares: float32 [cell], under footprints.
        footprints: All of them, in metres of Web Mercator.
    """

    columns: np.ndarray
    rows: np.ndarray
    views: np.ndarray
    shares: np.ndarray
    footprints: BaseGeometry

    def __len__(self) -> int:
        return len(self.shares)

    @property
    def blocks(self) -> np.ndarray:
        """The square block int [cell] that each cell lies in."""
        return (self.rows // BLOCK_CELLS) * 2**ZOOM + self.columns // BLOCK_CELLS

    def touching(self, some: np.ndarray) -> np.ndarray:
        """Whether a cell is one of some (bool [cell]) or touches one, be it at a corner: bool [cell]."""
        across = np.abs(self.columns[:, None] - self.columns[some])
        along = np.abs(self.rows[:, None] - self.rows[some])
        return (np.maximum(across, along) <= 1).any(axis=1)

    def chips(self, which: np.ndarray) -> LabelledChips:
        """Both views of some cells, one after the other."""
        count = self.views.shape[1]
        values = self.views[which].reshape(-1, 1, *self.views.shape[2:])
        chips = Chips(values, np.array([1]), np.array([2020]), np.zeros((len(values), 2)))
        return LabelledChips(chips, np.repeat(self.shares[which], count), np.repeat(self.blocks[which], count))


@dataclass(frozen=True)
class Judged:
    """What was said of cells that were held out.

    Attributes:
        quantiles: float32 [cell, quantile].
        fewest_fitted: Cells, in the fold that had least.
    """

    quantiles: np.ndarray
    fewest_fitted: int

    @property
    def median(self) -> np.ndarray:
        """Share under roofs float32 [cell]."""
        return self.quantiles[:, DEFAULT_QUANTILES.index(0.5)]


def read_cells(folder: Path) -> Cells:
    """Every tile of zoom 20 with its two views."""
    tiles = sorted(tuple(map(int, path.name.split("_")[2:])) for path in folder.glob(f"vhr_{ZOOM}_*"))
    columns, rows = np.array(tiles).T
    west, north = corner(columns, rows)
    to_mercator = Transformer.from_crs("EPSG:4326", CRS, always_xy=True)
    footprints = shapely.transform(
        read_ground(folder / "buildings.geojson"), lambda xy: np.column_stack(to_mercator.transform(*xy.T))
    )
    # Web Mercator stretches a cell and the roofs in it alike, so the share is that of the ground.
    shares = covered_shares(shapely.box(west, north - TILE_M, west + TILE_M, north), footprints)
    views = [
        [_view(folder / name, left, top) for name in (f"vhr_19_{x // 2}_{y // 2}", f"vhr_20_{x}_{y}")]
        for (x, y), left, top in zip(tiles, west, north, strict=True)
    ]
    return Cells(columns, rows, np.array(views, np.float32), shares.astype(np.float32), footprints)


def corner(columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Western and northern edges of tiles of zoom 20, in metres of Web Mercator."""
    return columns * TILE_M - HALF_WORLD_M, HALF_WORLD_M - rows * TILE_M


def _view(item: Path, left: float, top: float) -> np.ndarray:
    """Red, green and blue [band, y, x] of a cell."""
    pixel = TILE_M / CHIP_PX
    box = GeoBox((CHIP_PX, CHIP_PX), Affine(pixel, 0, left, 0, -pixel, top), CRS)
    profile = PROFILES["visual-8bit"]
    with rasterio.open(item / "rgb.tif") as file:
        numbers = [profile.numbers[band] for band in SIZE.bands]
        sheet = Sheet.begun(file, box, len(numbers))
        sheet.fill(file, numbers)
        return averaged([sheet], box, profile.scale)


def cross_validated(cells: Cells, settings: FineTuning = SETTINGS) -> Judged:
    """Quantiles of every cell from a network that saw neither its block nor a cell that touches it."""
    answers = np.full((len(cells), len(DEFAULT_QUANTILES)), np.nan, np.float32)
    fewest = len(cells)
    for number, (_, held_out) in enumerate(blocked_folds(cells.blocks, FOLDS)):
        judged = np.isin(np.arange(len(cells)), held_out)
        usable = np.flatnonzero(~cells.touching(judged))
        fit, check, calibrate = divided(usable, cells.blocks[usable], seed=number)
        answers[held_out] = trained_on(cells, fit, check, calibrate, held_out, settings)
        fewest = min(fewest, len(fit))
    return Judged(answers, fewest)


def divided(usable: np.ndarray, blocks: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells to fit, to stop by and to calibrate on, whole blocks of each, drawn at random."""
    order = np.random.default_rng(seed).permutation(np.unique(blocks))
    check, calibrate = (max(1, round(share * len(order))) for share in SHARES.values())
    parts = np.split(order, [check, check + calibrate])
    checked, calibrated, fitted = (usable[np.isin(blocks, part)] for part in parts)
    return fitted, checked, calibrated


def trained_on(
    cells: Cells,
    fit: np.ndarray,
    check: np.ndarray,
    calibrate: np.ndarray,
    held_out: np.ndarray,
    settings: FineTuning,
) -> np.ndarray:
    """Calibrated quantiles of the held-out cells [cell, quantile]; the parts are indices of cells."""
    torch.manual_seed(settings.seed)
    encoder = ResNet(SIZE)
    head = QuantileHead(encoder.output.width)
    loss = partial(quantile_loss, quantiles=DEFAULT_QUANTILES)
    fine_tune(encoder, head, cells.chips(fit), cells.chips(check), loss, settings)

    def said(which: np.ndarray) -> torch.Tensor:
        """Quantiles [cell, quantile], the mean of what is said of both views."""
        each = predict(encoder, head, cells.chips(which), settings.batch)
        return each.reshape(len(which), -1, each.shape[1]).mean(dim=1)[:, :-1]

    conformal = Conformal.fit(said(calibrate).numpy(), cells.shares[calibrate], DEFAULT_QUANTILES)
    return conformal.apply(said(held_out)).numpy()


def draw(cells: Cells, judged: Judged, path: Path) -> None:
    """The best, the median and the worst of the cells with a roof: footprints drawn in, and what was said of them."""
    matplotlib.use("Agg")
    roofed = np.flatnonzero(cells.shares > 0)
    order = roofed[np.argsort(np.abs(judged.median - cells.shares)[roofed], kind="stable")]
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    figure, axes = plt.subplots(1, len(chosen), figsize=(12, 4.8))
    figure.subplots_adjust(0.01, 0.06, 0.99, 0.88, wspace=0.03)
    for axis, (name, cell) in zip(axes, chosen.items(), strict=True):
        axis.axis("off")
        left, top = corner(cells.columns[cell], cells.rows[cell])
        extent = (left, left + TILE_M, top - TILE_M, top)
        axis.imshow(np.moveaxis(cells.views[cell, -1], 0, -1), extent=extent)
        for roof in shapely.get_parts(
            shapely.clip_by_rect(cells.footprints, extent[0], extent[2], extent[1], extent[3])
        ):
            axis.plot(*shapely.get_coordinates(roof).T, color="magenta", linewidth=1.5)
        low, high = judged.quantiles[cell][[0, -1]]
        said = f"{name}: {judged.median[cell]:.0%} ({low:.0%} to {high:.0%}) predicted"
        axis.set_title(f"{said},\n{cells.shares[cell]:.0%} under footprints")
        axis.set(xlim=extent[:2], ylim=extent[2:])
    sources = "imagery OpenAerialMap, footprints © OpenStreetMap contributors"
    figure.text(
        0.01, 0.015, f"Cells of 38 m with a roof, each predicted without having been seen; {sources}", fontsize=9
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def interval(cells: Cells, judged: Judged) -> Estimate:
    """R² of the median with its interval from resampling blocks."""
    return bootstrap(lambda truth, said: r2(said, truth), cells.shares, judged.median, cells.blocks)


def run(scratch: Path, settings: FineTuning = SETTINGS) -> Iterator[Figure]:
    """R² of the median and coverage of the interval, over all cells, each held out once."""
    start = time.process_time()
    cells = read_cells(FOLDER)
    judged = cross_validated(cells, settings)
    seconds = time.process_time() - start
    estimate = interval(cells, judged)
    count = len(np.unique(cells.blocks))
    told = (
        f"{len(cells)} cells of 38 m, chips of {CHIP_PX} px of 0.30 m, both zooms averaged; ResNet-18 of width "
        f"{SIZE.width} from nothing; {FOLDS} folds of {count} blocks of 152 m, cells that touch a held-out one left "
        f"out, at least {judged.fewest_fitted} cells fitted; {seconds:.0f} s of processor time"
    )
    draw(cells, judged, kept(scratch, "out/zanzibar.png"))
    yield Figure(
        "zanzibar.r2", estimate.value, f"[{estimate.low:.3f}, {estimate.high:.3f}] from resampling blocks; {told}"
    )
    roofed = cells.shares > 0
    covered, there = (coverage(judged.quantiles[part], cells.shares[part]) for part in (slice(None), roofed))
    width = np.mean(judged.quantiles[:, -1] - judged.quantiles[:, 0])
    note = f"of the 5 to 95 % interval, promise 0.90; {there:.3f} of the cells with a roof; {width:.2f} wide on average"
    yield Figure("zanzibar.interval_coverage", covered, f"{note}; {told}")
    note = f"each held out once; {roofed.sum()} with a roof, {cells.shares.mean():.1%} covered; see out/zanzibar.png"
    yield Figure("zanzibar.cells", len(cells), note)


EXPERIMENT = Experiment("zanzibar", run, small={"settings": FineTuning(epochs=1, batch=16)}, needs_shared=True)
