"""Attributes of users' files arrive as they are, or the file is refused in one line."""

import json
import sqlite3
import struct
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from shapely import box

from stook.models.errors import InputError
from stook.transforms.ground.region import read_region
from tests.transforms.ground.test_region import TWO, frame


@pytest.mark.parametrize("name", ["units.gpkg", "units.geojson", "units.parquet", "units.shp"])
def test_long_whole_numbers_stay_exact_beside_empty_fields(tmp_path: Path, name: str):
    low = 599686042433355775
    parents = pd.array([low, low + 16, None], dtype="Int64")
    table = frame([box(39 + x, 13, 39.5 + x, 13.2) for x in (0, 1, 2)], code=["A", "B", "C"], cell=parents)
    table.to_parquet(tmp_path / name) if name.endswith("parquet") else table.to_file(tmp_path / name)
    read = read_region(tmp_path / name, "code", "cell")
    assert [unit.parents for unit in read.units] == [(str(low),), (str(low + 16),), (None,)]


def test_text_of_a_shapefile_is_utf_8_unless_it_says_otherwise(tmp_path: Path):
    path = tmp_path / "units.shp"
    table = frame(TWO, code=["Guémon", "Bélier"], title=["Côte d’Or", "ሐረር"])
    table.to_file(path, encoding="UTF-8")
    path.with_suffix(".cpg").unlink()
    read = read_region(path, "code", None, "title")
    assert [(unit.id, unit.name) for unit in read.units] == [("Guémon", "Côte d’Or"), ("Bélier", "ሐረር")]
    frame(TWO, code=["Guémon", "Bélier"]).to_file(path, encoding="ISO-8859-1")
    read = read_region(path, "code")
    assert [unit.id for unit in read.units] == ["Guémon", "Bélier"], "as the .cpg says"
    path.with_suffix(".cpg").unlink()
    table_file = path.with_suffix(".dbf")
    content = bytearray(table_file.read_bytes())
    content[29] = 0  # no code page either
    table_file.write_bytes(content)
    with pytest.raises(InputError, match=r"units\.shp: its text is not UTF-8, .* into a file units\.cpg"):
        read_region(path, "code")
    with zipfile.ZipFile(tmp_path / "units.zip", "w") as archive:
        for part in (".shp", ".shx", ".dbf", ".prj"):
            archive.write(path.with_suffix(part), f"units{part}")
    with pytest.raises(InputError, match="its text is not UTF-8"):
        read_region(tmp_path / "units.zip", "code")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["Ouest", "West"], r"field 'title': row 1 is \['Ouest', 'West'\]; allowed are text and whole numbers"),
        ({"primary": "Ouest"}, r"field 'title': row 1 is \{'primary': 'Ouest'\}"),
        (599686042433355776.5, "field 'title': row 1 is the float .*, of which the last digits are lost"),
    ],
)
def test_names_that_are_no_text_are_refused(tmp_path: Path, value: object, said: str):
    content = json.loads(frame(TWO, code=["A", "B"]).to_json())
    for feature in content["features"]:
        feature["properties"]["title"] = value
    (tmp_path / "units.geojson").write_text(json.dumps(content))
    with pytest.raises(InputError, match=said):
        read_region(tmp_path / "units.geojson", "code", None, "title")


@pytest.mark.parametrize("far", [1e308, 1e12, -1e9])
def test_coordinates_beyond_the_earth_are_refused_before_anything_is_cut(tmp_path: Path, far: float):
    polygon = {"type": "Polygon", "coordinates": [[[0, 0], [far, 0], [far, 1000], [0, 0]]]}
    content = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "EPSG:32637"}},
        "features": [{"type": "Feature", "properties": {"code": "A"}, "geometry": polygon}],
    }
    (tmp_path / "units.geojson").write_text(json.dumps(content))
    with pytest.raises(InputError, match="a coordinate lies nowhere on the Earth"):
        read_region(tmp_path / "units.geojson", "code")


def test_what_other_programs_make_of_files_is_told_or_undone(tmp_path: Path):
    table = frame(TWO, code=["A", "B"])
    table.assign(parent=np.array([231100245, 231100246], "float32")).to_parquet(tmp_path / "single.parquet")
    with pytest.raises(InputError, match="row 1 is the float .*, of which the last digits are lost"):
        read_region(tmp_path / "single.parquet", "code", "parent")
    content = json.loads(table.to_json())
    for feature, day in zip(content["features"], ("2023/01/01", "2023-01-01"), strict=True):
        feature["properties"]["parent"] = day
    (tmp_path / "days.geojson").write_text(json.dumps(content))
    read = read_region(tmp_path / "days.geojson", "code", "parent")
    assert [unit.parents for unit in read.units] == [("2023/01/01",), ("2023-01-01",)]
    bent = pq.read_table(tmp_path / "single.parquet")
    facts = json.loads(bent.schema.metadata[b"geo"])
    facts["columns"]["geometry"]["edges"] = "spherical"
    pq.write_table(bent.replace_schema_metadata({b"geo": json.dumps(facts).encode()}), tmp_path / "bent.parquet")
    with pytest.raises(InputError, match="its edges are spherical"):
        read_region(tmp_path / "bent.parquet", "code")
    frame(TWO, code=["Guémon", "Bélier"]).to_file(tmp_path / "units.shp", encoding="ISO-8859-1")
    (tmp_path / "units.cpg").write_text("UTF-8")
    with pytest.raises(InputError, match="units.shp: .*(encoding|decode)"):
        read_region(tmp_path / "units.shp", "code")


def test_curves_are_refused_and_no_library_warns(tmp_path: Path, recwarn: pytest.WarningsRecorder):
    path = tmp_path / "units.gpkg"
    frame(TWO, code=["A", "B"]).to_file(path)
    arc = [(39.0, 13.0), (39.1, 13.1), (39.2, 13.0), (39.1, 12.9), (39.0, 13.0)]
    curve = struct.pack("<BIIBII", 1, 10, 1, 1, 8, len(arc)) + b"".join(struct.pack("<dd", *place) for place in arc)
    with closing(sqlite3.connect(path)) as units, units:
        for (trigger,) in units.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            units.execute(f'drop trigger "{trigger}"')
        units.execute("update units set geom = ? where fid = 1", (b"GP\0\1" + struct.pack("<i", 4326) + curve,))
    with pytest.raises(InputError, match=r"units\.gpkg: .*: it has curves; allowed are straight edges \(ogr2ogr"):
        read_region(path, "code")
    assert not recwarn.list


def test_numbers_beyond_a_columns_type_are_refused(tmp_path: Path):
    path = tmp_path / "units.gpkg"
    frame(TWO, code=np.array([1, 2], dtype=np.int32)).to_file(path)
    assert [unit.id for unit in read_region(path, "code").units] == ["1", "2"]
    with closing(sqlite3.connect(path)) as units, units:
        for (trigger,) in units.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            units.execute(f'drop trigger "{trigger}"')
        units.execute("update units set code = 4294967301 where fid = 1")
    with pytest.raises(InputError, match="field 'code': a number is larger than its field can hold: 4294967301 in 32"):
        read_region(path, "code")
