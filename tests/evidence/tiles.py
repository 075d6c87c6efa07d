"""Tile invariance: the demonstration's place mapped with tiles of three sizes."""

from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import numpy as np
import yaml
import zarr

from pipelines.configuration import MapConfiguration, load
from pipelines.demo.place import YEAR, write_place
from pipelines.map import run_map
from pipelines.progress import JsonReporter
from tests.evidence.figure import Experiment, Figure
from transforms.editions import Edition
from transforms.map_store import open_layer
from transforms.products import NODATA, PRODUCTS
from transforms.simulation.ground import Place

SIZES = (50, 125, 250)
RESOLUTION_M = 10
LAYERS = [layer.name for layer in PRODUCTS["cropland"].layers]
ZONES = ("32636", "32637")


def run(scratch: Path) -> Iterator[Figure]:
    """Share of pixels that differ between any two tile sizes, and by how much."""
    place = write_place(scratch, Place(), SIZES[0])
    editions = {size: mapped(place.config, size) for size in SIZES}
    differing = compared = greatest = 0
    for zone, layer in product(ZONES, LAYERS):
        arrays = {size: open_layer(edition.maps, zone, RESOLUTION_M, layer) for size, edition in editions.items()}
        values = {size: on_extent(array, arrays[max(SIZES)]) for size, array in arrays.items()}
        for one, other in combinations(SIZES, 2):
            difference = np.abs(values[one].astype(int) - values[other].astype(int))
            differing += int((difference > 0).sum())
            greatest = max(greatest, int(difference.max()))
            compared += int((values[one] != NODATA).sum())
    note = f"tiles of 50, 125 and 250 px; {compared} pixel pairs; target ≤ 1e-5"
    yield Figure("tiles.invariance.differing_share", differing / compared, note)
    yield Figure("tiles.invariance.greatest_difference", greatest, "percent or count; target ≤ 1")


def mapped(config: Path, tile_px: int) -> Edition:
    """The place mapped with tiles of one size."""
    settings = yaml.safe_load(config.read_text())
    settings |= {"grid": {"tile_px": tile_px}, "output": f"out-{tile_px}"}
    other = config.with_name(f"tiles-{tile_px}.yaml")
    other.write_text(yaml.safe_dump(settings))
    return run_map(load(other, MapConfiguration), YEAR, JsonReporter()).edition


def on_extent(array: zarr.Array, widest: zarr.Array) -> np.ndarray:
    """The values of ``array`` on the extent of ``widest``, nodata around them; uint8 [y, x]."""
    a, _, x0, _, e, y0 = array.attrs["spatial:transform"]
    _, _, widest_x0, _, _, widest_y0 = widest.attrs["spatial:transform"]
    row, column = round((y0 - widest_y0) / e), round((x0 - widest_x0) / a)
    values = np.full(widest.shape, NODATA, np.uint8)
    values[row : row + array.shape[0], column : column + array.shape[1]] = array[:]
    return values


EXPERIMENT = Experiment("tiles", run)
