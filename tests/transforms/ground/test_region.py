import pickle
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import MultiPolygon, Point, Polygon, box

from stook.models.errors import InputError
from stook.transforms.editions.ledger import ProductRecord, TileRecord
from stook.transforms.ground.areas import tile_totals
from stook.transforms.ground.geodesy import area_m2, project
from stook.transforms.ground.grid import Grid, Zone
from stook.transforms.ground.region import Region, read_region
from stook.transforms.ground.unit import Unit
from stook.transforms.simulation.districts import districts
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.landscape import Landscape
from stook.transforms.statistics.sums import places
from stook.transforms.statistics.table import statistics
from tests.transforms.editions.test_edition import make_plan

TWO = [box(39.0, 13.0, 39.2, 13.2), box(39.2, 13.0, 39.4, 13.2)]
GRID = Grid(100, 100)


def frame(geometries: list, crs: object = 4326, **fields: list) -> gpd.GeoDataFrame:
    fields = fields or {"code": ["A", "B"][: len(geometries)]}
    return gpd.GeoDataFrame(fields, geometry=geometries, crs=crs)


def region(*polygons: shapely.Geometry) -> Region:
    return Region(tuple(Unit(str(index), str(index), (), polygon) for index, polygon in enumerate(polygons)))


def touched(whole: Region, grid: Grid) -> set[str]:
    """The names of the tiles, found one by one without index or blocks."""
    names = set()
    for zone in whole.zones:
        ground = [part.geometry for part in whole.parts(zone)]
        left, bottom, right, top = shapely.total_bounds(ground)
        first, last = grid.tile_at(zone, left, bottom), grid.tile_at(zone, right, top)
        for ix in range(first.ix, last.ix + 1):
            for iy in range(first.iy, last.iy + 1):
                tile = type(first)(zone, ix, iy)
                square = box(*grid.bounds(tile).bbox)
                if any(part.intersection(square).area > 0.01 for part in ground):
                    names.add(tile.name)
    return names


# Reading


@pytest.mark.parametrize("name", ["units.gpkg", "units.geojson", "units.shp", "units.parquet", "units.geoparquet"])
@pytest.mark.parametrize("crs", [4326, 32637])
def test_every_format_and_crs_gives_the_same_units(tmp_path: Path, name: str, crs: int):
    table = frame(TWO, code=["A", "B"], region=["R", "R"], land=["L", "L"], title=["Ada", "Bako"]).to_crs(crs)
    if name.endswith("parquet"):
        table.to_parquet(tmp_path / name)
    else:
        table.to_file(tmp_path / name)
    read = read_region(tmp_path / name, "code", ["region", "land"], "title")
    assert [(unit.id, unit.name, unit.parents) for unit in read.units] == [
        ("A", "Ada", ("R", "L")),
        ("B", "Bako", ("R", "L")),
    ]
    assert {parent for unit in read.units for parent in unit.parents} == {"L", "R"}
    for unit, polygon in zip(read.units, TWO, strict=True):
        assert (
            unit.geometry.symmetric_difference(polygon).area < 1e-3 * polygon.area
        )  # edges straight in UTM bulge by 10 m
    assert read.bounds == pytest.approx((39.0, 13.0, 39.4, 13.2), abs=1e-4)


def test_straight_edges_of_a_projected_file_stay_straight_there(tmp_path: Path):
    lambert = "+proj=laea +lat_0=45 +lon_0=10 +datum=WGS84"
    square = box(-2e5, -2e5, 2e5, 2e5)
    frame([square], lambert).to_file(tmp_path / "units.gpkg")
    [unit] = read_region(tmp_path / "units.gpkg", "code").units
    assert area_m2(unit.geometry) == pytest.approx(square.area, rel=1e-6)


