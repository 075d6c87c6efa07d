"""The simulator held against real imagery: what cropland, grass and buildings reflect, in Flanders and as simulated."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox

from stook.transforms.ground.geodesy import lonlat_bounds
from stook.transforms.imagery.composite import CompositeSettings, composite
from stook.transforms.imagery.freeze import find_inputs
from stook.transforms.imagery.season import Window
from stook.transforms.imagery.sources import BACKSCATTER_BANDS, REFLECTANCE_BANDS, Source
from stook.transforms.simulation import SIMULATOR_VERSION
from stook.transforms.simulation.ground import Cover, Place
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.simulation.scenes import OPTICAL_COLLECTION, RADAR_COLLECTION, Revisit, write_archive
from stook.transforms.simulation.truth import write_truth
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure, kept

PAGE = Path(__file__).resolve().parents[2] / "docs" / "simulator.md"
MEASURED = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- end of what is measured -->)", re.DOTALL)
FLANDERS = SHARED / "data/flanders"
SITES = {"west": (Window(11, -1, 12), 2018), "east": (Window(11, -1, 12), 2019)}
PLACE = Place(longitude=38.5, latitude=9.5, width_m=2000, height_m=2000, seed=101)
YEAR = 2023
COVERS = {"cropland": Cover.CROPLAND, "grass": Cover.GRASS, "built": Cover.BUILT}
BANDS = (*REFLECTANCE_BANDS, *BACKSCATTER_BANDS)
FEWEST = 0.3  # share of the pixels of a cover that a month must show to count
NDVI_MONTHS = 6  # a pixel with fewer has no amplitude


@dataclass(frozen=True)
class Series:
    """Monthly values of labelled pixels.

    Attributes:
        values: float32 [pixel, calendar month, band] in the order of ``BANDS``; reflectance and dB, NaN where missing.
        covers: uint8 [pixel], codes of ``Cover``.
    """

    values: np.ndarray
    covers: np.ndarray

    @property
    def ndvi(self) -> np.ndarray:
        """float32 [pixel, month]."""
        red, nir = (self.values[..., BANDS.index(name)] for name in ("red", "nir"))
        return (nir - red) / (nir + red)

    def of(self, cover: Cover) -> np.ndarray:
        """The values of one cover."""
        return self.values[self.covers == cover]

    def month(self, growing: bool) -> int:
        """The month (from 0) in which cropland is greenest, or barest."""
        ndvi = self.ndvi[self.covers == Cover.CROPLAND]
        curve = np.nanmedian(ndvi, 0)
        curve[np.isfinite(ndvi).mean(0) < FEWEST] = np.nan
        return int(np.nanargmax(curve) if growing else np.nanargmin(curve))

    def amplitude(self, cover: Cover) -> float:
        """Median over the pixels of a cover of how far NDVI swings within the year."""
        ndvi = self.ndvi[self.covers == cover]
        ndvi = ndvi[np.isfinite(ndvi).sum(1) >= NDVI_MONTHS]
        return float(np.median(np.nanmax(ndvi, 1) - np.nanmin(ndvi, 1)))


def run(scratch: Path, place: Place = PLACE, revisit: Revisit | None = None) -> Iterator[Figure]:
    """Distances between medians, real and simulated; writes the table into docs/simulator.md."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # medians of months without a clear view
        real, simulated = flanders(), savanna(scratch, place, revisit)
        measured = figures(real, simulated)
        kept(scratch, "docs/simulator.md").write_text(page(real, simulated, measured))
    yield from measured


def figures(real: Series, simulated: Series) -> list[Figure]:
    """The distances, over a growing and a bare month of each."""
    optical = slice(0, len(REFLECTANCE_BANDS))
    apart = {name: [] for name in COVERS}
    for name, cover in COVERS.items():
        for growing in (True, False):
            one, other = (np.nanmedian(series.of(cover)[:, series.month(growing)], 0) for series in (real, simulated))
            apart[name].append(np.abs(one - other))
    every = np.concatenate(list(apart.values()))
    note = "mean over three covers, a growing and a bare month of each place"
    found = [Figure("simulator.reflectance.median_abs_diff", float(every[:, optical].mean()), f"{note}, ten bands")]
    for name in COVERS:
        value = float(np.mean(apart[name], 0)[optical].mean())
        found.append(Figure(f"simulator.reflectance.{name}.median_abs_diff", value, "a growing and a bare month"))
    for band in BACKSCATTER_BANDS:
        found.append(Figure(f"simulator.{band}.median_abs_diff_db", float(every[:, BANDS.index(band)].mean()), note))
    for name, cover in COVERS.items():
        here, there = simulated.amplitude(cover), real.amplitude(cover)
        text = f"{here:.2f} simulated, {there:.2f} in Flanders"
        suffix = "" if cover == Cover.CROPLAND else f".{name}"
        found.append(Figure(f"simulator.ndvi{suffix}.amplitude_diff", here - there, text))
    return found


