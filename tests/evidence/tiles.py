"""Tile invariance: the demonstration's place mapped with tiles of three sizes."""

from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import numpy as np
import yaml
import zarr

from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.demo.place import DEMO_PRODUCTS, YEAR, write_place
from stook.pipelines.demo.run import DEMO_PLACE
from stook.pipelines.map import run_map
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.map_store import open_layer
from stook.transforms.editions.products import PRODUCTS, Layer
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.scenes import Revisit
from stook.transforms.values import NODATA
from tests.evidence.figure import Experiment, Figure
from tests.pipelines.small_season import SMALL_DEMO

SIZES = (50, 100, 200)
RESOLUTIONS_M = {
    "cropland": 10,
    "building_coverage": 100,
    "harvest_piles": 250,
    "cropland_smoothed": 10,
    "farmed_cells": 250,
}
ZONES = ("32636", "32637")


def run(scratch: Path, place: Place = DEMO_PLACE, revisit: Revisit | None = None) -> Iterator[Figure]:
    """Share of pixels and cells that differ between any two tile sizes, and by how much."""
    config = write_place(scratch, place, SIZES[0], DEMO_PRODUCTS, revisit).config
    editions = {size: mapped(config, size) for size in SIZES}
    for name, resolution_m in RESOLUTIONS_M.items():
        differing = compared = greatest = 0
        shown = [layer for layer in PRODUCTS[name].layers if layer not in PRODUCTS[name].summed]
        for zone, layer in product(ZONES, shown):
            arrays = {
                size: open_layer(edition.maps, zone, resolution_m, layer.name) for size, edition in editions.items()
            }
            values = {size: on_extent(array, arrays[max(SIZES)]) for size, array in arrays.items()}
            for one, other in combinations(SIZES, 2):
                difference = np.abs(values[one].astype(int) - values[other].astype(int))
                differing += int((difference > 0).sum())
                greatest = max(greatest, int(difference.max()))
                compared += int((values[one] != NODATA).sum())
        note = f"tiles of 50, 100 and 200 px; {compared} pairs of pixels or cells; target ≤ 1e-5"
        yield Figure(f"tiles.invariance.{name}.differing_share", differing / compared, note)
        yield Figure(f"tiles.invariance.{name}.greatest_difference", greatest, "percent or count; target ≤ 1")
    # Of hundredths of a percent some always round the other way, so only how far they lie apart says something.
    for layer in PRODUCTS["building_coverage"].summed:
        apart = [apart_by(editions, zone, RESOLUTIONS_M["building_coverage"], layer) for zone in ZONES]
        yield Figure(f"tiles.invariance.{layer.name}.greatest_difference", max(apart), "percent; target ≤ 0.01")


def apart_by(editions: dict[int, Edition], zone: str, resolution_m: float, layer: Layer) -> float:
    """How far a layer of two tile sizes lies apart at most, in its unit."""
    arrays = {size: open_layer(edition.maps, zone, resolution_m, layer.name) for size, edition in editions.items()}
    values = {size: on_extent(array, arrays[max(SIZES)]).astype(int) for size, array in arrays.items()}
    return layer.scale * max(int(np.abs(values[one] - values[other]).max()) for one, other in combinations(SIZES, 2))


def mapped(config: Path, tile_px: int) -> Edition:
    """The place mapped with tiles of one size."""
    settings = yaml.safe_load(config.read_text())
    settings |= {"grid": {"tile_px": tile_px}, "output": f"out-{tile_px}"}
    other = config.with_name(f"tiles-{tile_px}.yaml")
    other.write_text(yaml.safe_dump(settings))
    return run_map(load(other, MapConfiguration), YEAR, JsonReporter()).edition


def on_extent(array: zarr.Array, widest: zarr.Array) -> np.ndarray:
    """The values of ``array`` on the extent of ``widest``, nodata around them; [y, x] or [layer, y, x]."""
    a, _, x0, _, e, y0 = array.attrs["spatial:transform"]
    _, _, widest_x0, _, _, widest_y0 = widest.attrs["spatial:transform"]
    row, column = round((y0 - widest_y0) / e), round((x0 - widest_x0) / a)
    values = np.full(widest.shape, widest.fill_value, widest.dtype)
    height, width = array.shape[-2:]
    values[..., row : row + height, column : column + width] = array[:]
    return values


EXPERIMENT = Experiment("tiles", run, small=SMALL_DEMO)