def test_units_that_share_an_edge_share_it_whatever_their_vertices(tmp_path: Path):
    """A parallel of 2° at 45° N: a geodesic between its ends lies 430 m north of it."""
    south, north = box(10, 44.9, 12, 45), box(10, 45, 12, 45.1)
    dotted = shapely.segmentize(north, 0.01)
    frame([south, dotted], code=["S", "N"]).to_file(tmp_path / "units.gpkg")
    read = read_region(tmp_path / "units.gpkg", "code")
    grid = Grid(resolution_m=100, tile_px=100)
    sums: Counter[str] = Counter()
    for tile in read.tiles(grid):
        sums.update(tile_totals(read, grid, tile))
    meridians = [shapely.LineString([(lon, 44.9), (lon, 45.1)]) for lon in np.linspace(10, 12, 2001)]
    slivers = zip(meridians, meridians[1:], strict=False)
    whole = sum(area_m2(box(west.coords[0][0], 44.9, east.coords[0][0], 45.1)) for west, east in slivers)
    assert sum(sums.values()) / 100 == pytest.approx(whole, rel=1e-8)
    assert sums["S"] / 100 == pytest.approx(area_m2(south), rel=1e-7)


def test_one_parent_field_or_none_will_do_and_a_row_may_lack_its_parent_or_name(tmp_path: Path):
    path = tmp_path / "units.gpkg"
    frame(TWO, code=["A", "B"], region=["R", None], title=["Ada", None]).to_file(path)
    assert [unit.parents for unit in read_region(path, "code").units] == [(), ()]
    read = read_region(path, "code", "region", "title")
    assert [(unit.name, unit.parents) for unit in read.units] == [("Ada", ("R",)), ("B", (None,))]


def test_whole_numbers_are_ids_as_they_are_written(tmp_path: Path):
    frame(TWO, code=[7, 12], parent=[1.0, None]).to_file(tmp_path / "units.gpkg")
    read = read_region(tmp_path / "units.gpkg", "code", "parent")
    assert [(unit.id, unit.parents) for unit in read.units] == [("7", ("1",)), ("12", (None,))]


def test_the_layer_is_chosen_where_there_are_several(tmp_path: Path):
    path = tmp_path / "units.gpkg"
    frame(TWO).to_file(path, layer="districts")
    frame(TWO[:1]).to_file(path, layer="regions")
    assert len(read_region(path, "code", layer="districts").units) == 2
    assert len(read_region(path, "code", layer="regions").units) == 1
    for layer, complaint in ((None, "several layers"), ("towns", "no layer 'towns'")):
        with pytest.raises(InputError, match=f"{complaint}; choose one of 'districts', 'regions'"):
            read_region(path, "code", layer=layer)


def test_a_repair_that_makes_another_area_is_refused(tmp_path: Path):
    bow_tie = Polygon([(39, 13), (39.2, 13.2), (39.2, 13), (39, 13.2)])
    frame([bow_tie]).to_file(tmp_path / "units.gpkg")
    with pytest.raises(InputError, match=r"unit 'A': its rings cross or overlap: .* ha as .*, 23,9\d\d.* once"):
        read_region(tmp_path / "units.gpkg", "code")


