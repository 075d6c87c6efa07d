"""A sample's folder: whole or not there, and nothing of the map in what interpreters get."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from pyproj import Transformer

from models.errors import InputError, UnreachableError
from tests.transforms.sampling.conftest import REGION
from tests.transforms.sampling.test_strata import divided
from transforms.editions.edition import Edition
from transforms.ground.grid import Zone
from transforms.sampling import files
from transforms.sampling.drawing import drawn_points
from transforms.sampling.files import INTERPRETERS_FILES, cells_of, sample_folder, write_sample
from transforms.sampling.sample import KEY, SAMPLES, Sample, SampleDesign, SampledStratum
from transforms.sampling.strata import measured_strata

COUNTS = [25, 25, 25]


@pytest.fixture(scope="module")
def sample(edition: Edition) -> Sample:
    """A sample that is not written yet."""
    map_ = divided(edition)
    strata = measured_strata(map_)
    sampled = tuple(SampledStratum(s.name, s.area_dm2, 25, s.spread) for s in strata)
    design = SampleDesign(
        "cropland-12345678", "place", "main-2019", edition.id, None, "cropland", 100.0, REGION.hash, 3,
        {"product": "cropland"}, "2026-05-04T03:02:01+00:00", sampled,
    )  # fmt: skip
    return Sample(design, drawn_points(map_, strata, np.array(COUNTS), 3))


@pytest.fixture
def folder(sample: Sample, tmp_path: Path) -> Path:
    """Where it was written."""
    return write_sample(tmp_path, sample)


def test_a_sample_is_read_back_as_it_was_drawn(sample: Sample, folder: Path, tmp_path: Path) -> None:
    assert folder == sample_folder(tmp_path, sample.drawn.id) == tmp_path / SAMPLES / "cropland-12345678"
    assert sorted(path.name for path in folder.iterdir()) == sorted(["design.json", KEY, *INTERPRETERS_FILES])
    back = Sample.read(folder)
    assert back.drawn == replace(sample.drawn, key_sha256=hashlib.sha256((folder / KEY).read_bytes()).hexdigest())
    pd.testing.assert_frame_equal(back.points, sample.points)
    assert back.points["before"].dtype == "Int64"
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", folder.name]


def test_a_folder_without_a_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no sample; draw one with 'stook sample'"):
        Sample.read(tmp_path)


SPOILED: dict[str, tuple[Callable[[dict], object], str]] = {
    "a field that is missing": (
        lambda design: design.pop("product"),
        r"design.json: product: Field required; it is no",
    ),
    "another number of points": (
        lambda design: design["strata"][1].update(points=26),
        r"key.parquet: has 25 points of stratum .*; 26 were drawn by design.json",
    ),
    "another key": (lambda design: design.update(key_sha256="0" * 64), "key.parquet: was changed since the sample was"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_design_that_was_changed_is_refused(case: str, folder: Path) -> None:
    spoil, reason = SPOILED[case]
    design = json.loads((folder / "design.json").read_text())
    spoil(design)
    (folder / "design.json").write_text(json.dumps(design))
    with pytest.raises(InputError, match=reason) as refused:
        Sample.read(folder)
    assert "\n" not in str(refused.value)


def test_a_key_that_was_changed_is_refused(folder: Path) -> None:
    key = pd.read_parquet(folder / KEY)
    key.assign(lon=key["lon"] + 0.1).to_parquet(folder / KEY, index=False)
    with pytest.raises(InputError, match="key.parquet: was changed since the sample was drawn"):
        Sample.read(folder)
    more = pd.concat([key, key.head(1).assign(stratum=99)])
    more.to_parquet(folder / KEY, index=False)
    with pytest.raises(InputError, match="key.parquet: has 76 points; 75 were drawn by design.json"):
        Sample.read(folder)
    (folder / KEY).write_text("text")
    with pytest.raises(InputError, match="key.parquet: cannot be read as the key of a sample"):
        Sample.read(folder)


def test_a_sample_from_before_hashes_were_kept_is_read(sample: Sample, folder: Path) -> None:
    design = json.loads((folder / "design.json").read_text())
    del design["key_sha256"]
    (folder / "design.json").write_text(json.dumps(design))
    assert Sample.read(folder).drawn == sample.drawn


def test_the_csv_is_what_collect_earth_online_reads(sample: Sample, folder: Path) -> None:
    lines = (folder / "points.csv").read_bytes().decode().split("\n")
    assert lines[0] == "LON,LAT,PLOTID"
    assert len(lines) == len(sample.points) + 2 and lines[-1] == ""
    for line, (_, point) in zip(lines[1:-1], sample.points.iterrows(), strict=True):
        lon, lat, number = line.split(",")
        assert (float(lon), float(lat), number) == (point["lon"], point["lat"], str(point["point"]))
        assert -180 <= float(lon) <= 180 and -90 <= float(lat) <= 90 and number.isdigit()


def test_interpreters_files_open_in_gdal_and_hold_number_and_place_only(sample: Sample, folder: Path) -> None:
    assert pyogrio.list_layers(folder / "points.gpkg").tolist() == [["points", "Point"], ["cells", "Polygon"]]
    at = np.column_stack([sample.points["lon"], sample.points["lat"]])
    for path, layer in (("points.geojson", None), ("points.gpkg", "points"), ("points.gpkg", "cells")):
        table = gpd.read_file(folder / path, layer=layer)
        assert table.crs.to_epsg() == 4326
        assert list(table.columns) == ["PLOTID", "geometry"]
        assert table["PLOTID"].tolist() == list(range(1, len(at) + 1))
        if layer != "cells":
            np.testing.assert_array_equal(shapely.get_coordinates(table.geometry), at)
    assert set(json.loads((folder / "points.geojson").read_text())) <= {
        "type",
        "features",
        "name",
        "xy_coordinate_resolution",
    }


def test_nothing_that_interpreters_get_says_what_the_map_says(sample: Sample, folder: Path) -> None:
    for name in INTERPRETERS_FILES:
        content = (folder / name).read_bytes().lower()
        for word in (b"cropland", b"other", b"not mapped", b"stratum", b"inclusion"):
            assert word not in content, (name, word)
    with sqlite3.connect(folder / "points.gpkg") as base:
        for table in ("points", "cells"):
            assert [row[1] for row in base.execute(f"pragma table_info({table})")] == ["fid", "geom", "PLOTID"]


def test_each_cell_is_the_square_of_the_map_that_holds_the_point(sample: Sample, folder: Path) -> None:
    cells = gpd.read_file(folder / "points.gpkg", layer="cells").geometry
    zones = set()
    for cell, lon, lat in zip(cells, sample.points["lon"], sample.points["lat"], strict=True):
        zone = Zone.at(lon, lat)
        zones.add(zone)
        to = Transformer.from_crs(4326, zone.epsg, always_xy=True)
        corners = np.column_stack(to.transform(*shapely.get_coordinates(cell).T))
        np.testing.assert_allclose(corners, np.rint(corners / 100) * 100, atol=1e-3)
        west, south, east, north = shapely.MultiPoint(corners).bounds
        assert east - west == pytest.approx(100) and north - south == pytest.approx(100)
        x, y = to.transform(lon, lat)
        assert west <= x <= east and south <= y <= north
    assert len(zones) == 2


def test_cells_are_as_wide_as_the_product_has_them(sample: Sample) -> None:
    for cell, wide in zip(cells_of(sample.points[:5], 100), cells_of(sample.points[:5], 500), strict=True):
        assert wide.buffer(1e-7).contains(cell)


def test_the_same_sample_gives_the_same_bytes(sample: Sample, folder: Path, tmp_path: Path) -> None:
    again = write_sample(tmp_path / "again", sample)
    for path in folder.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_a_sample_that_another_process_wrote_first_stays(sample: Sample, folder: Path, tmp_path: Path) -> None:
    (folder / "mark").touch()
    assert write_sample(tmp_path, sample) == folder
    assert (folder / "mark").exists()


def test_what_a_killed_process_left_is_removed(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / SAMPLES / files.DRAWING).mkdir(parents=True)
    (tmp_path / SAMPLES / files.DRAWING / "points.csv").touch()
    folder = write_sample(tmp_path, sample)
    assert len(Sample.read(folder).points) == sum(COUNTS)
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", folder.name]


def test_a_disk_that_is_full_leaves_nothing_behind(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_points", full)
    with pytest.raises(UnreachableError, match="output: cannot write .*samples: No space left on device"):
        write_sample(tmp_path, sample)
    assert [path.name for path in (tmp_path / SAMPLES).iterdir()] == [".lock"]


def test_a_sample_without_answers_to_some_points_is_a_design_of_the_others(sample: Sample) -> None:
    answered = np.ones(len(sample.points), bool)
    answered[:10] = False
    design = sample.design(answered)
    assert design.counts.sum() == sum(COUNTS) - 10
    assert design.area == pytest.approx(sum(stratum.area_dm2 for stratum in sample.drawn.strata) / 1e6)
