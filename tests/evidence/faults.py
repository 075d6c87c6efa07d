"""Files, archives and places as they really come: situations from public reports, and how many of them end right.

Each situation is a test of the project. The first list is of those that were handed to us, the second (the file
``REPORTS``) of those that we found ourselves; the last are tried against servers that ``make test-servers`` installs.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import shapely
from pyproj import Transformer

from stook.transforms.ground.areas import PixelAreas, tile_totals
from stook.transforms.ground.geodesy import WGS84
from stook.transforms.ground.grid import Grid, Tile, Zone
from tests.evidence.figure import Experiment, Figure
from tests.transforms.ground.test_antimeridian import geod_m2, jumping, region_of

ROOT = Path(__file__).resolve().parents[2]
LATITUDES = (-75.0, -45.0, -16.8, -0.05, 0.05, 30.0, 60.0, 78.0)
STEPS = 500  # in which their edges are followed

TRANSFORMS = "tests/transforms"
GIVEN = (
    "ground/test_antimeridian.py::test_a_projected_file_is_read_right",
    "ground/test_antimeridian.py::test_an_island_has_its_area_in_every_form",
    "ground/test_antimeridian.py::test_what_could_be_misread_is_refused_by_name",
    "imagery/test_catalog.py::test_a_time_without_a_zone_is_utc",
    "imagery/test_catalog.py::test_an_item_without_a_box_is_found_by_its_geometry",
    "../pipelines/test_seen.py",
    "imagery/test_catalog.py::test_parts_of_one_scene_are_not_duplicates_of_each_other",
    "imagery/test_catalog.py::test_strips_are_told_apart_by_either_name_of_theirs",
    "imagery/test_pictures.py::test_sheets_give_the_chips_of_one_file",
    "ground/test_vector.py::test_text_of_a_shapefile_is_utf_8_unless_it_says_otherwise",
    "ground/test_vector.py::test_long_whole_numbers_stay_exact_beside_empty_fields",
    "ground/test_vector.py::test_names_that_are_no_text_are_refused",
    "labelled/test_labels.py::test_words_of_classes_are_as_the_file_has_them",
    "statistics/test_layers.py::test_a_raster_stored_south_up_says_what_the_same_one_north_up_says",
    "imagery/test_catalog.py::test_an_item_of_another_collection_is_refused_by_name",
    "imagery/test_archive.py::test_a_server_that_gives_smaller_pages_only_is_asked_for_them",
    "imagery/test_archive.py::test_a_search_that_is_not_whole_is_an_error",
    "imagery/test_archive.py::test_an_empty_page_that_leads_on_is_followed",
    "imagery/test_archive.py::test_collections_that_may_not_be_listed_stop_nothing",
    "imagery/test_freeze.py::test_asset_keys_are_named_when_no_profile_fits",
    "sampling/test_interpretation.py::test_plots_that_nobody_has_analysed_are_unanswered",
    "imagery/test_plausibility.py::test_an_untold_fill_value_in_a_single_scene_does_not_refuse_the_season",
    "ground/test_region.py::test_units_that_share_an_edge_share_it_whatever_their_vertices",
    "store/test_addresses.py::test_addresses_of_other_kinds_are_refused_and_make_no_folder",
)
REPORTS = "tests/transforms/test_public_reports.py"
SERVERS = "tests/pipelines/servers"


def run(
    scratch: Path,
    latitudes: Sequence[float] = LATITUDES,
    given: Sequence[str] = GIVEN,
    own: Sequence[str] = (REPORTS, SERVERS),
) -> Iterator[Figure]:
    """The areas at the 180th meridian, then the situations."""
    worst = max(*units_at_the_meridian(scratch, latitudes), *tiles_at_the_meridian(latitudes))
    note = f"worst of units and 10 m tiles of 10 km at ±180°, {len(latitudes)} latitudes; pyproj.Geod; target ≤ 1e-6"
    yield Figure("faults.meridian.relative_error", worst, note)
    right = sum(good > 0 == bad for good, bad in (passed(f"{TRANSFORMS}/{test}") for test in given))
    counts = [passed(node) for node in own]
    tried = len(given) + sum(good + bad for good, bad in counts)
    right += sum(good for good, _ in counts)
    yield Figure("faults.tried", tried, f"situations of public reports; {len(given)} handed to us, others our own")
    yield Figure("faults.right", right, "of these, that end with the right value or one clear line")


def units_at_the_meridian(scratch: Path, latitudes: Sequence[float]) -> Iterator[float]:
    """Relative error of the sum over tiles of units that lie across the meridian, in each form that files have."""
    for latitude in latitudes:
        whole = shapely.box(179.9, latitude, 180.1, latitude + 0.1)
        for name, form in {"beyond": whole, "jumping": jumping(whole)}.items():
            region = region_of(scratch / f"{name}_{latitude}.gpkg", form)
            grid = Grid()
            summed = sum(sum(tile_totals(region, grid, tile).values()) for tile in region.tiles(grid)) / 100
            yield abs(summed - geod_m2(whole)) / geod_m2(whole)


def tiles_at_the_meridian(latitudes: Sequence[float]) -> Iterator[float]:
    """Relative error of the pixel areas of whole tiles that the meridian crosses, in the zones on both of its sides."""
    grid = Grid()
    for latitude in latitudes:
        for zone, lon in ((Zone(1, latitude < 0), -180.0), (Zone(60, latitude < 0), 180.0)):
            to_metres = Transformer.from_crs(4326, zone.epsg, always_xy=True)
            tile = grid.tile_at(zone, *to_metres.transform(lon, latitude))
            true = square_m2(grid, tile)
            yield abs(PixelAreas.of(grid, tile).total - true) / true


def square_m2(grid: Grid, tile: Tile) -> float:
    """Area on the ellipsoid of a tile, its edges followed in small steps."""
    left, bottom, right, top = grid.bounds(tile).bbox
    ring = shapely.segmentize(shapely.box(left, bottom, right, top).exterior, (right - left) / STEPS)
    x, y = shapely.get_coordinates(ring).T
    lon, lat = Transformer.from_crs(tile.zone.epsg, 4326, always_xy=True).transform(x, y)
    return float(abs(WGS84.polygon_area_perimeter(np.asarray(lon), np.asarray(lat))[0]))


def passed(node: str) -> tuple[int, int]:
    """Tests of a file or a name that pass, and that do not."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", node]
    told = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False).stdout
    last = told.strip().splitlines()[-1]
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last.partition(" in ")[0])}
    return counts.get("passed", 0), sum(counts.get(word, 0) for word in ("failed", "error", "errors", "xfailed"))


EXPERIMENT = Experiment("faults", run, small={"latitudes": (-16.8, 30.0), "given": GIVEN[:1], "own": ()})