def test_heights_are_dropped_and_invalid_polygons_repaired(tmp_path: Path):
    loop = [(39.11, 13.2), (39.1, 13.201), (39.1, 13.2), (39.11, 13.201)]  # of a digitiser's hand
    slip = Polygon([(39, 13), (39.2, 13), (39.2, 13.2), *loop, (39, 13.2)])
    high = shapely.force_3d(TWO[1], 1800.0)
    frame([slip, high]).to_file(tmp_path / "units.gpkg")
    repaired, flat = read_region(tmp_path / "units.gpkg", "code").units
    assert not slip.is_valid and repaired.geometry.is_valid
    assert repaired.geometry.area == pytest.approx(0.04, rel=2e-3)
    assert not flat.geometry.has_z


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (frame(TWO, name=["A", "B"], n=[1, 2]), "no field 'code'; the fields are 'name', 'n'"),
        (frame(TWO, code=["A", None]), "field 'code': row 2 is empty"),
        (frame(TWO, code=["A", " "]), "field 'code': row 2 is empty"),
        (frame(TWO, code=["A", "A"]), "field 'code': 'A' stands in 2 rows"),
        (frame([], code=[]), "no rows"),
        (frame(TWO, None), "no coordinate reference system"),
        (frame([TWO[0], Point(39, 13)]), "unit 'B' is Point; units are polygons"),
        (frame([TWO[0], None]), "unit 'B' is nothing; units are polygons"),
        (frame([TWO[0], Polygon()]), "unit 'B' is nothing; units are polygons"),
        (frame([Polygon([(39, 13), (40, 13), (39, 13)])]), "unit 'A' encloses nothing"),
        (
            frame([box(10, 80, 11, 85)]),
            "unit 'A' reaches from 10, 80 to 11, 85 .* allowed are -180 to 180 .* and -80 to",
        ),
        (frame([box(10, -81, 11, -79)]), "allowed are -180 to 180 .* and -80 to 84"),
        (frame([box(359, 1, 361, 2)]), "allowed are -180 to 180"),
        (frame([box(400_000, 1e6, 500_000, 1.1e6)]), "unit 'A' reaches from 400000"),
    ],
)
@pytest.mark.parametrize("name", ["units.gpkg", "units.parquet"])
def test_what_cannot_be_a_region_is_refused_in_one_line(tmp_path: Path, name: str, table: gpd.GeoDataFrame, complaint):
    path = tmp_path / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    else:
        table.to_file(path)
    with pytest.raises(InputError, match=complaint) as refusal:
        read_region(path, "code")
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_an_absent_parent_or_name_field_is_refused(tmp_path: Path):
    path = tmp_path / "units.geojson"
    frame(TWO).to_file(path)
    with pytest.raises(InputError, match="no field 'zone'; the fields are 'code'"):
        read_region(path, "code", ["zone"])
    with pytest.raises(InputError, match="no field 'title'; the fields are 'code'"):
        read_region(path, "code", name_field="title")


def test_a_parent_with_the_id_of_a_unit_is_refused(tmp_path: Path):
    frame(TWO, code=["A", "B"], parent=["B", "B"]).to_file(tmp_path / "units.gpkg")
    with pytest.raises(InputError, match="field 'parent': 'B' is also the id of a unit"):
        read_region(tmp_path / "units.gpkg", "code", "parent")


FOUR = [box(39 + step / 10, 13, 39.1 + step / 10, 13.1) for step in range(4)]
NESTED = {"code": list("ABCD"), "region": ["R", None, "ETH", None], "land": ["ETH", "ETH", "ETH", None]}


@pytest.mark.parametrize("name", ["units.gpkg", "units.geojson", "units.shp", "units.parquet"])
def test_a_parent_keeps_its_level_where_a_nearer_one_is_empty_or_the_same(tmp_path: Path, name: str):
    table = frame(FOUR, **NESTED)
    if name.endswith("parquet"):
        table.to_parquet(tmp_path / name)
    else:
        table.to_file(tmp_path / name)
    read = read_region(tmp_path / name, "code", ["region", "land"])
    assert [unit.parents for unit in read.units] == [("R", "ETH"), (None, "ETH"), ("ETH", "ETH"), (None, None)]
    assert {parent for unit in read.units for parent in unit.parents} - {None} == {"ETH", "R"}
    assert places(read.units[1]) == [("unit", "B"), ("parent 2", "ETH")]


