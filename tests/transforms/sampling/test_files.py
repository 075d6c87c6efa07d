"""A sample's folder: whole or not there, and nothing of the map in what interpreters get."""

import hashlib
import io
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from pyproj import Transformer

from stook.models.errors import InputError, UnreachableError
from stook.transforms.editions.edition import Edition
from stook.transforms.ground.grid import Zone
from stook.transforms.sampling import files
from stook.transforms.sampling.drawing import drawn_points
from stook.transforms.sampling.files import INTERPRETERS_FILES, cells_of, sample_folder, write_points, write_sample
from stook.transforms.sampling.sample import KEY, SAMPLES, Sample, SampleDesign, SampledStratum, designs_in
from stook.transforms.sampling.strata import measured_strata
from stook.transforms.statistics.table import write_table
from stook.transforms.store import (
    Address,
    files_in,
    folders_in,
    is_cloud,
    names_below,
    read_bytes,
    read_json,
    remove,
    write_bytes,
    write_json,
)
from tests.transforms.sampling.conftest import REGION
from tests.transforms.sampling.test_strata import divided

COUNTS = [25, 25, 25]
WRITERS = 4


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
    """Where it was written, on this machine."""
    written = write_sample(tmp_path, sample)
    assert isinstance(written, Path)
    return written


@pytest.fixture
def kept(sample: Sample, home: Address) -> Address:
    """Where it was written, in either store."""
    return write_sample(home, sample)


def bytes_of(path: Address) -> bytes:
    content = read_bytes(path)
    assert content is not None
    return content


def test_a_sample_is_read_back_as_it_was_drawn(sample: Sample, kept: Address, home: Address) -> None:
    assert kept == sample_folder(home, sample.drawn.id) == home / SAMPLES / "cropland-12345678"
    assert names_below(kept) == {"design.json", KEY, *INTERPRETERS_FILES}
    back = Sample.read(kept)
    assert back.drawn == replace(sample.drawn, key_sha256=hashlib.sha256(bytes_of(kept / KEY)).hexdigest())
    pd.testing.assert_frame_equal(back.points, sample.points)
    assert back.points["before"].dtype == "Int64"
    assert folders_in(kept.parent) == [kept.name] and set(files_in(kept.parent, "")) <= {".lock"}
    assert designs_in(home) == {kept: back.drawn}


def test_a_folder_without_a_sample_is_refused(home: Address) -> None:
    with pytest.raises(InputError, match="there is no sample; draw one with 'stook sample'"):
        Sample.read(home)
    assert designs_in(home) == {}


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
def test_a_design_that_was_changed_is_refused(case: str, kept: Address) -> None:
    spoil, reason = SPOILED[case]
    design = read_json(kept / "design.json")
    spoil(design)
    write_json(kept / "design.json", design)
    with pytest.raises(InputError, match=reason) as refused:
        Sample.read(kept)
    assert "\n" not in str(refused.value)


def test_a_key_that_was_changed_is_refused(kept: Address) -> None:
    key = pd.read_parquet(io.BytesIO(bytes_of(kept / KEY)))
    write_table(key.assign(lon=key["lon"] + 0.1), kept / KEY)
    with pytest.raises(InputError, match="key.parquet: was changed since the sample was drawn"):
        Sample.read(kept)
    write_table(pd.concat([key, key.head(1).assign(stratum=99)]), kept / KEY)
    with pytest.raises(InputError, match="key.parquet: has 76 points; 75 were drawn by design.json"):
        Sample.read(kept)
    write_bytes(kept / KEY, b"text")
    with pytest.raises(InputError, match="key.parquet: cannot be read as the key of a sample"):
        Sample.read(kept)
    remove(kept / KEY)
    with pytest.raises(InputError, match="key.parquet: cannot be read as the key of a sample .it is missing"):
        Sample.read(kept)


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


def test_the_same_sample_gives_the_same_bytes_in_either_store(sample: Sample, folder: Path, home: Address) -> None:
    again = write_sample(home / "again", sample)
    assert names_below(again) == names_below(folder)
    for name in names_below(folder):
        assert read_bytes(again / name) == read_bytes(folder / name), name


def test_a_sample_that_another_process_wrote_first_stays(
    sample: Sample, home: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faster(folder: Path, points: pd.DataFrame, design: SampleDesign) -> None:
        monkeypatch.undo()  # the first one draws, and the second comes first
        write_points(folder, points, design)
        if is_cloud(home):  # on a disk it waits for the lock
            write_sample(home, theirs)

    theirs = replace(sample, drawn=replace(sample.drawn, drawn="2026-05-04T03:02:00+00:00"))
    first = sample if not is_cloud(home) else theirs
    monkeypatch.setattr(files, "write_points", faster)
    folder = write_sample(home, sample)
    before = {name: read_bytes(folder / name) for name in names_below(folder)}
    assert Sample.read(folder).drawn.drawn == first.drawn.drawn
    assert write_sample(home, replace(sample, drawn=replace(sample.drawn, drawn="later"))) == folder
    assert {name: read_bytes(folder / name) for name in names_below(folder)} == before


def test_of_the_same_sample_written_by_several_at_once_one_is_whole(
    sample: Sample, home: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    def signed(folder: Path, _: pd.DataFrame, design: SampleDesign) -> None:
        for name in INTERPRETERS_FILES:
            (folder / name).write_text(design.drawn)

    def attempt(second: int) -> set[str]:
        mine = replace(sample, drawn=replace(sample.drawn, drawn=f"2026-05-04T03:02:0{second}+00:00"))
        together.wait()
        folder = write_sample(home, mine)
        return {Sample.read(folder).drawn.drawn} | {bytes_of(folder / name).decode() for name in INTERPRETERS_FILES}

    together = Barrier(WRITERS)
    monkeypatch.setattr(files, "write_points", signed)
    with ThreadPoolExecutor(WRITERS) as pool:
        seen = list(pool.map(attempt, range(WRITERS)))
    assert len(seen[0]) == 1 and all(one == seen[0] for one in seen)


def test_what_a_killed_process_left_is_no_sample_and_does_no_harm(sample: Sample, home: Address) -> None:
    left = sample_folder(home, sample.drawn.id) if is_cloud(home) else home / SAMPLES / ".writing"
    write_bytes(left / "points.csv", b"")
    if is_cloud(home):
        write_json(left / "design.json", {"writing": "killed", "files": ["points.csv"]})
    assert designs_in(home) == {}
    with pytest.raises(InputError, match="there is no sample"):
        Sample.read(left)
    folder = write_sample(home, sample)
    assert len(Sample.read(folder).points) == sum(COUNTS)
    assert folders_in(folder.parent) == [folder.name] and set(files_in(folder.parent, "")) <= {".lock"}


def test_a_disk_that_is_full_leaves_nothing_behind(
    sample: Sample, home: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_points", full)
    with pytest.raises(UnreachableError, match="output: cannot write .*samples: No space left on device"):
        write_sample(home, sample)
    assert names_below(home) <= {f"{SAMPLES}/.lock"} and folders_in(home / SAMPLES) == []


def test_a_sample_without_answers_to_some_points_is_a_design_of_the_others(sample: Sample) -> None:
    answered = np.ones(len(sample.points), bool)
    answered[:10] = False
    design = sample.design(answered)
    assert design.counts.sum() == sum(COUNTS) - 10
    assert design.area == pytest.approx(sum(stratum.area_dm2 for stratum in sample.drawn.strata) / 1e6)