def flanders() -> Series:
    """Both real sites."""
    catalog = str(FLANDERS / "catalog.json")
    sources = {
        "sentinel2": Source("sentinel2", catalog, "sentinel-2-l2a", "scaled-1e-4"),
        "sentinel1": Source("sentinel1", catalog, "sentinel-1-sigma0", "linear-power"),
    }
    return joined(read(FLANDERS / f"labels/{site}_LC.tif", sources, *when) for site, when in SITES.items())


def savanna(scratch: Path, place: Place, revisit: Revisit | None) -> Series:
    """A simulated place, written and read as any other."""
    landscape = Landscape.simulate(place)
    catalog = str(write_archive(landscape, scratch / "archive", YEAR, revisit))
    sources = {
        "sentinel2": Source("sentinel2", catalog, OPTICAL_COLLECTION, "scaled-1e-4"),
        "sentinel1": Source("sentinel1", catalog, RADAR_COLLECTION, "linear-power"),
    }
    [files] = write_truth(landscape, scratch / "truth", YEAR).values()
    return read(files["labels"], sources, Window(1, 0, 12), YEAR)


def read(labels: Path, sources: dict[str, Source], window: Window, year: int) -> Series:
    """Monthly composites of the labelled pixels, by the path that maps take."""
    with rasterio.open(labels) as file:
        covers = file.read(1)
        geobox = GeoBox(file.shape, file.transform, str(file.crs))
    periods = window.periods(year)
    inputs, absent, _ = find_inputs(sources, lonlat_bounds(geobox), dict.fromkeys(sources, periods))
    settings = CompositeSettings(BANDS, periods, cloud_dilation_px=1, absent_bands=absent, readers=2)
    values = composite(inputs.near(lonlat_bounds(geobox)), sources, geobox, settings).values
    wanted = np.isin(covers, list(COVERS.values()))
    calendar = np.argsort([period.first.month for period in periods])
    return Series(np.moveaxis(values[:, :, wanted], -1, 0)[:, calendar], covers[wanted])


def joined(parts: Iterator[Series]) -> Series:
    """The pixels of several places."""
    found = list(parts)
    return Series(np.concatenate([part.values for part in found]), np.concatenate([part.covers for part in found]))


def page(real: Series, simulated: Series, measured: list[Figure]) -> str:
    """docs/simulator.md with its measured part replaced."""
    lines = [f"Simulator version {SIMULATOR_VERSION}. Written by `make evidence ONLY=simulator`.\n"]
    lines += ["| figure | value | note |", "|---|---|---|"]
    lines += [f"| `{figure.name}` | {figure.value:.3g} | {figure.note} |" for figure in measured]
    for name, cover in COVERS.items():
        counts = " and ".join(f"{(series.covers == cover).sum():,}" for series in (real, simulated))
        lines += [
            "",
            f"**{name.capitalize()}** ({counts} pixels): median, in brackets the 10th and 90th percentile",
            "",
        ]
        months = [[series.month(growing) for series in (real, simulated)] for growing in (True, False)]
        heads = [
            f"{place}, {kind} (month {month + 1})"
            for kind, pair in zip(("growing", "bare"), months, strict=True)
            for place, month in zip(("Flanders", "simulated"), pair, strict=True)
        ]
        lines += ["| band | " + " | ".join(heads) + " |", "|---" * 5 + "|"]
        for index, band in enumerate(BANDS):
            digits = 1 if band in BACKSCATTER_BANDS else 3
            cells = []
            for pair in months:
                for series, month in zip((real, simulated), pair, strict=True):
                    low, middle, high = np.nanpercentile(series.of(cover)[:, month, index], (10, 50, 90))
                    cells.append(f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")
            lines.append(f"| {band} | " + " | ".join(cells) + " |")
    text = PAGE.read_text()
    if not MEASURED.search(text):
        raise RuntimeError(f"{PAGE} has lost the marks between which the table belongs")
    return MEASURED.sub(lambda _: "\n".join(lines) + "\n", text)


SMALL = {
    "place": replace(PLACE, width_m=800, height_m=800),
    "revisit": Revisit(optical_days=30, radar_days=15),
}  # radar in every month
EXPERIMENT = Experiment("simulator", run, small=SMALL, needs_shared=True)
