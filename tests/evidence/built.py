"""Building coverage trained on SIMULATION, looked at on REAL imagery: does it say more where Flanders is built up?

The labels of the west site know class 60 (built-up ground), not roofs, and a sample of pixels only. So the share of the
labelled pixels of a 100 m square that are built up is held against the predicted median; reported, never tuned on. The
site is 640 m wide and a chip 320 m: few cells of the map have an answer, so squares at every 10 m are looked at too,
which overlap and count for far fewer than they are.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from numpy.lib.stride_tricks import sliding_window_view
from odc.geo.geobox import GeoBox
from scipy.stats import spearmanr

from stook.models.bundle import Bundle, load_bundle
from stook.models.choices import DEFAULT_QUANTILES
from stook.models.encoder import Chips
from stook.models.inference import Embedder
from stook.models.metrics import auc
from stook.pipelines.demo.place import BUILDINGS_BUNDLE, WINDOW
from stook.pipelines.sections import WindowSection
from stook.transforms.encoding.cutting import mean_of
from stook.transforms.ground.geodesy import lonlat_bounds
from stook.transforms.imagery.composite import CompositeSettings, composite
from stook.transforms.imagery.freeze import find_inputs
from stook.transforms.imagery.sources import Source
from stook.transforms.simulation.ground import Cover
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure

FLANDERS = SHARED / "data/flanders"
YEAR = 2018  # the site's imagery ends in November 2018
CELL_PX = 10
LABELLED = (Cover.CROPLAND, Cover.GRASS, Cover.BUILT)
FEWEST = 20  # labelled pixels of the 100 that a square must have to count


def run(_: Path) -> Iterator[Figure]:
    """How well the predicted share tells squares with built-up ground from those without."""
    bundle = load_bundle(BUILDINGS_BUNDLE)
    with rasterio.open(FLANDERS / "labels/west_LC.tif") as file:
        covers, grid = file.read(1), GeoBox(file.shape, file.transform, str(file.crs))
    side = bundle.specification.chip_px
    rim = (side - CELL_PX) // 2
    rows, columns = (np.arange(length - side + 1) for length in covers.shape)
    known, built = (
        sliding_window_view(np.isin(covers, classes), (CELL_PX, CELL_PX)).sum((2, 3))[
            rim : rim + len(rows), rim : rim + len(columns)
        ]
        for classes in (LABELLED, (Cover.BUILT,))
    )
    median = predicted(bundle, grid)
    usable = (known >= FEWEST) & np.isfinite(median)
    share = built / np.maximum(known, 1)
    cells = on_cells(grid.boundingbox.top, rows + rim, -1)[:, None] & on_cells(grid.boundingbox.left, columns + rim, 1)
    there, found = share[usable] > 0, median[usable]
    note = (
        f"REAL imagery, network trained on simulation only; {usable.sum()} squares of 100 m at every 10 m of the west "
        f"site ({there.sum()} with built-up labels), which overlap: no more than 16 can stand apart; "
        f"{(usable & cells).sum()} are cells of the map"
    )
    yield Figure("built.flanders_auc", auc(there, found), f"{note}; a square with any against none")
    rho = float(spearmanr(share[usable], found).statistic)
    yield Figure("built.flanders_rank_correlation", rho, f"{note}; built share of labelled pixels, predicted median")
    on, off = found[there].mean(), found[~there].mean()
    yield Figure("built.flanders_median_difference", float(on - off), f"{note}; mean of medians {on:.3f} and {off:.3f}")


def on_cells(edge_m: float, steps: np.ndarray, direction: int) -> np.ndarray:
    """Whether edges that lie ``steps`` pixels of 10 m from ``edge_m`` are edges of cells of the map: bool [step]."""
    return np.rint(edge_m / 10 + direction * steps).astype(int) % CELL_PX == 0


def predicted(bundle: Bundle, grid: GeoBox) -> np.ndarray:
    """Median share of the 100 m square in the middle of the chip at every pixel of ``grid``, NaN where it has gaps.

    Returns:
        float32 [first row, first column] of the chips.
    """
    catalog = str(FLANDERS / "catalog.json")
    sources = {
        "sentinel2": Source("sentinel2", catalog, "sentinel-2-l2a", "scaled-1e-4"),
        "sentinel1": Source("sentinel1", catalog, "sentinel-1-sigma0", "linear-power"),
    }
    specification = bundle.specification
    window = WindowSection.model_validate(WINDOW).window()
    periods = window.periods(YEAR, specification.period, specification.most_periods)
    bounds = lonlat_bounds(grid)
    inputs, absent, _ = find_inputs(sources, bounds, dict.fromkeys(sources, periods))
    settings = CompositeSettings(
        specification.band_names, periods, bundle.conditions.cloud_dilation_px, absent_bands=absent,
        resampling=specification.resampling, readers=1,
    )  # fmt: skip
    values = mean_of(composite(inputs.near(bounds), sources, grid, settings).values)  # of the months that it sees
    side = specification.chip_px
    chips = np.moveaxis(sliding_window_view(values, (side, side), axis=(2, 3)), (2, 3), (0, 1))
    shape = chips.shape[:2]
    chips = chips.reshape(-1, *chips.shape[2:])
    whole = np.flatnonzero(np.isfinite(chips).all((1, 2, 3, 4)))
    months, years = np.array([periods[0].first.month]), np.array([YEAR])
    latlon = np.tile((bounds[1], bounds[0]), (len(whole), 1))

    def cut(part: slice) -> Chips:
        return Chips(np.ascontiguousarray(chips[whole[part]]), months, years, latlon[part])

    vectors = Embedder(bundle.encoder)(cut, len(whole))[:, :, 0, 0]
    median = np.full(len(chips), np.nan, np.float32)
    median[whole] = bundle.task.shares(vectors)[DEFAULT_QUANTILES.index(0.5)].numpy()
    return median.reshape(shape)


EXPERIMENT = Experiment("built", run, needs_shared=True)
