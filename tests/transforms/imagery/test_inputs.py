from datetime import UTC, datetime
from pathlib import Path

import pytest

from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.inputs import ROWS_PER_GROUP, Inputs
from tests.transforms.archive import EVERYWHERE, PLACE, YEAR_2019, Archive, lonlat, noon

FAR = PLACE.translate_pix(10_000, 0)


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    optical, radar = Archive(tmp_path / "optical", "scaled-1e-4"), Archive(tmp_path / "radar", "linear-power")
    optical.add("second", noon(2), {"blue": 500, "scl": 4}, **{"s2:processing_baseline": "03.00", "s2:secret": 1})
    optical.add("first", noon(1), {"blue": 500, "scl": 4})
    optical.add("far", noon(1), {"blue": 500, "scl": 4}, FAR)
    radar.add("radar", noon(1, hour=6), {"vv": 0.1, "vh": 0.01}, updated="2020-01-01T00:00:00Z")
    sources = {"sentinel2": optical.save(), "sentinel1": radar.save()}
    return Inputs.freeze({name: search(source, EVERYWHERE, *YEAR_2019) for name, source in sources.items()}, sources)


def test_inputs_survive_the_file_and_give_the_items_near_a_box_in_reading_order(inputs: Inputs, tmp_path: Path):
    inputs.write(tmp_path / "inputs.parquet")
    read = Inputs.read(tmp_path / "inputs.parquet")
    assert len(read) == 4
    near = read.near(lonlat(PLACE))
    assert {name: [item.id for item in items] for name, items in near.items()} == {
        "sentinel1": ["radar"],
        "sentinel2": ["first", "second"],
    }
    blue = near["sentinel2"][0].assets["blue"]
    assert Path(blue.href).is_absolute() and Path(blue.href).exists() and "proj:transform" in blue.extra_fields
    assert near["sentinel2"][1].properties.keys() >= {"proj:code", "s2:processing_baseline"}
    assert "s2:secret" not in near["sentinel2"][1].properties


def test_equal_inputs_are_equal_bytes_and_nothing_partial_is_left(inputs: Inputs, tmp_path: Path):
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("a.parquet", "b.parquet", "b.parquet"):
        inputs.write(folder / name)
    assert (folder / "a.parquet").read_bytes() == (folder / "b.parquet").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["a.parquet", "b.parquet"]


def test_identity_names_what_fingerprints_need_and_no_path(inputs: Inputs, tmp_path: Path):
    everything = ("sentinel1", "sentinel2"), datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    identity = inputs.identity(lonlat(PLACE), *everything)
    assert identity == [
        ("sentinel1", "radar", "", "2020-01-01T00:00:00Z"),
        ("sentinel2", "first", "", ""),
        ("sentinel2", "second", "03.00", ""),
    ]
    assert str(tmp_path) not in str(identity)
    assert inputs.identity((60, 0, 61, 1), *everything) == []
    assert inputs.identity(lonlat(PLACE), ("sentinel1",), *everything[1:]) == identity[:1]
    assert inputs.identity(lonlat(PLACE), everything[0], datetime(2000, 1, 1, tzinfo=UTC), everything[1]) == []


def test_items_across_the_antimeridian_are_near_tiles_on_both_sides(tmp_path: Path):
    archive = Archive(tmp_path / "optical", "scaled-1e-4")
    archive.add("fiji", noon(1), {"blue": 500})
    source = archive.save()
    (item,) = search(source, EVERYWHERE, *YEAR_2019)
    item.bbox = [179.5, -18, -179.5, -17]
    inputs = Inputs.freeze({"sentinel2": [item]}, {"sentinel2": source})
    for box in [(179.6, -17.6, 179.9, -17.5), (-179.9, -17.6, -179.8, -17.5), (179.9, -17.6, -179.9, -17.5)]:
        assert len(inputs.near(box)["sentinel2"]) == 1
    assert inputs.near((0, -17.6, 1, -17.5)) == {}


def test_rows_of_one_place_are_together_in_the_file(inputs: Inputs, tmp_path: Path):
    inputs.write(tmp_path / "inputs.parquet")
    west = Inputs.read(tmp_path / "inputs.parquet").rows.to_table()["minx"].to_pylist()
    assert west[1:] == sorted(west[1:]) and len(west) <= ROWS_PER_GROUP