def test_a_level_sums_the_units_with_a_parent_of_that_level(tmp_path: Path):
    frame(FOUR, **NESTED).to_file(tmp_path / "units.gpkg")
    read_region(tmp_path / "units.gpkg", "code", ["region", "land"]).write(tmp_path / "units.parquet")
    areas = {unit: {80: area} for unit, area in zip("ABCD", (1, 10, 100, 1000), strict=True)}
    record = TileRecord("tile", {"cropland": ProductRecord("f", "done", areas)}, 1, {}, "")
    edition: Any = SimpleNamespace(
        manifest={"tiles": ["tile"], "calibrated": {"cropland": False}},
        plan=make_plan(),
        units=tmp_path / "units.parquet",
        ledger=SimpleNamespace(records=lambda: [record]),
    )
    table = statistics(edition, {"cropland": 50})
    assert list(zip(table["level"], table["id"], table["area_dm2"], strict=True))[4:] == [
        ("parent 1", "ETH", 100),
        ("parent 1", "R", 1),
        ("parent 2", "ETH", 111),
        ("region", "place", 1111),
    ]


def test_a_parent_under_several_farther_ones_is_refused(tmp_path: Path):
    path = tmp_path / "units.gpkg"
    frame(TWO, code=["A", "B"], zone=["Z", None], region=["01", "01"], land=["KEN", "ETH"]).to_file(path)
    with pytest.raises(InputError, match="'region': '01' stands under both 'KEN' and 'ETH' of field 'land'") as refusal:
        read_region(path, "code", ["zone", "region", "land"])
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)
    frame(TWO, code=["A", "B"], zone=["Z", "Z"], region=[None, "02"], land=["KEN", "ETH"]).to_file(path)
    with pytest.raises(InputError, match="'zone': 'Z' stands under both 'KEN' and 'ETH' of field 'land'"):
        read_region(path, "code", ["zone", "region", "land"])


@pytest.mark.parametrize(
    ("other", "share"),
    [(box(39.19, 13, 39.39, 13.2), "5.000%"), (box(39.05, 13.05, 39.06, 13.06), "100.000%"), (TWO[0], "100.000%")],
)
def test_units_that_overlap_are_refused(tmp_path: Path, other: Polygon, share: str):
    path = tmp_path / "units.gpkg"
    frame([TWO[0], other]).to_file(path)
    with pytest.raises(InputError, match=f"'code': units 'A' and 'B' overlap by {share} of the smaller") as refusal:
        read_region(path, "code")
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_slivers_between_neighbours_are_no_overlap_and_more_is(tmp_path: Path):
    for share, refused in ((0.9e-4, False), (1.1e-4, True)):
        frame([TWO[0], box(39.2 - 0.2 * share, 13, 39.4 - 0.2 * share, 13.2)]).to_file(tmp_path / "units.gpkg")
        if refused:
            with pytest.raises(InputError, match="overlap by 0.011%"):
                read_region(tmp_path / "units.gpkg", "code")
        else:
            assert len(read_region(tmp_path / "units.gpkg", "code").units) == 2


def test_a_town_in_the_hole_of_its_district_is_no_overlap(tmp_path: Path):
    simulated = districts(Landscape.simulate(Place(width_m=1600, height_m=1800)))
    simulated.to_file(tmp_path / "units.geojson")
    read = read_region(tmp_path / "units.geojson", "unit_id", ["parent_id", "country_id"])
    assert len(read.units) == len(simulated)


@pytest.mark.parametrize("name", ["units.gpkg", "units.geojson", "units.shp", "units.parquet"])
def test_files_that_are_absent_or_damaged_are_refused(tmp_path: Path, name: str):
    with pytest.raises(InputError, match="no such file"):
        read_region(tmp_path / name, "code")
    (tmp_path / name).write_bytes(b"not what\nit says")
    with pytest.raises(InputError, match="not a vector file that can be read") as refusal:
        read_region(tmp_path / name, "code")
    assert "\n" not in str(refusal.value)


VRT_OF = '<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'
POINTERS = {
    "vrt": VRT_OF,
    "pretended": f"<!-- a map -->\n{VRT_OF}",
    "service": "<OGRWFSDataSource><URL>http://127.0.0.1:9/</URL></OGRWFSDataSource>",
    "pipeline": '{{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline read {}"}}',
}


