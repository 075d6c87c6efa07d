"""What the encoder sees of a season: monthly reductions of cloud-free imagery."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import chain

import bottleneck
import numpy as np
import pystac
from odc.geo.geobox import GeoBox
from scipy.ndimage import maximum_filter

from stook.models.errors import InputError, TileError
from stook.transforms.backoff import BackOff
from stook.transforms.choices import MOST_OBSERVATIONS
from stook.transforms.imagery import reading as imagery
from stook.transforms.imagery.plausibility import IMPOSSIBLE, too_dark, without_fill
from stook.transforms.imagery.reading import Pass, Resampling, Wanted
from stook.transforms.imagery.season import Period
from stook.transforms.imagery.sources import (
    BACKSCATTER_BANDS,
    COMPOSITE_SENSORS,
    SCENE_CLASSIFICATION,
    SENSOR_BANDS,
    VISIBLE_BANDS,
    Source,
)
from stook.transforms.memory import keep_little_freed
from stook.transforms.stopwatch import Stopwatch

NO_DATA_CLASS = 0
CLOUD_CLASSES = (3, 8, 9, 10)  # shadow, cloud (medium, high), cirrus: what has a soft edge and is dilated
MASKED_CLASSES = (NO_DATA_CLASS, 1, *CLOUD_CLASSES, 11)  # and saturated, snow: what operational systems mask
CHECKED_PX = 256  # per side, for the check of dark pixels: enough for a percentile, and cheap


@dataclass(frozen=True)
class CompositeSettings:
    """What a composite is made of and how.

    Attributes:
        bands: Canonical names, in the order of the result.
        periods: Months, in the order of the result.
        cloud_dilation_px: By how many pixels clouds and their shadows grow, in a square.
        masked_classes: Scene classes that are not clear ground.
        absent_bands: Bands that the archive does not have and the encoder can do without: NaN.
        resampling: How reflectance and backscatter get onto the grid; scene classes are always nearest.
        readers: Passes read at the same time; the only setting that does not change the result.
    """

    bands: tuple[str, ...]
    periods: tuple[Period, ...]
    cloud_dilation_px: int = 0
    masked_classes: tuple[int, ...] = MASKED_CLASSES
    absent_bands: frozenset[str] = frozenset()
    resampling: Resampling = "nearest"
    readers: int = 4


@dataclass(frozen=True)
class Composite:
    """The composite of one tile.

    Attributes:
        values: float32 [period, band, y, x]: surface reflectance (1 = 100 %) for Sentinel-2, dB for Sentinel-1, NaN
            where missing.
        bands: Names of the band axis, e.g. ``("vv", "vh", "blue", …)``.
        periods: The months of the period axis.
        clear_observations: uint8 [y, x]: clear Sentinel-2 observations over the window, at most 254. An observation is
            a pass whose class is clear and in which every band that is read has data.
        observed: bool [y, x]: whether any scene, clear or not, has data at the pixel.
    """

    values: np.ndarray
    bands: tuple[str, ...]
    periods: tuple[Period, ...]
    clear_observations: np.ndarray
    observed: np.ndarray


def composite(
    items_by_source: Mapping[str, Sequence[pystac.Item]],
    sources: Mapping[str, Source],
    geobox: GeoBox,
    settings: CompositeSettings,
    backoff: BackOff | None = None,
    watch: Stopwatch | None = None,
) -> Composite:
    """Monthly median of clear Sentinel-2 and monthly mean (of linear power) of Sentinel-1 over one tile.

    A pixel that no clear observation of a month shows is NaN in that month; nothing is filled in. A tile without any
    item is all NaN and not observed.

    Memory: the result (4 bytes x periods x bands x pixels) plus about 0.3 GB at 1000 x 1000 pixels and eight readers,
    whatever the number of dates: one band of one month in use (64 MiB, in strips of rows if it has more dates), as much
    again being read, scene classes and mask (a quarter of a band each), and one asset's window per reader. A scene of a
    neighbouring zone costs its reader about 0.05 GB more.

    Args:
        items_by_source: Items near the tile, by sensor, as ``Inputs.near`` gives them.
        sources: The configured archives, by sensor.
        geobox: The tile with its halo.
        settings: Bands, periods, mask.
        backoff: How patiently assets are opened.
        watch: Takes the time, and counts what is read. ``read`` is waiting for pixels, ``composite`` what is done with
            them while more are being read.

    Raises:
        InputError: A band that no configured source has.
        TileError: An asset is missing or corrupt, or an item's reflectance is below what ground has.
        UnreachableError: An archive does not answer, or refuses, after retries.
    """
    _refuse_bands_without_source(settings, sources)
    keep_little_freed()
    watch = watch or Stopwatch()
    tile = _Tile(geobox, settings, radar_observes="sentinel2" not in sources)
    steps = [
        _Step(sources[name], scenes, index, rows)
        for name in sorted(sources)
        if name in COMPOSITE_SENSORS
        for index, period in enumerate(settings.periods)
        if (scenes := imagery.passes(items_by_source.get(name, ()), name, period))
        for rows in imagery.strips(geobox, len(scenes))
    ]
    wanted = chain.from_iterable(tile.wanted(step) for step in steps)
    with (
        ThreadPoolExecutor(settings.readers) as pool,
        closing(imagery.read(wanted, pool, settings.resampling, backoff, watch.amounts)) as stacks,
        watch.step("composite"),
    ):
        arriving = watch.each("read", stacks)
        for step in steps:
            tile.add(step, arriving)
    counts = np.minimum(tile.clear_count, MOST_OBSERVATIONS).astype("uint8")
    return Composite(tile.values, settings.bands, settings.periods, counts, tile.observed)


@dataclass(frozen=True)
class _Step:
    """The passes of one month of one source, in a strip of rows."""

    source: Source
    scenes: Sequence[Pass]
    period: int
    rows: slice


class _Tile:
    """The composite while months are added to it."""

    def __init__(self, geobox: GeoBox, settings: CompositeSettings, radar_observes: bool):
        self.geobox = geobox
        self.settings = settings
        self.radar_observes = radar_observes
        self.values = np.full((len(settings.periods), len(settings.bands), *geobox.shape), np.nan, "float32")
        self.clear_count = np.zeros(geobox.shape, "uint16")
        self.observed = np.zeros(geobox.shape, bool)

    def wanted(self, step: _Step) -> Iterator[Wanted]:
        """What a step reads: the scene classes of Sentinel-2, then the bands.

        Clouds grow from beyond the strip and beyond the tile, so that the mask does not depend on either.
        """
        strip = self.geobox[step.rows, :]
        if step.source.sensor == "sentinel2":
            margin = strip.pad(self.settings.cloud_dilation_px)
            yield Wanted(step.source, step.scenes, SCENE_CLASSIFICATION, margin)
        for _, band in self._bands_of(step.source.sensor):
            yield Wanted(step.source, step.scenes, band, strip)

    def add(self, step: _Step, stacks: Iterator[np.ndarray]) -> None:
        """Reduce what a step wanted, which comes next in ``stacks``."""
        if step.source.sensor == "sentinel2":
            self._add_optical(step, stacks)
        else:
            self._add_radar(step, stacks)

    def _add_optical(self, step: _Step, stacks: Iterator[np.ndarray]) -> None:
        """Median of the clear pixels."""
        classes, unclear = self._mask(next(stacks))
        bands = self._bands_of("sentinel2")
        classified, clear = classes != NO_DATA_CLASS, ~unclear
        lacking = np.ones(classes.shape, bool) if bands else np.zeros((), bool)  # all bands so far
        empty = np.empty(classes.shape, bool)
        for index, band in bands:
            stack = next(stacks)
            if bottleneck.anynan(stack):
                np.isnan(stack, out=empty)
                lacking &= empty
                clear &= np.logical_not(empty, out=empty)
            else:
                lacking[:] = False
            np.copyto(stack, np.nan, where=unclear)
            if band in VISIBLE_BANDS:
                _refuse_too_dark(stack, step.scenes, band, step.source)
                np.less(stack, IMPOSSIBLE, out=empty)  # a fill value that nothing tells
                unclear |= empty
                clear &= ~empty
                np.copyto(stack, np.nan, where=empty)
            self.values[step.period, index, step.rows] = bottleneck.nanmedian(stack, axis=0)
        self.observed[step.rows] |= (classified & ~lacking).any(axis=0)
        self.clear_count[step.rows] += clear.sum(axis=0, dtype="uint16")

    def _add_radar(self, step: _Step, stacks: Iterator[np.ndarray]) -> None:
        """Mean power, in dB."""
        for index, _ in self._bands_of("sentinel1"):
            stack = next(stacks)
            if self.radar_observes:
                self.observed[step.rows] |= np.isfinite(stack).any(axis=0)
            self.values[step.period, index, step.rows] = 10 * np.log10(bottleneck.nanmean(stack, axis=0))

    def _bands_of(self, sensor: str) -> list[tuple[int, str]]:
        """Place in the result and name of a sensor's bands, the visible ones first: they tell what is no ground."""
        bands = sorted(enumerate(self.settings.bands), key=lambda numbered: numbered[1] not in VISIBLE_BANDS)
        return [
            (index, band)
            for index, band in bands
            if band in SENSOR_BANDS[sensor] and band not in self.settings.absent_bands
        ]

    def _mask(self, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scene classes uint8 [pass, y, x] without the margin they were read with; bool, where they are not clear."""
        reach, masked = self.settings.cloud_dilation_px, self.settings.masked_classes
        if not reach:
            return classes, _any_of(masked, classes)
        cloudy = _any_of([value for value in CLOUD_CLASSES if value in masked], classes)
        for layer in cloudy:
            layer[:] = maximum_filter(layer, size=2 * reach + 1)
        inner = np.s_[:, reach:-reach, reach:-reach]
        return classes[inner], _any_of(masked, classes[inner]) | cloudy[inner]


def _any_of(values: Iterable[int], classes: np.ndarray) -> np.ndarray:
    """bool, shape of ``classes``: ``np.isin``, several times faster for the few values of a byte."""
    found = np.zeros(classes.shape, bool)
    for value in values:
        found |= classes == value
    return found


def _refuse_too_dark(stack: np.ndarray, scenes: Sequence[Pass], band: str, source: Source) -> None:
    """Archives' flags are wrong on single items, which a check of a few items before the run cannot find."""
    step_y, step_x = (max(1, length // CHECKED_PX) for length in stack.shape[1:])
    for layer, items in zip(stack[:, ::step_y, ::step_x], scenes, strict=True):
        if why := too_dark(without_fill(layer)):
            names = ", ".join(item.id for item in items)
            raise TileError(f"{names}: {band} with profile {source.profile}: {why}")


def _refuse_bands_without_source(settings: CompositeSettings, sources: Mapping[str, Source]) -> None:
    composed = [name for name in sources if name in COMPOSITE_SENSORS]
    available = {band for name in composed for band in SENSOR_BANDS[name]} - {SCENE_CLASSIFICATION}
    for band in settings.bands:
        if band not in available and band not in settings.absent_bands:
            sensor = "sentinel1" if band in BACKSCATTER_BANDS else "sentinel2"
            raise InputError(f"band {band!r} needs imagery.{sensor}; configured: {', '.join(sorted(available))}")
