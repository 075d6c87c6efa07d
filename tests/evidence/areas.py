"""Ground is counted once: areas summed over tiles and zones against the geodesic area of the polygons."""

from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd

from stook.transforms.ground.grid import Grid
from stook.transforms.ground.region import read_region
from tests.conftest import SHARED
from tests.evidence.figure import Experiment, Figure
from tests.transforms.conservation import relative_error, squares

# The production tiles of 10 km, with pixels of 100 m: coverage and pixel areas are exact at any pixel size.
GRID = Grid(resolution_m=100, tile_px=100)
COUNTRIES = {
    "tigray": ("iso_3166_2", "ET-TI", "one region of Ethiopia"),
    "ethiopia": ("adm0_a3", "ETH", "eleven regions together, three zones"),
    "kenya": ("adm0_a3", "KEN", "both hemispheres, four zones"),
}


def run(scratch: Path) -> Iterator[Figure]:
    """The relative error of three regions, then the worst of the squares."""
    units = gpd.read_file(SHARED / "data/boundaries/ne10m_adm1_ETH_TGO_RWA_KEN.geojson")
    for name, (field, value, words) in COUNTRIES.items():
        path = scratch / f"{name}.gpkg"
        units[units[field] == value].to_file(path)
        error = relative_error(read_region(path, "adm1_code"), GRID)
        yield Figure(f"areas.{name}.relative_error", error, f"{words}; target ≤ 1e-6")
    worst = max(relative_error(square, Grid()) for square in squares())
    note = "worst square of 0.6, 2 and 10 km on a zone meridian, the equator, or both; 10 m pixels; target ≤ 1e-5"
    yield Figure("areas.meridian.relative_error", worst, note)


EXPERIMENT = Experiment("areas", run, needs_shared=True)