@pytest.mark.parametrize("kind", POINTERS)
def test_a_text_that_names_other_files_is_no_region_whatever_it_is_called(tmp_path: Path, kind: str):
    real = tmp_path / "real.geojson"
    gpd.GeoDataFrame({"id": ["a"]}, geometry=[box(36, 9, 36.1, 9.1)], crs=4326).to_file(real)
    path = tmp_path / "units.geojson"
    path.write_text(POINTERS[kind].format(real))
    with pytest.raises(InputError, match="names other files or servers .*give the file of the polygons itself"):
        read_region(path, "id")


def test_a_virtual_file_in_a_zip_and_virtual_paths_are_refused(tmp_path: Path):
    real = tmp_path / "real.geojson"
    gpd.GeoDataFrame({"id": ["a"]}, geometry=[box(36, 9, 36.1, 9.1)], crs=4326).to_file(real)
    with zipfile.ZipFile(tmp_path / "units.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("units.vrt", VRT_OF.format(real).replace('name="x"', 'name="real"'))
    with pytest.raises(InputError, match="OGR_VRT is not read; allowed are GeoJSON"):
        read_region(tmp_path / "units.zip", "id")
    for path in (f"/vsizip/{tmp_path}/units.zip", "/vsicurl/http://127.0.0.1:9/units.geojson"):
        with pytest.raises(InputError):
            read_region(path, "id")


def test_tables_without_geometries_are_refused(tmp_path: Path):
    pd.DataFrame({"code": ["A"]}).to_parquet(tmp_path / "units.parquet")
    (tmp_path / "units.csv").write_text("code\nA\n")
    for name in ("units.parquet", "units.csv"):
        with pytest.raises(InputError, match=r"geo"):
            read_region(tmp_path / name, "code")


# Identity


def test_the_hash_depends_on_ids_parents_and_geometry_and_not_on_order_or_names():
    one, two = Unit("A", "Ada", ("R",), TWO[0]), Unit("B", "Bako", ("R",), TWO[1])
    same = Region((Unit("B", "Other", ("R",), TWO[1].reverse()), one))
    assert Region((one, two)).hash == same.hash
    for changed in (
        Unit("C", "Bako", ("R",), TWO[1]),
        Unit("B", "Bako", (None,), TWO[1]),
        Unit("B", "Bako", ("R", None), TWO[1]),
        Unit("B", "Bako", (None, "R"), TWO[1]),
        Unit("B", "Bako", ("S",), TWO[1]),
        Unit("B", "Bako", ("R",), box(39.2, 13.0, 39.4, 13.2000001)),
    ):
        assert Region((one, changed)).hash != same.hash


def test_a_region_is_read_as_it_was_written(tmp_path: Path):
    whole = Region((Unit("A", "Ada", (None, "L"), TWO[0]), Unit("B", "Bako", ("R", None), TWO[1])))
    whole.write(tmp_path / "units.parquet")
    read = Region.read(tmp_path / "units.parquet")
    assert read == whole and read.hash == whole.hash


def test_a_region_travels_to_workers_without_what_it_has_derived():
    original = region(*TWO)
    fresh = len(pickle.dumps(original))
    tiles = original.tiles(GRID)
    copy = pickle.loads(pickle.dumps(original))
    assert len(pickle.dumps(original)) == fresh
    assert copy == original and copy.hash == original.hash and copy.tiles(GRID) == tiles


# Zones and tiles


def test_units_are_cut_at_the_meridian_and_the_equator():
    whole = region(box(35.9, -0.1, 36.1, 0.1))
    assert [zone.name for zone in whole.zones] == ["32636", "32736", "32637", "32737"]
    parts = [part.geometry.area for zone in whole.zones for part in whole.parts(zone)]
    assert parts == pytest.approx([parts[0]] * 4, rel=1e-6)
    assert {tile.zone for tile in whole.tiles(GRID)} == set(whole.zones)


def test_a_unit_that_ends_on_a_seam_has_no_ground_beyond_it():
    for west, south, east, north in [(35.5, 1, 36, 2), (36, 1, 36.5, 2), (37, 0, 38, 1), (37, -1, 38, 0)]:
        assert len(region(box(west, south, east, north)).zones) == 1


def test_geometries_that_end_on_the_antimeridian_have_ground_on_their_side_only():
    fiji = region(MultiPolygon([box(179.9, -17, 180, -16.9), box(-180, -17, -179.9, -16.9)]))
    assert [zone.name for zone in fiji.zones] == ["32701", "32760"]
    east, west = (fiji.parts(zone)[0].geometry.area for zone in fiji.zones)
    assert east == pytest.approx(west, rel=1e-9)


def test_a_tile_inside_a_hole_is_not_touched_and_islands_are():
    def square(half_m: float, x: float = 500_000, y: float = 1_500_000) -> Polygon:
        ring = [(x - half_m, y - half_m), (x + half_m, y - half_m), (x + half_m, y + half_m), (x - half_m, y + half_m)]
        crs = gpd.GeoSeries([Polygon(ring)], crs=32637).segmentize(500).to_crs(4326)
        return crs.iloc[0]

    holed = region(square(25_000).difference(square(12_000)).union(square(900, x=605_000, y=1_605_000)))
    names = {tile.name for tile in holed.tiles(GRID)}
    assert "32637_49_149" not in names and "32637_50_150" not in names  # the hole, twice 12 km wide
    assert {"32637_48_149", "32637_60_160"} <= names
    assert names == touched(holed, GRID)


@pytest.mark.parametrize("grid", [Grid(100, 100), Grid(100, 20), Grid(100, 1000), Grid(100, 250)])
def test_the_tiles_are_those_with_ground_of_the_region_whatever_their_size(grid: Grid):
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 40))
    radii = rng.uniform(0.05, 0.3, 40)
    star = Polygon(np.column_stack([35.95 + radii * np.cos(angles), 0.05 + radii * np.sin(angles)])).buffer(0)
    whole = region(star, star.envelope.difference(star))
    tiles = whole.tiles(grid)
    assert tiles == sorted(tiles) and {tile.name for tile in tiles} == touched(whole, grid)
    assert all(whole.pieces(grid, tile) for tile in tiles)


