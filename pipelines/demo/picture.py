"""A picture of the simulated place: what it looks like, what is there, what the map says."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from affine import Affine
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from rasterio.vrt import WarpedVRT

from transforms.export import palette
from transforms.products import NODATA, PRODUCTS

LONLAT = "EPSG:4326"
TRUTH_COLOURS = {0: (247, 244, 235, 255), 1: (40, 110, 45, 255), NODATA: (255, 255, 255, 0)}
MARGIN_DEG = 0.002
BRIGHTEST = 0.22  # reflectance shown as white


def draw(
    folder: Path,
    scenes: list[Path],
    truth: dict[int, dict[str, Path]],
    exported: dict[str, Path],
    units: Path,
    title: str,
) -> Path:
    """Draw true colour, truths and maps side by side with the districts' borders; returns the PNG's path.

    Args:
        folder: Where ``map.png`` is written.
        scenes: Folders of one clear scene per zone, with ``red``, ``green`` and ``blue``.
        truth: EPSG code -> layer -> raster.
        exported: Product -> VRT of the exported map, in degrees.
        units: The districts.
        title: Says that all of it is simulated.
    """
    borders = gpd.read_file(units)
    with rasterio.open(exported["cropland"]) as file:
        bounds, percent = file.bounds, file.read(1)
        mosaic = partial(mosaic_of, shape=file.shape, transform=file.transform)
    with rasterio.open(exported["building_coverage"]) as file:
        coverage_bounds, median = file.bounds, file.read(file.count // 2 + 1)

    colour = np.stack([mosaic([scene / f"{band}.tif" for scene in scenes], 0) for band in ("red", "green", "blue")], -1)
    share = mosaic((files["buildings"] for files in truth.values()), np.nan)
    roofs = np.where(np.isnan(share), NODATA, np.rint(100 * np.nan_to_num(share)))
    crops, built = (palette(PRODUCTS[name].map) for name in ("cropland", "building_coverage"))
    panels = (
        (
            "clearest scene of the growing season (true colour)",
            np.where(colour > 0, np.clip(colour * 1e-4 / BRIGHTEST, 0, 1), 1),
            bounds,
        ),
        ("truth: cropland", painted(mosaic((f["cropland"] for f in truth.values()), NODATA), TRUTH_COLOURS), bounds),
        ("map: probability of cropland", painted(percent, crops), bounds),
        ("truth: share of a cell under roofs", painted(roofs, built), bounds),
        ("map: share of a cell under roofs (median)", painted(median, built), coverage_bounds),
    )
    figure = Figure(figsize=(22, 5.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for place, (name, image, box) in zip(axes, panels, strict=True):
        panel(place, name, image, (box.left, box.right, box.bottom, box.top), borders)
    for colours, places, most, label in (
        (crops, axes[1:3], 100, "probability of cropland, percent"),
        (built, axes[3:], 60, "share under roofs, percent"),
    ):
        scale = ListedColormap(np.array([colours[value] for value in range(most + 1)]) / 255)
        figure.colorbar(ScalarMappable(Normalize(0, most), scale), ax=list(places), label=label, shrink=0.6, aspect=30)
    figure.suptitle(title)
    figure.savefig(folder / "map.png", dpi=110)
    return folder / "map.png"


def mosaic_of(paths: Iterable[Path], nodata: float, shape: tuple[int, int], transform: Affine) -> np.ndarray:
    """The first bands of rasters, float32 [y, x], on a grid in degrees; the first that has data wins."""
    whole = np.full(shape, nodata, np.float32)
    for path in paths:
        with (
            rasterio.open(path) as source,
            WarpedVRT(source, crs=LONLAT, transform=transform, height=shape[0], width=shape[1], nodata=nodata) as view,
        ):
            whole = np.where(np.isnan(whole) | (whole == nodata), view.read(1), whole)
    return whole


def panel(
    axes: Axes, name: str, image: np.ndarray, extent: tuple[float, float, float, float], borders: gpd.GeoDataFrame
) -> None:
    """One picture with borders."""
    axes.imshow(image, extent=extent, interpolation="nearest")
    borders.boundary.plot(ax=axes, color="black", linewidth=0.8)
    west, south, east, north = borders.total_bounds
    axes.set_xlim(west - MARGIN_DEG, east + MARGIN_DEG)
    axes.set_ylim(south - MARGIN_DEG, north + MARGIN_DEG)
    axes.axvline(36.0, color="black", linewidth=0.6, linestyle=":")
    axes.set_title(name)
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(labelsize=7)


def painted(values: np.ndarray, colours: dict[int, tuple[int, int, int, int]]) -> np.ndarray:
    """RGBA uint8 [y, x, 4] of values 0…255."""
    table = np.zeros((256, 4), np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    return table[values.astype(np.uint8)]
