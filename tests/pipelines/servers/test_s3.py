"""Scenes in S3: a store that is down, refuses or is wrongly named is not one whose files are missing."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import obstore
import pytest
import requests
from obstore.store import S3Store

from stook.models.errors import StookError, TileError, UnreachableError
from stook.transforms.breaker import breaker_of
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.imagery.objects import settings
from stook.transforms.imagery.sources import Source
from tests.pipelines.command import assert_same_maps, stook
from tests.pipelines.servers.conftest import Server
from tests.pipelines.small_season import SmallSeason
from tests.transforms.archive import HASTY, PLACE, Archive, noon
from tests.transforms.imagery.test_catalog import edited
from tests.transforms.imagery.test_reading import NOISE, june, read

BUCKET = "scenes-of-all"


def fill(server: Server, folder: Path) -> None:
    """A bucket with all files of a folder."""
    assert requests.put(f"{server.url}/{BUCKET}", timeout=30).ok
    store = S3Store(BUCKET, config=settings(os.environ), client_options={"allow_http": True})
    for file in sorted(folder.rglob("*.tif")):
        obstore.put(store, str(file.relative_to(folder)), file.read_bytes())


@pytest.fixture
def source(s3: Server, tmp_path: Path) -> Source:
    """An archive of one scene whose only asset is an object."""
    archive = Archive(tmp_path / "archive", "scaled-1e-4")
    archive.add("june", noon(1), {"blue": NOISE})
    source = archive.save()
    fill(s3, tmp_path / "archive")
    [file] = (tmp_path / "archive").rglob("*.tif")
    href = f"s3://{BUCKET}/{file.relative_to(tmp_path / 'archive')}"
    return linking(source, href)


def linking(source: Source, href: str) -> Source:
    return edited(source, "june", assets={"blue": {"href": href}})


def pixels(source: Source) -> np.ndarray:
    return next(iter(read(source, june(source), "blue", PLACE, backoff=HASTY)))


def failure(source: Source) -> StookError:
    with pytest.raises(StookError) as caught:
        pixels(source)
    return caught.value


def test_pixels_come_from_the_bucket(source: Source) -> None:
    np.testing.assert_allclose(pixels(source), NOISE * 1e-4, rtol=1e-6)


def test_an_object_that_is_not_there_is_missing(source: Source) -> None:
    error = failure(linking(source, f"s3://{BUCKET}/none.tif"))
    assert isinstance(error, TileError) and "missing asset blue" in str(error)


def test_a_bucket_that_is_not_there_is_not_a_missing_file(source: Source) -> None:
    error = failure(linking(source, "s3://no-such-bucket/none.tif"))
    assert isinstance(error, UnreachableError) and "no such bucket" in str(error)


def test_an_endpoint_that_nobody_listens_at_is_unreachable(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ENDPOINT", "127.0.0.1:9")
    assert isinstance(failure(source), UnreachableError)


def test_a_store_that_is_down_is_unreachable_and_works_again(source: Source, s3: Server, tmp_path: Path) -> None:
    s3.kill()  # before anything is read, for GDAL keeps what it has
    assert isinstance(failure(source), UnreachableError)
    s3.start()
    fill(s3, tmp_path / "archive")
    breaker_of.cache_clear()
    pixels(source)


def test_an_object_that_is_no_image_is_corrupt(source: Source, s3: Server) -> None:
    requests.put(f"{s3.url}/{BUCKET}/text.tif", data=b"no image" * 100, timeout=30)
    error = failure(linking(source, f"s3://{BUCKET}/text.tif"))
    assert isinstance(error, TileError) and "corrupt asset blue" in str(error)


def test_a_store_that_goes_down_in_the_middle_of_a_run_keeps_all_and_the_same_command_finishes(
    s3: Server, pristine_season: SmallSeason, tmp_path: Path
) -> None:
    here = pristine_season.copy(tmp_path / "here").hurried(1, 1).narrowed()
    there = here.copy(tmp_path / "there")
    for item in there.items():
        content = item.read_text()
        prefix = f"s3://{BUCKET}/{item.parent.relative_to(there.folder / 'archive')}/"
        item.write_text(content.replace('"href": "./', f'"href": "{prefix}'))
    fill(s3, there.folder / "archive")
    quick = {"attempts": 2, "timeout_s": 5, "mode": "memory"}
    for season in (here, there):
        season.configure(run=quick, grid__tile_px=50)
    stook("map", here.config, "--year", here.year)

    def kill_after_the_first_tile() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and not list(there.output.glob("*/ledger/*")):
            time.sleep(0.01)
        s3.kill()

    watch = threading.Thread(target=kill_after_the_first_tile)
    watch.start()
    with pytest.raises(UnreachableError, match="unreachable|down"):
        stook("map", there.config, "--year", there.year)
    watch.join()
    [opened] = SeasonFolder.at(there.output).editions()
    s3.start()
    fill(s3, there.folder / "archive")
    breaker_of.cache_clear()
    assert stook("map", there.config, "--year", there.year).status == 0
    [finished] = SeasonFolder.at(there.output).editions()
    assert finished.id == opened.id, "the same edition, gone on with"
    [whole] = SeasonFolder.at(here.output).editions()
    assert_same_maps(whole, finished)