def test_pieces_say_whether_they_fill_the_tile():
    whole = region(box(39, 13, 39.5, 13.5))
    ground = whole.parts(Zone(37))[0].geometry
    for tile in whole.tiles(GRID):
        [piece] = whole.pieces(GRID, tile)
        square = box(*GRID.bounds(tile).bbox)
        assert piece.whole == ground.contains(square)
        assert piece.geometry.area == pytest.approx(ground.intersection(square).area, rel=1e-12)


def test_a_tile_without_ground_of_the_region_has_no_pieces():
    tile = GRID.tile_at(Zone(37), *shapely.get_coordinates(project(Point(37, 5), Zone(37)))[0])
    assert region(*TWO).pieces(GRID, tile) == ()


@pytest.mark.shared
def test_ethiopia_has_some_twelve_thousand_tiles_in_three_zones(shared: Path):
    read = read_region(shared / "data/boundaries/ne10m_adm1_ETH_TGO_RWA_KEN.geojson", "adm1_code", "admin", "name_en")
    ethiopia = Region(tuple(unit for unit in read.units if unit.parents == ("Ethiopia",)))
    tiles = ethiopia.tiles(Grid())
    assert len(ethiopia.units) == 11 and [zone.name for zone in ethiopia.zones] == ["32636", "32637", "32638"]
    assert 11_500 < len(tiles) < 12_500
    tigray = Region(tuple(unit for unit in read.units if unit.name == "Tigray"))
    assert {tile.name for tile in tigray.tiles(Grid())} == touched(tigray, Grid())
