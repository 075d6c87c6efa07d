"""Whatever users' files hold, a reader reads them or says in one line of ours what is wrong."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stook.models.errors import StookError
from stook.transforms.ground.region import Region, read_region
from stook.transforms.ground.unit import Unit
from stook.transforms.imagery.catalog import search
from stook.transforms.imagery.sources import Source
from stook.transforms.labelled.footprints import read_footprints
from stook.transforms.labelled.label_files import read_labels
from stook.transforms.labelled.labels import Classes
from stook.transforms.sampling.answer_files import Form, read_answers
from stook.transforms.statistics.layers import read_layer
from tests.transforms.archive import EVERYWHERE, HASTY, YEAR_2019

BROKEN = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
numbers = st.one_of(
    st.floats(-190, 370), st.sampled_from([0.0, 90.0, 180.0, -180.0, 1e308, -1e-300, 9e15]), st.integers(-200, 400)
)
odd = st.one_of(numbers, st.none(), st.text(max_size=3), st.lists(st.none(), max_size=2))
position = st.lists(odd, max_size=4) | st.tuples(numbers, numbers).map(list)
ring = st.lists(position, max_size=6).map(lambda places: [*places, *places[:1]])
geometry = st.one_of(
    st.none(),
    st.just({}),
    st.builds(lambda c: {"type": "Point", "coordinates": c}, position),
    st.builds(lambda c: {"type": "LineString", "coordinates": c}, ring),
    st.builds(lambda c: {"type": "Polygon", "coordinates": c}, st.lists(ring, max_size=3)),
    st.builds(lambda c: {"type": "MultiPolygon", "coordinates": c}, st.lists(st.lists(ring, max_size=2), max_size=2)),
    st.builds(lambda g: {"type": "GeometryCollection", "geometries": g}, st.lists(st.none(), max_size=1)),
    st.builds(lambda name: {"type": name, "coordinates": [0, 0]}, st.text(max_size=8)),
    st.just(shapely.geometry.mapping(shapely.box(36, 9, 36.01, 9.01))),
)
attribute = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=6), st.lists(st.integers()),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2), st.just("cropland"), st.just("2023-02-30"),
)  # fmt: skip
crs = st.sampled_from(
    [
        None,
        "EPSG:4326",
        "EPSG:32637",
        "EPSG:3857",
        "EPSG:99999",
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "EPSG:5773",
        "nonsense",
    ]
)
features = st.lists(st.tuples(geometry, attribute), max_size=4)


def written(path: Path, content: list[tuple[Any, Any]], system: str | None) -> Path:
    """A GeoJSON file of features with an attribute."""
    document = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": shape, "properties": {"k": value, "PLOTID": number}}
            for number, (shape, value) in enumerate(content)
        ],
    }
    if system is not None:
        document["crs"] = {"type": "name", "properties": {"name": system}}
    path.write_text(json.dumps(document))
    return path


FORM = Form("PLOTID", ("k",), None, "LON", "LAT", (), {})
SMALL = Region((Unit("a", "a", (), shapely.box(35.9, 8.9, 36.1, 9.1)),))
READERS: dict[str, Callable[[Path], object]] = {
    "units": lambda path: read_region(path, "k", None, "k"),
    "parents": lambda path: read_region(path, "PLOTID", "k"),
    "layer": lambda path: read_layer(f"{path}:k", SMALL),
    "labels": lambda path: read_labels(path, Classes(("cropland", 1), ("other", 0)), "k"),
    "footprints": lambda path: read_footprints(path, path, 500.0),
    "answers": lambda path: read_answers([path], FORM),
}


@pytest.mark.parametrize("reader", READERS)
@BROKEN
@given(content=features, system=crs)
def test_features(tmp_path: Path, reader: str, content: list[tuple[Any, Any]], system: str | None) -> None:
    path = written(tmp_path / "file.geojson", content, system)
    try:
        READERS[reader](path)
    except StookError as error:
        assert "file.geojson" in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("reader", ["labels", "answers"])
@BROKEN
@given(content=st.binary(max_size=80) | st.text(st.sampled_from('lonatkPLOTID,;"\n\t 19.\ufeffé\0'), max_size=60))
def test_tables(tmp_path: Path, reader: str, content: bytes | str) -> None:
    path = tmp_path / "file.csv"
    heading = b"lon,lat,k,PLOTID\n39,9,cropland,1\n39.1,9,other,2\n"
    path.write_bytes(heading + (content if isinstance(content, bytes) else content.encode()))
    try:
        READERS[reader](path)
    except StookError as error:
        assert "file.csv" in str(error)


values = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=4), st.lists(st.integers(), max_size=2), st.just({})
)


@BROKEN
@given(
    changed=st.dictionaries(
        st.sampled_from(
            ["id", "bbox", "geometry", "assets", "properties", "links", "collection", "type", "stac_version"]
        ),
        values | geometry,
        max_size=3,
    ),
    fields=st.dictionaries(
        st.sampled_from(["datetime", "start_datetime", "s2:processing_baseline", "platform", "grid:code", "updated"]),
        values | st.just("2019-13-01T00:00:00Z"),
        max_size=3,
    ),
)
def test_items(tmp_path: Path, changed: dict[str, Any], fields: dict[str, Any]) -> None:
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "one", "collection": "scenes", "links": [],
        "geometry": None, "bbox": [0, 0, 1, 1], "assets": {"blue": {"href": "blue.tif"}},
        "properties": {"datetime": datetime(2019, 6, 1, tzinfo=UTC).isoformat()} | fields,
    } | changed  # fmt: skip
    extent = {"spatial": {"bbox": [EVERYWHERE]}, "temporal": {"interval": [[None, None]]}}
    root = {
        "type": "Collection", "stac_version": "1.0.0", "id": "scenes", "description": "", "license": "x",
        "extent": extent, "links": [{"rel": "item", "href": "item.json"}],
    }  # fmt: skip
    (tmp_path / "catalog.json").write_text(json.dumps(root))
    (tmp_path / "item.json").write_text(json.dumps(item))
    source = Source("sentinel2", str(tmp_path / "catalog.json"), "scenes", "scaled-1e-4")
    try:
        list(search(source, EVERYWHERE, *YEAR_2019, HASTY))
    except StookError as error:
        assert "item" in str(error)
