"""Ground of units, parents and region."""

from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
import shapely
from pyogrio.errors import DataSourceError

from stook.transforms.ground.region import Region
from stook.transforms.ground.unit import Unit
from stook.transforms.reporting.geometry import grounds, with_ground, write_with_ground

WEST, EAST, ISLAND = shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.box(5, 5, 6, 6)
REGION = Region(
    (
        Unit("w", "West", ("main", "all"), WEST),
        Unit("e", "East", ("main", None), EAST),
        Unit("i", "Island", (None, "all"), ISLAND),
    )
)


def test_parents_and_region_are_their_units_in_one() -> None:
    found = grounds(REGION, "here")
    assert set(found) == {("unit", "w"), ("unit", "e"), ("unit", "i"), ("parent 1", "main"), ("parent 2", "all"),
                          ("region", "here")}  # fmt: skip
    assert found["parent 1", "main"].equals(shapely.box(0, 0, 2, 1))
    assert len(found["parent 1", "main"].geoms) == 1
    assert found["parent 2", "all"].area == 2
    assert found["region", "here"].area == 3
    assert {geometry.geom_type for geometry in found.values()} == {"MultiPolygon"}


def test_a_disk_that_takes_nothing_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DataSourceError("disk full")

    monkeypatch.setattr("stook.transforms.reporting.geometry.write_dataframe", full)
    table = with_ground(
        pd.DataFrame({"level": ["unit"], "id": ["w"], "product": ["cropland"]}), grounds(REGION, "here")
    )
    with pytest.raises(OSError, match="GDAL: disk full"):
        write_with_ground(table, tmp_path / "areas.gpkg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".gpkg", ".geoparquet"])
def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path: Path, suffix: str) -> None:
    rows = [{"level": level, "id": place, "product": product, "area_dm2": 2**53 + 1}
            for product in ("cropland", "piles") for level, place in grounds(REGION, "here")]  # fmt: skip
    table = with_ground(pd.DataFrame(rows), grounds(REGION, "here"))
    path = tmp_path / f"areas{suffix}"
    for _ in range(2):
        write_with_ground(table, path)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    if suffix == ".gpkg":
        assert [name for name, _ in pyogrio.list_layers(path)] == ["cropland", "piles"]
        read = gpd.read_file(path, layer="piles")
    else:
        read = gpd.read_parquet(path)
        read = read[read["product"] == "piles"]
    assert (read["area_dm2"] == 2**53 + 1).all()
    assert read.crs == "EPSG:4326"
    assert len(read) == 6
